//! Brings a model to life: binds, spawns the cores, and gives the calling thread to control until all is over.

use std::net::SocketAddr;
use std::net::TcpListener;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use crate::address::Address;
use crate::app::Done;
use crate::app::Failure;
use crate::app::bind;
use crate::app::files;
use crate::config;
use crate::control;
use crate::control::CoreLink;
use crate::control::Outcome;
use crate::control::Refused;
use crate::control::Settings;
use crate::id::CoreId;
use crate::io::descriptors;
use crate::io::memory;
use crate::io::ring;
use crate::model;
use crate::model::Cores;
use crate::model::Model;
use crate::observe::access_log;
use crate::observe::access_log::LogBuffer;
use crate::observe::access_log::Remote;
use crate::observe::access_log::Writer;
use crate::observe::metrics::Slab;
use crate::observe::own_log::OwnLog;
use crate::shard::mailbox::Mailbox;
use crate::shard::mailbox::Opened;
use crate::snapshot::Snapshot;
use crate::snapshot::slots::Slots;
use crate::tls::store::Zeal;
use crate::worker;
use crate::worker::Seed;

/// What to start.
pub(super) struct Plan {
    /// The configuration.
    pub(super) model: Model,
    /// Where to read it again from on a reload; none: there is no reload.
    pub(super) path: Option<PathBuf>,
    /// How much the program's own log says by default.
    pub(super) level: &'static str,
    /// Called once everything listens, when that has been announced.
    pub(super) ready: Ready,
}

/// What is to be done once everything listens: the listeners' addresses by their names, and the admin interface's.
pub(super) type Ready = Box<dyn FnOnce(&[(String, Address)], SocketAddr) + Send>;

/// Runs a gateway until it is told to stop.
pub(super) fn start(plan: Plan) -> Done {
    let log = start_log(plan.level);
    let done = run(plan);
    let Some(log) = log else { return done.map_err(Failure::Words) };
    // The last word comes after those before it, and an end does not wait for ever for whoever reads.
    let told = done.map_err(|text| {
        log.say(format!("{}\n", text.trim_end()).as_bytes());
        Failure::Told
    });
    log.flush();
    told
}

fn run(plan: Plan) -> Result<(), String> {
    let Plan { model, path, ready, .. } = plan;
    let (_remote, commands) = control::remote();
    let cpus = cpus(&model.process.cores)?;
    descriptors(&model, cpus.len())?;
    if !model.process.core_dumps && !memory::no_dumps() {
        tracing::warn!("the system does not say that it writes no core dumps: keys may stand in one");
    }
    let admin = admin(model.process.admin)?;
    let admin_address = admin.local_addr().map_err(|error| error.to_string())?;
    let mut slots = Slots::new(cpus.len(), Instant::now());
    if let Err(faults) = slots.load_files(&model, Zeal::Strict) {
        let lines: Vec<String> = faults.iter().map(|fault| format!("error: {fault}")).collect();
        return Err(lines.join("\n"));
    }
    let snapshot = Arc::new(Snapshot::compile(model, &mut slots));
    control::prepare(&snapshot);
    let (listening, opened) = bind::all(&snapshot, cpus.len())?;
    let logged = access_log::open(&snapshot.model.process.access_log, cpus.len());
    let (writer, logs) = logged.map_err(|error| format!("error: the access log cannot be opened: {error}"))?;
    let (links, threads) = spawn(&snapshot, &cpus, opened, logs)?;
    let announced: Vec<_> = listening.iter().map(|held| (held.listener.clone(), held.address.clone())).collect();
    let log = writer.as_ref().map(Writer::remote);
    let counter = log.clone();
    let kept_checks = kept_checks(&snapshot.model);
    let outcome = control::run(Settings {
        cores: links,
        slots,
        snapshot,
        admin,
        listening,
        load: Box::new(move || load(path.as_deref())),
        check: Box::new(check),
        render: config::to_toml,
        bind: Box::new(bind::one),
        reopen_log: Box::new(move || log.iter().for_each(Remote::reopen)),
        log_dropped: Box::new(move || counter.as_ref().map_or(0, Remote::dropped)),
        ready: Box::new(move || {
            announce(&announced, admin_address);
            ready(&announced, admin_address);
        }),
        commands,
        kept_checks,
        signals: true,
    });
    for thread in threads {
        // A core that panicked has said so already.
        drop(thread.join());
    }
    if let Some(writer) = writer {
        writer.close();
    }
    match outcome {
        Outcome::Failed(text) => Err(format!("error: {text}")),
        Outcome::Drained | Outcome::Cut => Ok(()),
    }
}

/// The program's own log: standard error, `RINGWAY_LOG` for the level. Nothing if that cannot be had: then nothing is said.
fn start_log(level: &str) -> Option<OwnLog> {
    let filter = tracing_subscriber::EnvFilter::try_from_env("RINGWAY_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(level));
    let log = OwnLog::start().ok()?;
    let writer = log.clone();
    // A second gateway in one process (a test) finds a log in place already.
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(move || writer.clone())
        .with_ansi(super::cli::colourful())
        .with_target(false)
        .log_internal_errors(false)
        .try_init()
        .ok()?;
    let panics = log.clone();
    std::panic::set_hook(Box::new(move |info| panics.panicked(info)));
    Some(log)
}

/// Takes as many descriptors as the system gives, and says so when they are too few: each exchange needs two. An error if
/// they do not even do for a start.
fn descriptors(model: &Model, cores: usize) -> Result<(), String> {
    let needed = 2 * u64::from(model.process.connections_max) + RESERVED;
    let Some(limit) = descriptors::raise().filter(|limit| *limit < needed) else { return Ok(()) };
    // For each core a ring and bells, and for each listener of it a socket under two numbers.
    let least = LEAST + (cores * (4 + 2 * model.listeners.len())) as u64;
    if limit < least {
        return Err(format!(
            "error: the process may open {limit} files, and needs {least} to serve at all: raise its limit (ulimit -n)"
        ));
    }
    let connections = limit.saturating_sub(RESERVED) / 2;
    tracing::info!(
        limit,
        "process.connections = {} may need {needed} descriptors; at the limit, some {connections} connections, \
         accepting pauses until others close",
        model.process.connections_max
    );
    Ok(())
}

/// How many connections health checks may keep: what requests can have no use for, or a quarter of all there is.
fn kept_checks(model: &Model) -> usize {
    let limit = descriptors::raise().unwrap_or(0);
    let spare = limit.saturating_sub(2 * u64::from(model.process.connections_max) + RESERVED).max(limit / 4);
    usize::try_from(spare).unwrap_or(usize::MAX).min(KEPT_CHECKS)
}

/// Connections that health checks keep between them, at the most.
const KEPT_CHECKS: usize = 16_384;
/// Descriptors for listeners, rings, logs and the admin interface.
const RESERVED: u64 = 256;
/// Without them, beside those of the cores, there is nothing to serve with.
const LEAST: u64 = 32;

fn cpus(cores: &Cores) -> Result<Vec<Option<usize>>, String> {
    let allowed: Vec<usize> = core_affinity::get_core_ids().unwrap_or_default().iter().map(|core| core.id).collect();
    let listed = match cores {
        Cores::All => allowed,
        // More loops than CPUs is a strange wish, but a test may have it: the CPUs are given out in turn.
        Cores::Count(count) => allowed.iter().copied().cycle().take(*count).collect(),
        Cores::List(list) => match list.iter().find(|cpu| !allowed.contains(cpu)) {
            Some(cpu) => {
                return Err(format!("error: process.cores names CPU {cpu}; this process may use {allowed:?}"));
            }
            None => list.clone(),
        },
    };
    if listed.is_empty() {
        return Ok(vec![None]);
    }
    Ok(listed.into_iter().map(Some).collect())
}

fn admin(address: SocketAddr) -> Result<TcpListener, String> {
    let listener = TcpListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    listener.map_err(|error| format!("error: process.admin: cannot listen on {address}: {error}"))
}

fn spawn(
    snapshot: &Arc<Snapshot>,
    cpus: &[Option<usize>],
    opened: Vec<Vec<Opened>>,
    logs: Vec<LogBuffer>,
) -> Result<(Vec<CoreLink>, Vec<JoinHandle<()>>), String> {
    let (mut links, mut threads) = (Vec::new(), Vec::new());
    for (((number, cpu), opened), log) in (0..).zip(cpus).zip(opened).zip(logs) {
        let core = CoreId(number);
        let slab = Arc::new(Slab::default());
        let (mailbox, inbox) = Mailbox::open().map_err(|error| format!("error: a core cannot start: {error}"))?;
        links.push(CoreLink { id: core, mailbox, slab: slab.clone() });
        let plan = ring_plan(&snapshot.model.process);
        let seed = Seed { core, cpu: *cpu, plan, inbox, slab, log, snapshot: snapshot.clone(), opened };
        threads.push(worker::spawn(seed).map_err(|error| format!("error: a core cannot start: {error}"))?);
    }
    Ok((links, threads))
}

fn ring_plan(process: &model::Process) -> ring::Plan {
    let wanted = match process.io {
        model::Io::Auto => ring::Wanted::Auto,
        model::Io::IoUring => ring::Wanted::IoUring,
        model::Io::Epoll => ring::Wanted::Epoll,
    };
    ring::Plan { wanted, entries: process.ring.entries, completions: process.ring.completions }
}

fn load(path: Option<&Path>) -> Result<control::Loaded, Refused> {
    let Some(path) = path else {
        let text = "there is no file to load again: the configuration came from the command line";
        return Err(Refused { text: text.into(), faults: serde_json::json!([{ "message": text }]) });
    };
    let loaded = config::load(path).and_then(files::look).map_err(|report| refused(&report))?;
    Ok(control::Loaded { model: loaded.model, warnings: loaded.warnings.iter().map(ToString::to_string).collect() })
}

fn check(text: &str) -> Result<Vec<String>, Refused> {
    let loaded = config::load_text("request", text).and_then(files::look).map_err(|report| refused(&report))?;
    Ok(loaded.warnings.iter().map(ToString::to_string).collect())
}

fn refused(report: &config::Report) -> Refused {
    Refused { text: report.render(false), faults: report.to_json() }
}

/// Says where the gateway listens, and that it does: a line each, for scripts and people.
fn announce(listening: &[(String, Address)], admin: SocketAddr) {
    use std::io::Write;
    let mut text = String::new();
    for (name, address) in listening {
        text.push_str(&format!("LISTEN {name} {address}\n"));
    }
    text.push_str(&format!("ADMIN {admin}\nREADY\n"));
    let mut out = std::io::stdout().lock();
    // Nobody reads it: no reason not to serve.
    drop(out.write_all(text.as_bytes()).and_then(|()| out.flush()));
}
