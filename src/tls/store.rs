//! What is made of the files that a configuration names: all of it at once, or every fault. What was read before is kept,
//! so that a file that is spoilt later takes nothing away. It refuses to know who serves with it.

use std::collections::HashMap;
use std::collections::HashSet;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::RootCertStore;

use crate::model::HostClients;
use crate::model::ListenTls;
use crate::model::Model;
use crate::model::Pair;
use crate::model::UpstreamTls;
use crate::tls::certificate::Certificate;
use crate::tls::client;
use crate::tls::client::Client;
use crate::tls::files::Faulty;
use crate::tls::files::Stamp;
use crate::tls::server::Loaded;
use crate::tls::server::Server;
use crate::tls::tickets::Own;

/// What was made of files so far. One of it lasts as long as the process.
#[derive(Debug)]
pub struct Store {
    /// What the keys of tickets are made of where no file says: the same for all cores, and across reloads.
    own: Own,
    material: Arc<Material>,
    stamps: Stamps,
    /// Sides that face upstreams, made so far.
    births: u64,
}

/// What a configuration's files hold.
#[derive(Debug, Default)]
pub struct Material {
    /// By the names of listeners.
    pub servers: HashMap<String, Arc<Server>>,
    /// By the names of upstreams.
    pub clients: HashMap<String, Arc<Client>>,
    /// What is shown to others, in the order of the configuration.
    pub shown: Vec<Shown>,
    /// What could not be used, while what was read of it before stays in force.
    pub kept: Vec<Faulty>,
    pairs: HashMap<Pair, Arc<Loaded>>,
}

/// A certificate that is shown to others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// `listener` or `upstream`: to whose other side.
    pub side: &'static str,
    /// The name of that listener or upstream.
    pub of: String,
    /// Its file.
    pub path: PathBuf,
    /// What it says of itself.
    pub certificate: Certificate,
    /// Why it is not what its file holds now, if it is not.
    pub fault: Option<String>,
}

/// The files that a model names, as they were seen.
pub type Stamps = HashMap<PathBuf, Option<Stamp>>;

/// Whether what was read before may stand for what cannot be read now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Zeal {
    /// It may not.
    Strict,
    /// It may: nobody has changed the configuration.
    Lenient,
}

impl Default for Store {
    fn default() -> Self {
        Self::new()
    }
}

impl Store {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self { own: Own::new(), material: Arc::default(), births: 0, stamps: Stamps::default() }
    }

    /// Draws a new secret for tickets if it is time, and forgets the oldest; whether it did: then everything is to be loaded
    /// anew.
    pub fn renew(&mut self) -> bool {
        self.own.renew()
    }

    /// The files of the last load as they were seen just before.
    #[must_use]
    pub fn stamps(&self) -> &Stamps {
        &self.stamps
    }

    /// What is in force.
    #[must_use]
    pub fn material(&self) -> Arc<Material> {
        self.material.clone()
    }

    /// Reads what a model names. What cannot be read although the old is kept is told of too.
    ///
    /// # Errors
    /// Every fault; nothing has changed.
    pub fn load(&mut self, model: &Model, zeal: Zeal) -> Result<Vec<Faulty>, Vec<Faulty>> {
        // First: what changes while it is read is seen to have changed.
        self.stamps = stamps(model);
        let mut rules: Vec<&HostClients> = Vec::new();
        for rule in model.hosts.iter().filter_map(|host| host.clients.as_ref()) {
            if !rules.contains(&rule) {
                rules.push(rule);
            }
        }
        if model.listeners.iter().any(|listener| listener.tls.is_some()) {
            self.own.begin();
        }
        let mut reading = Reading {
            store: self,
            zeal,
            births: self.births,
            next: Material::default(),
            faults: Vec::new(),
            kept: Vec::new(),
        };
        for listener in &model.listeners {
            if let Some(settings) = &listener.tls {
                reading.server(&listener.name, settings, &rules);
            }
        }
        let asks = |settings: &UpstreamTls| settings.ca.is_none() && !settings.insecure;
        let system = model.upstreams.iter().filter_map(|upstream| upstream.tls.as_ref()).any(asks);
        let system = Arc::new(if system { system_roots() } else { RootCertStore::empty() });
        for upstream in &model.upstreams {
            if let Some(settings) = &upstream.tls {
                reading.client(&upstream.name, settings, &system);
            }
        }
        let Reading { next, births, faults, kept, .. } = reading;
        self.births = births;
        if !faults.is_empty() {
            return Err(faults);
        }
        self.material = Arc::new(Material { kept: kept.clone(), ..next });
        Ok(kept)
    }
}

/// The files that a model names for TLS, each once.
#[must_use]
pub fn paths(model: &Model) -> Vec<&Path> {
    let mut all: Vec<&Path> = Vec::new();
    for settings in model.listeners.iter().filter_map(|listener| listener.tls.as_ref()) {
        for pair in &settings.certificates {
            all.extend(
                [Some(&pair.cert), Some(&pair.key), pair.ocsp.as_ref()].into_iter().flatten().map(PathBuf::as_path),
            );
        }
        let clients = settings.clients.iter().flat_map(|clients| [Some(&clients.ca), clients.crl.as_ref()]);
        all.extend(clients.chain([settings.ticket_keys.as_ref()]).flatten().map(PathBuf::as_path));
    }
    let hosts = model.hosts.iter().filter_map(|host| host.clients.as_ref()).filter_map(HostClients::asked);
    for clients in hosts {
        all.extend([Some(&clients.ca), clients.crl.as_ref()].into_iter().flatten().map(PathBuf::as_path));
    }
    for settings in model.upstreams.iter().filter_map(|upstream| upstream.tls.as_ref()) {
        let own = settings.identity.iter().flat_map(|(cert, key)| [cert, key]);
        all.extend(settings.ca.iter().chain(own).map(PathBuf::as_path));
    }
    let mut seen = HashSet::new();
    all.retain(|path| seen.insert(*path));
    all
}

/// The same as they are now.
#[must_use]
pub fn stamps(model: &Model) -> Stamps {
    paths(model).into_iter().map(|path| (path.to_owned(), Stamp::of(path))).collect()
}

/// The authorities that the system believes.
#[must_use]
pub fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    // What of them cannot be read, or is none, is left out: it is the system's affair.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}

struct Reading<'a> {
    store: &'a Store,
    zeal: Zeal,
    births: u64,
    next: Material,
    faults: Vec<Faulty>,
    kept: Vec<Faulty>,
}

impl Reading<'_> {
    /// The old one instead of what cannot be read, where there is one and it may stand.
    fn or_old<T>(&mut self, made: Result<T, Faulty>, old: Option<T>) -> Option<(T, Option<String>)> {
        match (made, old.filter(|_| self.zeal == Zeal::Lenient)) {
            (Ok(made), _) => Some((made, None)),
            (Err(fault), Some(old)) => {
                let words = fault.to_string();
                self.kept.push(fault);
                Some((old, Some(words)))
            }
            (Err(fault), None) => {
                if !self.faults.contains(&fault) {
                    self.faults.push(fault);
                }
                None
            }
        }
    }

    /// What stands for a certificate that is got by ACME. It may not be there yet, and if it is not what it was, it is got
    /// anew: neither is a fault. One that cannot be read is.
    fn awaited(&mut self, pair: &Pair, fault: Faulty, old: Option<Arc<Loaded>>) -> (Arc<Loaded>, Option<String>) {
        let stands = old.unwrap_or_else(|| Arc::new(Loaded::pending(pair)));
        let words = (fault.passing && !fault.absent).then(|| fault.to_string());
        if words.is_some() && !self.kept.contains(&fault) {
            self.kept.push(fault);
        }
        (stands, words)
    }

    fn server(&mut self, name: &str, settings: &ListenTls, rules: &[&HostClients]) {
        let old = self.store.material.clone();
        let mut loaded = Vec::new();
        for pair in &settings.certificates {
            let read = match self.next.pairs.get(pair) {
                Some(read) => Ok(read.clone()),
                None => Loaded::read(pair).map(Arc::new),
            };
            let before = old.pairs.get(pair).cloned();
            let read = match read {
                Err(fault) if !pair.names.is_empty() => Some(self.awaited(pair, fault, before)),
                read => self.or_old(read, before),
            };
            let Some((read, fault)) = read else { continue };
            self.next.pairs.insert(pair.clone(), read.clone());
            if read.key.is_none() {
                loaded.push(read);
                continue;
            }
            self.next.shown.push(Shown {
                side: "listener",
                of: name.to_owned(),
                path: pair.cert.clone(),
                certificate: read.certificate.clone(),
                fault,
            });
            loaded.push(read);
        }
        let made = Server::new(settings, rules, &loaded, &self.store.own.secrets()).map(Arc::new);
        let old = old.servers.get(name).filter(|old| old.is_of(settings, rules)).cloned();
        if let Some((server, _)) = self.or_old(made, old) {
            self.next.servers.insert(name.to_owned(), server);
        }
    }

    fn client(&mut self, name: &str, settings: &UpstreamTls, system: &Arc<RootCertStore>) {
        let old = self.store.material.clients.get(name).filter(|old| old.settings == *settings).cloned();
        let print = client::print(settings, system);
        // The same one, so that idle connections made with it are known for what they are.
        let same = old.clone().filter(|old| print.as_ref().is_ok_and(|print| *print == old.print));
        let made = match same {
            Some(same) => Ok(same),
            None => {
                self.births += 1;
                Client::new(settings, self.births, system).map(Arc::new)
            }
        };
        let Some((client, fault)) = self.or_old(made, old) else { return };
        if let (Some(certificate), Some((path, _))) = (&client.shown, &settings.identity) {
            let (of, path, certificate) = (name.to_owned(), path.clone(), certificate.clone());
            self.next.shown.push(Shown { side: "upstream", of, path, certificate, fault });
        }
        self.next.clients.insert(name.to_owned(), client);
    }
}
