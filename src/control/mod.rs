//! The control thread: the one place that knows the whole process. It hands configurations to the cores, counts who has
//! taken them, follows signals, serves the admin interface and ends the process. It refuses to know requests, and how a
//! file becomes a model: `app` gives it closures for that.
//!
//! One loop ([`run`]) waits for an event; [`truth`] decides what it means, without waiting. What has to be awaited
//! (acknowledgements, stages) is looked at every [`TICK`] while somebody waits for it, and never otherwise; what the process
//! itself may be short of, every [`overload::LOOK`].

pub mod diff;

mod certificates;
mod drain;
mod listening;
mod news;
mod overload;
mod publish;
mod reload;
mod signals;
mod truth;

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use crate::address::Address;
use crate::admin::scene::Wish;
use crate::admin::server;
use crate::control::signals::Signals;
use crate::control::truth::Event;
use crate::control::truth::Truth;
use crate::health;
use crate::id::CoreId;
use crate::model;
use crate::model::Model;
use crate::observe::metrics::Slab;
use crate::shard::mailbox::Mailbox;
use crate::shard::mailbox::Message;
use crate::snapshot::Snapshot;
use crate::snapshot::slots::Slots;

/// What control holds of one core.
#[derive(Debug)]
pub struct CoreLink {
    /// Which one; the place in [`Settings::cores`].
    pub id: CoreId,
    /// The way to it. Nobody else posts once [`run`] has begun.
    pub mailbox: Mailbox,
    /// What it counts.
    pub slab: Arc<Slab>,
}

/// Everything the control thread is given.
pub struct Settings {
    /// The cores, spawned.
    pub cores: Vec<CoreLink>,
    /// Which name has which slot.
    pub slots: Slots,
    /// The configuration in force at start; the cores were given it when they were spawned, and acknowledge it.
    pub snapshot: Arc<Snapshot>,
    /// The admin interface's socket, listening.
    pub admin: TcpListener,
    /// What the listeners hold.
    pub listening: Vec<Held>,
    /// Reads the configuration anew. Called off the control thread, one call at a time.
    pub load: Load,
    /// Judges the text of a configuration without using it; answers with its warnings. Called off the control thread.
    pub check: Check,
    /// The TOML that a model stands for.
    pub render: fn(&Model) -> String,
    /// Opens one listening socket for each core on an address of a listener.
    pub bind: Bind,
    /// Opens the access log anew, for log rotation.
    pub reopen_log: Box<dyn Fn() + Send>,
    /// Access log lines dropped by the writer, beyond those that the cores count in their slabs.
    pub log_dropped: Box<dyn Fn() -> u64 + Send + Sync>,
    /// Called once: every core serves the first snapshot, and the admin interface listens.
    pub ready: Box<dyn FnOnce() + Send>,
    /// Commands from within the process, see [`remote`].
    pub commands: Commands,
    /// Connections that health checks may keep open from one check to the next: as many descriptors.
    pub kept_checks: usize,
    /// Whether HUP, TERM, INT, QUIT and USR1 are followed. Once taken, a signal stays taken for the process.
    pub signals: bool,
}

/// Reads the configuration anew.
pub type Load = Box<dyn Fn() -> Result<Loaded, Refused> + Send + Sync>;
/// Judges the text of a configuration; answers with its warnings.
pub type Check = Box<dyn Fn(&str) -> Result<Vec<String>, Refused> + Send + Sync>;
/// Opens that many listening sockets on an address of a listener, or says why not. The last is whether the address is ours
/// already, by a listener that is about to leave it.
pub type Bind = Box<dyn Fn(&model::Listener, &Address, usize, bool) -> Result<Bound, String> + Send>;

/// An address that has been opened.
pub struct Bound {
    /// Where exactly: a port that the kernel chose is known.
    pub address: Address,
    /// One for each core.
    pub sockets: Vec<OwnedFd>,
    /// The file of a Unix socket.
    pub file: Option<Box<dyn SocketFile>>,
}

/// An address that a listener holds.
pub struct Held {
    /// The listener's name.
    pub listener: String,
    /// The address as the configuration has it.
    pub bind: Address,
    /// Where exactly: a port that the kernel chose is known.
    pub address: Address,
    /// The file of a Unix socket.
    pub file: Option<Box<dyn SocketFile>>,
}

/// The file of a Unix socket that is listened on. Dropped: nobody listens there any more, and the file is removed.
pub trait SocketFile: Send {
    /// That many more descriptors of the socket, to accept from.
    ///
    /// # Errors
    /// Why not, in words.
    fn share(&self, count: usize) -> Result<Vec<OwnedFd>, String>;

    /// Sets the file's permissions.
    ///
    /// # Errors
    /// Why not, in words.
    fn set_mode(&self, mode: u32) -> Result<(), String>;
}

/// A configuration, read.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What it says.
    pub model: Model,
    /// What is allowed in it and yet worth a word.
    pub warnings: Vec<String>,
}

/// A configuration that cannot be used.
#[derive(Clone, Debug)]
pub struct Refused {
    /// Every fault, for people, without colour.
    pub text: String,
    /// Every fault, for programs.
    pub faults: serde_json::Value,
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// What ran was finished.
    Drained,
    /// What ran was cut: a second TERM, QUIT, or the drain's time was over.
    Cut,
    /// A core could not start; one line.
    Failed(String),
}

/// What the process can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// HUP: read the configuration anew.
    Reload,
    /// USR1: open the access log anew.
    ReopenLog,
    /// TERM, INT: finish what runs; the second time, cut it.
    Drain,
    /// QUIT: cut what runs.
    Stop,
}

/// The sending end for commands from within the process. Cheap to copy.
#[derive(Clone, Debug)]
pub struct Remote(mpsc::Sender<Command>);

/// The receiving end, for [`Settings::commands`].
#[derive(Debug)]
pub struct Commands(mpsc::Receiver<Command>);

/// Both ends of the way in for commands from within the process.
#[must_use]
pub fn remote() -> (Remote, Commands) {
    let (sender, receiver) = mpsc::channel(COMMANDS);
    (Remote(sender), Commands(receiver))
}

impl Remote {
    /// Gives a command, without waiting. False: the control thread has ended, or [`COMMANDS`] commands wait.
    #[must_use]
    pub fn give(&self, command: Command) -> bool {
        self.0.try_send(command).is_ok()
    }
}

/// To be called with a first configuration before there are cores that serve it: what is not to be used before its first
/// check is not.
pub fn prepare(snapshot: &Snapshot) {
    health::prepare(snapshot);
}

/// Follows events until the process is to end. Blocks the calling thread; the cores have ended, or were told to stop,
/// when it returns.
#[must_use]
pub fn run(settings: Settings) -> Outcome {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return give_up(&settings.cores, format!("the control thread has no event loop: {error}")),
    };
    let outcome = runtime.block_on(follow(settings));
    // A configuration that is being read must not hold the exit.
    runtime.shutdown_background();
    outcome
}

async fn follow(mut settings: Settings) -> Outcome {
    let mut signals = match Signals::take(settings.signals) {
        Ok(signals) => signals,
        Err(error) => return give_up(&settings.cores, format!("signals cannot be followed: {error}")),
    };
    let listener = match settings.admin.try_clone().and_then(server::listener) {
        Ok(listener) => listener,
        Err(error) => return give_up(&settings.cores, format!("the admin interface cannot listen: {error}")),
    };
    let mut commands = std::mem::replace(&mut settings.commands, remote().1).0;
    let (asker, mut askers) = mpsc::channel::<Wish>(ASKERS);
    let (mut truth, desk) = Truth::new(settings, asker);
    tokio::spawn(server::serve(listener, Arc::new(desk)));
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut watch = tokio::time::interval(overload::LOOK);
    watch.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut pulse = tokio::time::interval(PULSE);
    pulse.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        if let Some(outcome) = truth.look(Instant::now()) {
            return outcome;
        }
        let waits = truth.waits();
        let event = tokio::select! {
            // The receiving ends outlive their senders: a closed one says nothing more.
            Some(command) = commands.recv() => Event::Command(command),
            command = signals.next() => Event::Command(command),
            Some(wish) = askers.recv() => Event::Asked(wish),
            loaded = truth.loaded() => Event::Loaded(Box::new(loaded)),
            _ = watch.tick() => Event::Watch,
            _ = tick.tick(), if waits => continue,
            _ = pulse.tick() => Event::Pulse,
        };
        truth.follow(event, Instant::now());
    }
}

fn give_up(cores: &[CoreLink], why: String) -> Outcome {
    for core in cores {
        // A core that is too far behind for one more message ends with the process.
        let _ = core.mailbox.post(Message::Stop);
    }
    Outcome::Failed(why)
}

/// Commands from within the process that may wait.
pub const COMMANDS: usize = 16;
/// Wishes that may wait to be taken up; those for a reload that come while one runs become one.
const ASKERS: usize = 64;
/// How often cores are looked at while somebody waits for them.
const TICK: Duration = Duration::from_millis(5);
/// How often it is looked for what cores and endpoints have become by themselves.
const PULSE: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests;
