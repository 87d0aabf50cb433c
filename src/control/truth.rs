//! What the process is at this moment, and what each event makes of it. Nothing here waits; so a change of configuration,
//! wherever it comes from, is one step that either happened or did not. It refuses to know how events are waited for.

use std::sync::Arc;
use std::time::Instant;
use std::time::SystemTime;

use serde_json::json;
use tokio::sync::mpsc;
use tokio::sync::watch;
use tracing::error;
use tracing::info;
use tracing::warn;

use crate::acme::Acme;
use crate::acme::Ask;
use crate::admin::events::Event as News;
use crate::admin::events::Journal;
use crate::admin::events::Kind;
use crate::admin::scene;
use crate::admin::scene::Answer;
use crate::admin::scene::Desk;
use crate::admin::scene::Labels;
use crate::admin::scene::Scene;
use crate::admin::scene::Standing;
use crate::admin::scene::Wish;
use crate::control::Bind;
use crate::control::Command;
use crate::control::CoreLink;
use crate::control::Loaded;
use crate::control::Outcome;
use crate::control::Refused;
use crate::control::Settings;
use crate::control::certificates::Files;
use crate::control::challenges;
use crate::control::challenges::Waiting;
use crate::control::diff;
use crate::control::diff::Changes;
use crate::control::drain::Ending;
use crate::control::drain::Next;
use crate::control::listening::Fresh;
use crate::control::listening::Listening;
use crate::control::news;
use crate::control::news::Watcher;
use crate::control::overload::Watch;
use crate::control::publish::Post;
use crate::control::reload::Reloads;
use crate::health::Checks;
use crate::model::Model;
use crate::model::Process;
use crate::snapshot::Snapshot;
use crate::snapshot::slots::Slots;
use crate::tls::files::Faulty;
use crate::tls::store::Zeal;

/// What may happen.
pub(super) enum Event {
    /// The process was told something.
    Command(Command),
    /// The admin interface was asked for something.
    Asked(Wish),
    /// Whoever orders certificates asks for something.
    Ordering(Ask),
    /// It is time to look for what has changed by itself.
    Pulse,
    /// A configuration has been read, or cannot be.
    Loaded(Box<Result<Loaded, Refused>>),
    /// It is time for a look at what the process may be short of.
    Watch,
}

/// What the process is.
pub(super) struct Truth {
    phase: Phase,
    cores: Vec<Post>,
    slots: Slots,
    scene: Scene,
    shown: watch::Sender<Arc<Scene>>,
    /// `[process]` as it was at start: what is fixed then, is this.
    start: Process,
    reloads: Reloads,
    held: Listening,
    bind: Bind,
    reopen_log: Box<dyn Fn() + Send>,
    watch: Watch,
    checks: Checks,
    journal: Journal,
    watcher: Watcher,
    files: Files,
    acme: Acme,
    waiting: Waiting,
}

enum Phase {
    Starting { ready: Box<dyn FnOnce() + Send> },
    Serving,
    Ending(Ending),
}

impl Truth {
    /// The process at its start, what the admin interface needs to show it, and what is asked for the sake of certificates.
    pub(super) fn new(settings: Settings, ask: mpsc::Sender<Wish>) -> (Self, Desk, mpsc::Receiver<Ask>) {
        let labels = Labels::of(&settings.slots, None);
        let start = settings.snapshot.model.process.clone();
        let held = Listening::new(settings.listening);
        let watch = Watch::new(settings.snapshot.overload.clone());
        let scene = Scene {
            standing: Standing::Starting,
            snapshot: settings.snapshot,
            labels,
            listening: held.addresses(),
            reload: scene::Reload { at: SystemTime::now(), refused: None },
            needs_restart: Vec::new(),
        };
        let (shown, seen) = watch::channel(Arc::new(scene.clone()));
        let journal = Journal::default();
        let mut checks =
            Checks::start(scene.snapshot.board.clone(), settings.kept_checks, news::teller(journal.clone()));
        checks.adopt(&scene.snapshot);
        let (acme, orders) = Acme::start(challenges::teller(journal.clone()));
        acme.adopt(&scene.snapshot.model);
        let check = settings.check;
        let desk = Desk {
            scene: seen,
            cores: watcher(&settings.cores),
            log_dropped: settings.log_dropped,
            render: settings.render,
            check: Arc::new(move |text: &str| match check(text) {
                Ok(warnings) => Answer { status: 200, body: json!({ "ok": true, "warnings": warnings }) },
                Err(refused) => refused.shown().answer(),
            }),
            ask,
            found: checks.found(),
            standings: acme.standings(),
            book: journal.book(),
            began: Instant::now(),
        };
        let files = Files::of(settings.slots.stamps(), &scene.snapshot.material.kept, Instant::now());
        let truth = Self {
            files,
            phase: Phase::Starting { ready: settings.ready },
            cores: settings.cores.into_iter().map(Post::new).collect(),
            slots: settings.slots,
            scene,
            shown,
            start,
            reloads: Reloads::new(settings.load),
            held,
            bind: settings.bind,
            reopen_log: settings.reopen_log,
            watch,
            checks,
            journal,
            watcher: Watcher::default(),
            acme,
            waiting: Waiting::default(),
        };
        (truth, desk, orders)
    }

    /// The configuration that is being read, when it has been. May be dropped while it waits.
    pub(super) async fn loaded(&mut self) -> Result<Loaded, Refused> {
        self.reloads.loaded().await
    }

    /// Whether [`Truth::look`] has something to look for.
    pub(super) fn waits(&self) -> bool {
        let owed = self.reloads.waits() || self.waiting.is_any() || self.cores.iter().any(Post::owes);
        owed || !self.serves()
    }

    /// Whether the process is neither beginning nor ending.
    pub(super) fn serves(&self) -> bool {
        matches!(self.phase, Phase::Serving)
    }

    /// Sees how far the cores are. The outcome, once there is one.
    pub(super) fn look(&mut self, now: Instant) -> Option<Outcome> {
        self.cores.iter_mut().for_each(Post::flush);
        self.reloads.look(now, &self.cores);
        self.waiting.look(&self.cores);
        match &mut self.phase {
            Phase::Starting { .. } => self.look_at_start(),
            Phase::Serving => None,
            Phase::Ending(ending) => match ending.look(now, self.cores.iter().all(Post::ended)) {
                Next::Wait => None,
                Next::Stop => {
                    warn!("the drain's time is over: what still runs is cut");
                    self.cores.iter_mut().for_each(Post::stop);
                    None
                }
                Next::Leave(outcome) => Some(outcome),
            },
        }
    }

    /// Makes of an event what it means.
    pub(super) fn follow(&mut self, event: Event, now: Instant) {
        match event {
            Event::Command(Command::ReopenLog) => (self.reopen_log)(),
            Event::Command(Command::Stop) => self.cut(now),
            Event::Command(Command::Drain) if matches!(self.phase, Phase::Ending(_)) => self.cut(now),
            Event::Command(Command::Drain) => self.drain(now),
            Event::Command(Command::Reload) if matches!(self.phase, Phase::Ending(_)) => {
                warn!("no reload: the gateway is shutting down");
            }
            Event::Command(Command::Reload) => self.reloads.ask(None),
            Event::Asked(Wish::Reload(asker) | Wish::Order { asker, .. }) if matches!(self.phase, Phase::Ending(_)) => {
                drop(asker.send(shutting_down()));
            }
            Event::Asked(Wish::Reload(asker)) => self.reloads.ask(Some(asker)),
            Event::Asked(Wish::Order { upstream, endpoint, patch, asker }) => {
                let answer = news::order(&self.scene.snapshot, (&upstream, &endpoint), patch, &self.journal);
                // Whoever hung up meanwhile does not want to know.
                drop(asker.send(answer));
            }
            Event::Ordering(ask) => self.oblige(ask, now),
            Event::Pulse => {
                self.watcher.look(&self.scene.snapshot, &self.cores, &self.journal);
                let serves = self.serves() && !self.reloads.waits();
                if serves && self.slots.renew_tickets() && !self.scene.snapshot.material.servers.is_empty() {
                    self.read_files("the keys of tickets have changed", now);
                } else if serves && self.files.are_due(&self.scene.snapshot.model, now) {
                    self.read_files("files have changed", now);
                }
            }
            Event::Loaded(loaded) => match *loaded {
                Ok(loaded) => self.adopt(loaded, now),
                Err(refused) => self.refuse(&refused),
            },
            Event::Watch => {
                let bounds = &self.scene.snapshot.model.process.overload;
                if let Some(change) = self.watch.look(bounds, &self.cores, now) {
                    change.log();
                    self.tell(Kind::Overload, "gateway", (change.from.word(), change.to.word()), &change.why);
                }
            }
        }
    }

    fn look_at_start(&mut self) -> Option<Outcome> {
        let sequence = self.scene.snapshot.sequence;
        let mut all = true;
        for core in &self.cores {
            match core.started(sequence) {
                Ok(started) => all &= started,
                Err(fault) => {
                    self.cores.iter_mut().for_each(Post::stop);
                    return Some(Outcome::Failed(fault));
                }
            }
        }
        if all && let Phase::Starting { ready } = std::mem::replace(&mut self.phase, Phase::Serving) {
            self.tell(Kind::Process, "gateway", ("starting", "serving"), "every core listens");
            self.scene.standing = Standing::Serving;
            self.show();
            ready();
        }
        None
    }

    fn drain(&mut self, now: Instant) {
        let time = self.scene.snapshot.model.process.drain;
        let deadline = now + time;
        let running = self.cores.iter().map(|core| core.link.slab.in_flight.get()).fold(0, u64::wrapping_add);
        let reason = format!("{running} requests in flight have {time:?} to finish");
        self.tell(Kind::Process, "gateway", ("serving", "draining"), &reason);
        info!("draining: {running} requests in flight have {time:?} to finish");
        self.cores.iter_mut().for_each(|core| core.drain(deadline));
        self.end(Ending::Draining { deadline });
    }

    fn cut(&mut self, now: Instant) {
        if matches!(self.phase, Phase::Ending(Ending::Cutting { .. })) {
            return;
        }
        warn!("stopping at once: what still runs is cut");
        self.cores.iter_mut().for_each(Post::stop);
        self.end(Ending::cut(now));
    }

    fn end(&mut self, ending: Ending) {
        self.phase = Phase::Ending(ending);
        self.scene.standing = Standing::Draining;
        self.held.leave();
        self.acme.end();
        self.reloads.abandon(&shutting_down());
        self.show();
    }

    fn adopt(&mut self, loaded: Loaded, now: Instant) {
        let Loaded { model, warnings } = loaded;
        let opened = match self.held.open(&model, self.cores.len(), &self.bind) {
            Ok(opened) => opened,
            Err(refused) => return self.refuse(&refused),
        };
        // They were read a moment ago, and were good.
        let kept = match self.slots.load_files(&model, Zeal::Lenient) {
            Ok(kept) => kept,
            Err(faults) => {
                let lines: Vec<String> = faults.iter().map(ToString::to_string).collect();
                return self.refuse(&Refused::plain(lines.join("\n")));
            }
        };
        self.note_files(&kept, now);
        let changes = Changes::between(&self.scene.snapshot.model, &model);
        let needs_restart = diff::needs_restart(&self.start, &model.process);
        self.scene.needs_restart.clone_from(&needs_restart);
        self.scene.reload = scene::Reload { at: SystemTime::now(), refused: None };
        let before = self.scene.snapshot.sequence.to_string();
        let sequence = self.publish(model, opened);
        self.acme.adopt(&self.scene.snapshot.model);
        self.tell(Kind::Reload, "configuration", (&before, &sequence.to_string()), &changes.text());
        info!(sequence, "configuration reloaded: {}", changes.text());
        for warning in &warnings {
            warn!("configuration: {warning}");
        }
        if !needs_restart.is_empty() {
            warn!("these keys are fixed at start and need a restart to change: {}", needs_restart.join(", "));
        }
        let body = json!({
            "ok": true,
            "sequence": sequence,
            "changes": changes.json(),
            "warnings": warnings,
            "needs_restart": needs_restart,
        });
        self.reloads.publish(sequence, body, now);
    }

    /// Does what is asked for the sake of a certificate; whoever asks is told when all cores have it.
    fn oblige(&mut self, ask: Ask, now: Instant) {
        let model = self.scene.snapshot.model.clone();
        match ask {
            Ask::Present { challenges, done } => {
                self.slots.set_challenges(challenges);
                let sequence = self.publish(model, Vec::new());
                self.waiting.add(sequence, done);
            }
            Ask::Stored { done } => {
                self.slots.set_challenges(None);
                let before = self.scene.snapshot.sequence;
                self.read_files("files have changed", now);
                if self.scene.snapshot.sequence == before {
                    // They could not be read: what was answered for their sake ends all the same.
                    self.publish(model, Vec::new());
                }
                self.waiting.add(self.scene.snapshot.sequence, done);
            }
        }
    }

    /// Reads the files anew that the configuration in force names. What is not good in them is told of once, and what was read
    /// before stays in force in its place.
    fn read_files(&mut self, why: &str, now: Instant) {
        let model = self.scene.snapshot.model.clone();
        let before = self.scene.snapshot.sequence.to_string();
        let kept = match self.slots.load_files(&model, Zeal::Lenient) {
            Ok(kept) => kept,
            Err(faults) => {
                for fault in &faults {
                    error!("the files cannot be read anew, what was read before stays in force: {fault}");
                }
                self.files = Files::of(self.slots.stamps(), &faults, now);
                return;
            }
        };
        let told = kept == self.scene.snapshot.material.kept;
        self.note_files(&kept, now);
        let sequence = self.publish(model, Vec::new());
        if told && !kept.is_empty() {
            return;
        }
        let reason = match kept.as_slice() {
            [] => why.to_owned(),
            kept => kept.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
        };
        self.tell(Kind::Reload, "certificates", (&before, &sequence.to_string()), &reason);
        info!(sequence, "certificates read anew: {reason}");
    }

    /// Notes how the files were that have just been read; what of them could not be used is told of, unless it was before.
    fn note_files(&mut self, kept: &[Faulty], now: Instant) {
        self.files = Files::of(self.slots.stamps(), kept, now);
        for fault in kept.iter().filter(|fault| !self.scene.snapshot.material.kept.contains(fault)) {
            error!("a file has changed and cannot be used, what was read of it before stays in force: {fault}");
        }
    }

    fn refuse(&mut self, refused: &Refused) {
        error!("reload refused, the configuration before stays in force:\n{}", refused.text);
        let sequence = self.scene.snapshot.sequence.to_string();
        self.tell(Kind::Reload, "configuration", (&sequence, "refused"), &refused.text);
        let shown = refused.shown();
        let answer = shown.answer();
        self.scene.reload = scene::Reload { at: SystemTime::now(), refused: Some(shown) };
        self.show();
        self.reloads.refuse(&answer);
    }

    /// Puts a model in force with the addresses that are new in it; its sequence. The one way to the cores for every
    /// change of configuration.
    fn publish(&mut self, model: Model, opened: Vec<Fresh>) -> u64 {
        let snapshot = Arc::new(Snapshot::compile(model, &mut self.slots));
        self.checks.adopt(&snapshot);
        let hands = self.held.adopt(&snapshot, opened, self.cores.len());
        for (core, hand) in self.cores.iter_mut().zip(hands) {
            core.publish(snapshot.clone(), hand);
        }
        self.scene.listening = self.held.addresses();
        self.scene.labels = Labels::of(&self.slots, Some(&self.scene.labels));
        self.scene.snapshot = snapshot;
        self.show();
        self.scene.snapshot.sequence
    }

    /// Notes what has become of something that is not an endpoint.
    fn tell(&self, kind: Kind, what: &str, (from, to): (&str, &str), reason: &str) {
        // A report of a thousand faults is kept where it belongs.
        let reason = reason.chars().take(REASON).collect();
        self.journal.note(News { kind, upstream: None, what: what.into(), from: from.into(), to: to.into(), reason });
    }

    fn show(&self) {
        self.shown.send_replace(Arc::new(self.scene.clone()));
    }
}

impl Refused {
    fn shown(&self) -> scene::Refused {
        scene::Refused { text: self.text.clone(), faults: self.faults.clone() }
    }
}

/// Letters of the reason in an event.
const REASON: usize = 2000;

fn shutting_down() -> Answer {
    Answer { status: 503, body: json!({ "ok": false, "error": "the gateway is shutting down" }) }
}

fn watcher(cores: &[CoreLink]) -> Box<dyn Fn() -> Vec<scene::Core> + Send + Sync> {
    let watched: Vec<_> = cores.iter().map(|core| (core.id, core.mailbox.clone(), core.slab.clone())).collect();
    Box::new(move || {
        let looks = watched.iter().map(|(id, mailbox, slab)| {
            let report = mailbox.report();
            scene::Core {
                id: *id,
                stage: mailbox.stage().word(),
                cpu: report.cpu,
                io: report.io,
                flags: report.flags,
                reason: report.reason,
                fault: report.fault,
                acknowledged: mailbox.acknowledged(),
                slab: slab.clone(),
            }
        });
        looks.collect()
    })
}
