//! Which listener holds which address, and what a new configuration makes of that: addresses that stay are not touched,
//! a Unix socket that goes from one listener to another goes with its file. It refuses to know how an address is opened.

use std::os::fd::OwnedFd;

use serde_json::json;
use tracing::warn;

use crate::address::Address;
use crate::control::Bind;
use crate::control::Bound;
use crate::control::Held;
use crate::control::Refused;
use crate::control::SocketFile;
use crate::model;
use crate::model::Model;
use crate::shard::mailbox::Opened;
use crate::snapshot::Snapshot;

/// What all listeners hold.
pub(super) struct Listening(Vec<Held>);

/// Sockets on an address that is new to a listener.
pub(super) struct Fresh {
    listener: String,
    bind: Address,
    sockets: Vec<OwnedFd>,
    /// The address and the file; none when both are those that another listener leaves.
    opened: Option<(Address, Option<Box<dyn SocketFile>>)>,
}

impl Listening {
    pub(super) fn new(held: Vec<Held>) -> Self {
        Self(held)
    }

    /// By the listeners' names.
    pub(super) fn addresses(&self) -> Vec<(String, Address)> {
        self.0.iter().map(|held| (held.listener.clone(), held.address.clone())).collect()
    }

    /// Opens the addresses that are new to their listeners, or nothing.
    pub(super) fn open(&self, model: &Model, cores: usize, bind: &Bind) -> Result<Vec<Fresh>, Refused> {
        let mut opened = Vec::new();
        let mut faults = Vec::new();
        let wanted = model.listeners.iter().flat_map(|listener| listener.bind.iter().map(move |at| (listener, at)));
        for (listener, at) in wanted.filter(|(listener, at)| self.holder(&listener.name, at).is_none()) {
            match self.open_one(listener, at, cores, bind) {
                Ok(fresh) if fresh.sockets.len() == cores => opened.push(fresh),
                Ok(fresh) => {
                    let count = fresh.sockets.len();
                    faults.push(format!("listener `{}` on {at}: {count} sockets for {cores} cores", listener.name));
                }
                Err(why) => faults.push(format!("listener `{}` on {at}: {why}", listener.name)),
            }
        }
        if faults.is_empty() {
            return Ok(opened);
        }
        let list = faults.iter().map(|fault| json!({ "message": fault })).collect();
        Err(Refused { text: faults.join("\n"), faults: list })
    }

    /// A listener may change its name, or take over an address that another leaves.
    fn open_one(&self, listener: &model::Listener, at: &Address, cores: usize, bind: &Bind) -> Result<Fresh, String> {
        let before = self.0.iter().find(|held| held.address == *at);
        let (sockets, opened) = match before.and_then(|held| held.file.as_ref()) {
            Some(file) => (file.share(cores)?, None),
            None => {
                let Bound { address, sockets, file } = bind(listener, at, cores, before.is_some())?;
                (sockets, Some((address, file)))
            }
        };
        Ok(Fresh { listener: listener.name.clone(), bind: at.clone(), sockets, opened })
    }

    /// Holds what a snapshot names and nothing else. Gives the sockets that are new to each core.
    pub(super) fn adopt(&mut self, snapshot: &Snapshot, mut opened: Vec<Fresh>, cores: usize) -> Vec<Vec<Opened>> {
        let mut hands: Vec<Vec<Opened>> = (0..cores).map(|_| Vec::new()).collect();
        let mut old = std::mem::take(&mut self.0);
        for listener in &snapshot.listeners {
            let name = &listener.settings.name;
            for bind in &listener.settings.bind {
                let new = opened.iter().position(|fresh| fresh.listener == *name && fresh.bind == *bind);
                let new = new.map(|place| opened.swap_remove(place));
                let (sockets, from) = new.map_or((Vec::new(), None), |fresh| (fresh.sockets, fresh.opened));
                let (address, file) = match from {
                    Some(from) => from,
                    None => {
                        let own = old.iter().position(|held| held.listener == *name && held.bind == *bind);
                        let place = own.or_else(|| old.iter().position(|held| held.address == *bind));
                        let Some(held) = place.map(|place| old.swap_remove(place)) else { continue };
                        (held.address, held.file)
                    }
                };
                if let Some(Err(error)) = file.as_ref().map(|file| file.set_mode(listener.settings.socket_mode)) {
                    warn!("listener `{name}` on {bind}: its permissions cannot be set: {error}");
                }
                for (hand, socket) in hands.iter_mut().zip(sockets) {
                    hand.push(Opened { slot: listener.slot, address: bind.clone(), socket });
                }
                self.0.push(Held { listener: name.clone(), bind: bind.clone(), address, file });
            }
        }
        hands
    }

    /// Holds nothing any more.
    pub(super) fn leave(&mut self) {
        self.0.clear();
    }

    fn holder(&self, name: &str, bind: &Address) -> Option<&Held> {
        self.0.iter().find(|held| held.listener == name && held.bind == *bind)
    }
}
