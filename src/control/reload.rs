//! One reload at a time: read off the thread, decided on it, then acknowledged by the cores or not. Those who ask while
//! one runs get the next, together. It refuses to know what a configuration changes.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use serde_json::Value;
use serde_json::json;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tracing::info;
use tracing::warn;

use crate::admin::scene::Answer;
use crate::control::Load;
use crate::control::Loaded;
use crate::control::Refused;
use crate::control::publish::Post;

pub(super) type Asker = oneshot::Sender<Answer>;

/// The reload that runs, and who asked for the one after it.
pub(super) struct Reloads {
    load: Arc<dyn Fn() -> Result<Loaded, Refused> + Send + Sync>,
    step: Step,
    next: Option<Vec<Asker>>,
}

enum Step {
    Idle,
    Loading { job: JoinHandle<Result<Loaded, Refused>>, askers: Vec<Asker> },
    Published(Published),
}

/// A configuration on its way to the cores.
struct Published {
    sequence: u64,
    posted: Instant,
    body: Value,
    askers: Vec<Asker>,
}

impl Reloads {
    pub(super) fn new(load: Load) -> Self {
        Self { load: load.into(), step: Step::Idle, next: None }
    }

    /// Asks for a reload that begins after this call; it begins at once if none runs.
    pub(super) fn ask(&mut self, asker: Option<Asker>) {
        self.next.get_or_insert_default().extend(asker);
        self.begin();
    }

    /// The configuration that is being read, when it has been. May be dropped while it waits.
    pub(super) async fn loaded(&mut self) -> Result<Loaded, Refused> {
        let Step::Loading { job, .. } = &mut self.step else { return pending().await };
        job.await.unwrap_or_else(|error| Err(Refused::plain(format!("reading the configuration failed: {error}"))))
    }

    /// The configuration cannot be used; whoever asked is told.
    pub(super) fn refuse(&mut self, answer: &Answer) {
        self.end(answer);
    }

    /// The configuration has been posted to the cores; `body` is the answer but for who is late.
    pub(super) fn publish(&mut self, sequence: u64, body: Value, now: Instant) {
        let askers = self.askers();
        self.step = Step::Published(Published { sequence, posted: now, body, askers });
    }

    /// Whether cores are waited for.
    pub(super) fn waits(&self) -> bool {
        matches!(self.step, Step::Published(_))
    }

    /// Ends the reload if every core has it, or the late ones have had their time.
    pub(super) fn look(&mut self, now: Instant, cores: &[Post]) {
        let Step::Published(published) = &mut self.step else { return };
        let late = cores.iter().filter(|core| !core.has(published.sequence)).map(|core| core.link.id.0);
        let late: Vec<u32> = late.collect();
        let took = now.saturating_duration_since(published.posted);
        if !late.is_empty() && took < ACKNOWLEDGE {
            return;
        }
        if late.is_empty() {
            info!(sequence = published.sequence, "every core has taken the configuration after {took:.1?}");
        } else {
            warn!(
                sequence = published.sequence,
                "cores {late:?} have not taken the configuration within {ACKNOWLEDGE:?}; they serve the one before \
                 until they do"
            );
        }
        let status = if late.is_empty() { 200 } else { 202 };
        let mut body = published.body.take();
        body["late"] = json!(late);
        self.end(&Answer { status, body });
    }

    /// No more reloads: everybody who waits is told why.
    pub(super) fn abandon(&mut self, answer: &Answer) {
        let mut askers = self.askers();
        askers.extend(self.next.take().into_iter().flatten());
        tell(askers, answer);
    }

    fn end(&mut self, answer: &Answer) {
        tell(self.askers(), answer);
        self.begin();
    }

    fn begin(&mut self) {
        if matches!(self.step, Step::Idle)
            && let Some(askers) = self.next.take()
        {
            let load = self.load.clone();
            self.step = Step::Loading { job: tokio::task::spawn_blocking(move || load()), askers };
        }
    }

    fn askers(&mut self) -> Vec<Asker> {
        match std::mem::replace(&mut self.step, Step::Idle) {
            Step::Idle => Vec::new(),
            Step::Loading { askers, .. } | Step::Published(Published { askers, .. }) => askers,
        }
    }
}

impl Refused {
    /// A refusal of one sentence.
    pub(super) fn plain(text: String) -> Self {
        Self { faults: json!([{ "message": text }]), text }
    }
}

fn tell(askers: Vec<Asker>, answer: &Answer) {
    for asker in askers {
        // Whoever hung up meanwhile does not want to know.
        drop(asker.send(answer.clone()));
    }
}

/// How long cores may take over a configuration before they are called late.
const ACKNOWLEDGE: Duration = Duration::from_secs(2);
