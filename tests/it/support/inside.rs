//! Cores within the test's own process, without control and admin, or with them: for what cannot be provoked from outside.

use std::net::SocketAddr;
use std::net::TcpListener;
use std::sync::Arc;
use std::thread::JoinHandle;

use ringway::config;
use ringway::control;
use ringway::control::Command;
use ringway::control::CoreLink;
use ringway::control::Outcome;
use ringway::control::Refused;
use ringway::control::Remote;
use ringway::control::Settings;
use ringway::id::CoreId;
use ringway::io::listen;
use ringway::io::ring::Plan;
use ringway::io::ring::Wanted;
use ringway::io::socket_file::SocketFile;
use ringway::observe::access_log::LogBuffer;
use ringway::observe::metrics::Slab;
use ringway::shard::mailbox::Mailbox;
use ringway::shard::mailbox::Message;
use ringway::shard::mailbox::Opened;
use ringway::shard::mailbox::Stage;
use ringway::snapshot::Snapshot;
use ringway::snapshot::slots::Slots;
use ringway::worker;
use ringway::worker::Seed;

use crate::support::eventually;
use crate::support::loops;

/// One core, serving.
pub struct Inside {
    /// The listener's first IP address.
    pub addr: SocketAddr,
    pub mailbox: Mailbox,
    pub slab: Arc<Slab>,
    pub snapshot: Arc<Snapshot>,
    pub slots: Slots,
    thread: Option<JoinHandle<()>>,
    files: Vec<SocketFile>,
}

impl Inside {
    /// Starts a core on a configuration with one listener.
    pub fn start(toml: &str, wanted: Wanted) -> Self {
        let model = config::load_text("inside.toml", toml).expect("a configuration without faults").model;
        let mut slots = Slots::default();
        let snapshot = Arc::new(Snapshot::compile(model, &mut slots));
        let (addr, opened, files) = open(&snapshot);
        let (mailbox, inbox) = Mailbox::open().expect("a mailbox");
        let slab = Arc::new(Slab::default());
        let seed = Seed {
            core: CoreId(0),
            cpu: None,
            plan: Plan { wanted: loops::wanted(wanted), entries: 256, completions: 512 },
            inbox,
            slab: slab.clone(),
            log: LogBuffer::off(),
            snapshot: snapshot.clone(),
            opened,
        };
        let thread = Some(worker::spawn(seed).expect("a thread"));
        let inside = Self { addr, mailbox, slab, snapshot, slots, thread, files };
        eventually("the core serves", || inside.mailbox.stage() == Stage::Serving);
        inside
    }

    /// Puts another configuration with one listener in force. The listener is opened anew, and the one before closed.
    pub fn publish(&mut self, toml: &str) {
        let model = config::load_text("inside.toml", toml).expect("a configuration without faults").model;
        self.snapshot = Arc::new(Snapshot::compile(model, &mut self.slots));
        let (addr, opened, files) = open(&self.snapshot);
        self.addr = addr;
        self.files.extend(files);
        let sequence = self.snapshot.sequence;
        self.post(Message::Publish { snapshot: self.snapshot.clone(), opened });
        eventually("the configuration is in force", || self.mailbox.acknowledged() == sequence);
    }

    pub fn post(&self, message: Message) {
        self.mailbox.post(message).expect("room in the mailbox");
    }
}

/// Opens what the one listener of a configuration listens on: its first IP address, the sockets, and socket files to keep.
fn open(snapshot: &Snapshot) -> (SocketAddr, Vec<Opened>, Vec<SocketFile>) {
    let listener = &snapshot.listeners[0];
    let (mut addr, mut files, mut opened) = (None, Vec::new(), Vec::new());
    for bind in &listener.settings.bind {
        let mut new = listen::open(bind, 1, false, listener.settings.socket_mode).expect("an address");
        addr = addr.or(new.address.ip());
        files.extend(new.file);
        opened.push(Opened { slot: listener.slot, address: bind.clone(), socket: new.sockets.remove(0) });
    }
    (addr.expect("an IP address"), opened, files)
}

impl Drop for Inside {
    fn drop(&mut self) {
        // A core that has died for good takes no message, and has ended.
        let _ = self.mailbox.post(Message::Stop);
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(std::thread::panicking() || matches!(ended, Some(Ok(()))), "the core's thread panicked");
    }
}

/// A core, serving, and the control thread that watches over it.
pub struct Watched {
    pub inside: Inside,
    /// The address of the admin interface.
    pub admin: SocketAddr,
    remote: Remote,
    control: Option<JoinHandle<Outcome>>,
}

impl Watched {
    /// Starts both on a configuration with one listener. It can be reloaded by nobody.
    pub fn start(toml: &str) -> Self {
        let mut inside = Inside::start(toml, Wanted::Auto);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let admin = listener.local_addr().unwrap();
        let (remote, commands) = control::remote();
        let nothing = || Refused { text: "there is no file".into(), faults: serde_json::Value::Null };
        let settings = Settings {
            cores: vec![CoreLink { id: CoreId(0), mailbox: inside.mailbox.clone(), slab: inside.slab.clone() }],
            slots: std::mem::take(&mut inside.slots),
            snapshot: inside.snapshot.clone(),
            admin: listener,
            listening: Vec::new(),
            load: Box::new(move || Err(nothing())),
            check: Box::new(move |_| Err(nothing())),
            render: config::to_toml,
            bind: Box::new(|_, _, _, _| Err("nothing is bound here".into())),
            reopen_log: Box::new(|| {}),
            log_dropped: Box::new(|| 0),
            ready: Box::new(|| {}),
            commands,
            kept_checks: 0,
            signals: false,
        };
        let control = Some(std::thread::spawn(move || control::run(settings)));
        Self { inside, admin, remote, control }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let told = self.remote.give(Command::Stop);
        let ended = self.control.take().map(JoinHandle::join);
        let fine = told && matches!(ended, Some(Ok(Outcome::Cut | Outcome::Drained)));
        assert!(std::thread::panicking() || fine, "control ended otherwise than it was told to");
    }
}
