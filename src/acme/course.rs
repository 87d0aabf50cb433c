//! One certificate after the other, for as long as the process lives: what is due first is done first, and never two
//! things at once. It refuses to know how an order goes.

use std::path::Path;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use instant_acme::CertificateIdentifier;
use instant_acme::Error;
use serde::Deserialize;
use serde::Serialize;
use tokio::sync::oneshot;
use tokio::sync::watch;
use tokio::time::timeout;
use tracing::debug;
use tracing::info;
use tracing::warn;
use zeroize::Zeroize;

use crate::acme::Ask;
use crate::acme::Outlet;
use crate::acme::Plan;
use crate::acme::Reason;
use crate::acme::Standing;
use crate::acme::State;
use crate::acme::Transition;
use crate::acme::Way;
use crate::acme::held::Held;
use crate::acme::moment;
use crate::acme::moment::Chance;
use crate::acme::order;
use crate::acme::order::Failure;
use crate::acme::order::apart;
use crate::acme::order::aside;
use crate::acme::store;
use crate::acme::web::Web;
use crate::model;
use crate::rand::Rng;
use crate::tls::challenge::Challenges;

/// Everything that is kept.
struct Course {
    outlet: Outlet,
    settings: Option<model::Acme>,
    kept: Vec<Kept>,
    rng: Rng,
    /// Orders since the last good one whose authority has said that it does not know the account.
    strangers: u32,
}

/// One certificate.
struct Kept {
    names: Vec<String>,
    file: PathBuf,
    held: Option<Held>,
    record: Record,
    /// Whether what its files hold is not known.
    unread: bool,
    chance: Chance,
    /// When its authority wants it renewed.
    window: Option<(i64, i64)>,
    /// When its authority is asked for that.
    ask_at: i64,
    ordering: bool,
    issued: u64,
    failed: u64,
}

/// What is remembered of orders beyond the process: a gateway that is started again and again must not ask again and again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
struct Record {
    /// The names that were ordered: for others everything begins anew.
    names: Vec<String>,
    /// When the last good order was made, in seconds since 1970.
    issued: i64,
    /// Orders that have failed since.
    failures: u32,
    /// Before when no other is made.
    not_before: i64,
    /// Why the last one failed.
    error: Option<String>,
    /// Whether its authority, when it was told which certificate an order is for, did not say so: it is told no more, or
    /// each renewal would be ordered twice.
    deaf: bool,
}

/// What is to be done for a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// To order one.
    Order,
    /// To ask when it is to be renewed.
    Ask,
}

/// Longest time in one sleep: a clock that is set right meanwhile is looked at again.
const SLEEP: i64 = 600;
/// Before a file that could not be read is tried again, in seconds.
const UNREAD: i64 = 60;
/// For a whole order.
const ORDER: Duration = Duration::from_secs(600);
/// So many answers that an account is not known are believed.
const STRANGERS: u32 = 2;
/// For all cores to take what is published.
const TAKE: Duration = Duration::from_secs(30);

/// Keeps what is wanted, until nobody wants anything any more.
pub(super) async fn run(mut wanted: watch::Receiver<Arc<Plan>>, outlet: Outlet) {
    let mut course = Course { outlet, settings: None, kept: Vec::new(), rng: Rng::from_system(), strangers: 0 };
    loop {
        let plan = wanted.borrow_and_update().clone();
        course.adopt(&plan).await;
        loop {
            course.show();
            let now = now();
            let wait = course.next(now).map_or(SLEEP, |(at, ..)| (at - now).clamp(0, SLEEP));
            tokio::select! {
                changed = wanted.changed() => match changed {
                    Ok(()) => break,
                    Err(_) => return,
                },
                () = tokio::time::sleep(Duration::from_secs(wait.unsigned_abs())) => {}
            }
            course.step(&wanted).await;
        }
    }
}

/// How every certificate is, by what its files hold, though nobody keeps it; and of which that cannot be read.
pub(super) async fn survey(plan: &Plan) -> (Vec<Standing>, Vec<String>) {
    let (mut standings, mut unread, now) = (Vec::new(), Vec::new(), now());
    let directory = plan.settings.as_ref().map_or("", |settings| settings.directory.as_str());
    for (names, file) in &plan.certificates {
        let mut kept = Kept::new(names, file, Chance::default(), now);
        kept.read().await;
        if kept.unread {
            unread.extend(kept.record.error.take());
        } else {
            standings.push(kept.standing(directory, now));
        }
    }
    (standings, unread)
}

impl Course {
    /// Keeps what is wanted now; what was kept before under the same names stays as it is.
    async fn adopt(&mut self, plan: &Plan) {
        self.settings.clone_from(&plan.settings);
        let mut before = std::mem::take(&mut self.kept);
        for (at, (names, file)) in plan.certificates.iter().enumerate() {
            let known = before.iter().position(|kept| kept.file == *file).map(|place| before.swap_remove(place));
            if let Some(kept) = known.as_ref().filter(|kept| kept.names == *names) {
                debug!(file = %kept.file.display(), "a certificate is kept as before");
                self.kept.extend(known);
                continue;
            }
            // Not all at once after a start.
            let mut kept = Kept::new(names, file, self.chance(), now() + i64::try_from(at).unwrap_or(0));
            (kept.issued, kept.failed) = known.as_ref().map_or((0, 0), |known| (known.issued, known.failed));
            kept.read().await;
            self.kept.push(kept);
        }
    }

    fn chance(&self) -> Chance {
        u32::try_from(self.rng.below(usize::try_from(moment::WHOLE).unwrap_or(1))).unwrap_or(0)
    }

    /// What is due first, with its time and its place.
    fn next(&self, now: i64) -> Option<(i64, usize, Step)> {
        self.settings.as_ref()?;
        let steps = self.kept.iter().enumerate().map(|(place, kept)| {
            let ((at, _), ask_at) = (kept.due(now), moment::bound(kept.ask_at, now, moment::ASK_FARTHEST));
            let asks = kept.held.as_ref().is_some_and(|held| held.identifier().is_some());
            if asks && ask_at < at { (ask_at, place, Step::Ask) } else { (at, place, Step::Order) }
        });
        steps.min_by_key(|(at, ..)| *at)
    }

    /// Does what is due, if anything is.
    async fn step(&mut self, wanted: &watch::Receiver<Arc<Plan>>) {
        let now = now();
        let Some((_, place, step)) = self.next(now).filter(|(at, ..)| *at <= now) else { return };
        match step {
            Step::Ask => self.ask(place).await,
            Step::Order => {
                let Some(kept) = self.kept.get_mut(place) else { return };
                if kept.unread {
                    return kept.read().await;
                }
                let before = kept.state(now).word();
                kept.ordering = true;
                self.show();
                let outcome = self.order(place, wanted.clone()).await;
                if let Some(kept) = self.kept.get_mut(place) {
                    kept.ordering = false;
                }
                if let Some(outcome) = outcome {
                    self.settle(place, before, outcome).await;
                }
            }
        }
    }

    /// Makes an order; what it gives is in its file and served when this returns. Nothing, if it is not wanted any more:
    /// then nothing has come of it.
    async fn order(&mut self, place: usize, mut wanted: watch::Receiver<Arc<Plan>>) -> Option<Result<Held, Failure>> {
        let (settings, kept) = (self.settings.as_ref()?, self.kept.get(place)?);
        // A gateway that does not live to see what comes of it must not ask as soon as it is back; and what cannot be kept is
        // not asked for.
        if let Err(failure) = remember(&kept.begun(now()), &kept.file).await {
            return Some(Err(failure));
        }
        info!(certificate = %kept.name(), directory = %settings.directory, "a certificate is ordered");
        let way = &self.outlet.way;
        let replaced = kept.held.as_ref().filter(|_| !kept.record.deaf).and_then(Held::identifier);
        let work = get(way.clone(), settings.clone(), kept.names.clone(), replaced);
        let mut work = pin!(timeout(ORDER, apart(work)));
        let got = loop {
            tokio::select! {
                got = &mut work => break got.unwrap_or_else(|_| Err(Failure::plain("the order took too long"))),
                changed = wanted.changed() => {
                    if changed.is_ok() && wanted.borrow_and_update().keeps(settings, kept) {
                        continue;
                    }
                    info!(certificate = %kept.name(), "an order is given up: it is not wanted any more");
                    if changed.is_ok() {
                        drop(way.present(None).await);
                    }
                    return None;
                }
            }
        };
        let (deaf, got) = got.map_or_else(|failure| (false, Err(failure)), |got| (got.deaf, got.certificate));
        let stored = match got {
            Ok((mut whole, held)) => {
                let file = kept.file.clone();
                let save = move || {
                    let saved = store::save(&file, &whole);
                    whole.zeroize();
                    saved
                };
                aside(save).await.map(|()| held)
            }
            Err(failure) => Err(failure),
        };
        match &stored {
            Ok(_) => way.tell_of_file().await,
            Err(_) => drop(way.present(None).await),
        }
        self.strangers = match &stored {
            Err(failure) if failure.unknown => self.strangers + 1,
            Err(_) => self.strangers,
            Ok(_) => 0,
        };
        // One answer may be the fault of one of its machines.
        if self.strangers >= STRANGERS {
            self.strangers = 0;
            order::forget(settings).await;
        }
        if let Some(kept) = self.kept.get_mut(place) {
            kept.record.deaf |= deaf;
        }
        Some(stored)
    }

    /// Remembers what has come of an order, and says so.
    async fn settle(&mut self, place: usize, before: &'static str, outcome: Result<Held, Failure>) {
        let (now, chance) = (now(), self.chance());
        let Some(kept) = self.kept.get_mut(place) else { return };
        kept.chance = chance;
        let name = kept.name().to_owned();
        let (to, reason) = match outcome {
            Ok(held) => {
                info!(certificate = %name, "a certificate has been issued, good until {} (seconds since 1970)", held.life.1);
                kept.issued += 1;
                let (names, deaf) = (kept.names.clone(), kept.record.deaf);
                kept.record = Record { names, issued: now, deaf, ..Record::default() };
                kept.window = None;
                kept.ask_at = now;
                let reason = format!("for {}, good until {} (seconds since 1970)", kept.names.join(", "), held.life.1);
                kept.held = Some(held);
                ("issued", reason)
            }
            Err(failure) => {
                kept.failed += 1;
                let failures = kept.record.failures.saturating_add(1);
                let pause = moment::pause(failures, failure.asked, failure.limited, chance);
                warn!(certificate = %name, failures, pause_seconds = pause, "no certificate was issued: {}", failure.words);
                let names = kept.names.clone();
                let error = Some(failure.words.clone());
                let before = std::mem::take(&mut kept.record);
                kept.record = Record { names, failures, not_before: now + pause, error, ..before };
                ("failed", failure.words)
            }
        };
        if let Err(failure) = remember(&kept.record, &kept.file).await {
            warn!(certificate = %name, "what has come of an order is forgotten at the end: {}", failure.words);
        }
        self.show();
        (self.outlet.tell)(Transition { name, from: before, to, reason });
    }

    /// Asks the authority when it wants a certificate renewed (RFC 9773).
    async fn ask(&mut self, place: usize) {
        let (Some(settings), Some(kept)) = (self.settings.clone(), self.kept.get(place)) else { return };
        let Some(identifier) = kept.held.as_ref().and_then(Held::identifier) else { return };
        let asked = apart(async move {
            let web = web(&settings).await?;
            let account = order::account(&settings, &web).await?;
            match account.renewal_info(&identifier).await {
                Ok((info, after)) => {
                    let window = info.suggested_window;
                    Ok(Some(((window.start.unix_timestamp(), window.end.unix_timestamp()), after)))
                }
                Err(Error::Unsupported(_)) => Ok(None),
                Err(error) => Err(Failure::of(&error, &web)),
            }
        });
        let (asked, now, chance) = (asked.await, now(), self.chance());
        let Some(kept) = self.kept.get_mut(place) else { return };
        kept.ask_at = moment::ask_again(now, None);
        match asked {
            Ok(Some((window, after))) => {
                kept.ask_at = moment::ask_again(now, i64::try_from(after.as_secs()).ok());
                if kept.window != Some(window) {
                    (kept.window, kept.chance) = (Some(window), chance);
                    let (from, to) = window;
                    info!(certificate = %kept.name(), from, to, "the authority says when to renew a certificate");
                }
            }
            Ok(None) => kept.window = None,
            Err(failure) => {
                debug!(certificate = %kept.name(), "the authority does not say when to renew: {}", failure.words);
            }
        }
    }

    fn show(&self) {
        let now = now();
        let directory = self.settings.as_ref().map_or_else(String::new, |settings| settings.directory.clone());
        let standings: Vec<Standing> = self.kept.iter().map(|kept| kept.standing(&directory, now)).collect();
        self.outlet.shown.send_replace(standings.into());
    }
}

/// What has come of an order that was made.
struct Got {
    /// Whether its authority did not say which certificate it is for, though it was told.
    deaf: bool,
    /// The chain and its key as PEM.
    certificate: Result<(Vec<u8>, Held), Failure>,
}

/// Gets a certificate in the place of another. The challenges are still answered when this returns.
async fn get(
    way: Way,
    settings: model::Acme,
    names: Vec<String>,
    replaced: Option<CertificateIdentifier<'static>>,
) -> Result<Got, Failure> {
    let web = web(&settings).await?;
    let account = order::account(&settings, &web).await?;
    let (mut order, deaf) = order::begin((&account, &web), &names, replaced).await?;
    let certificate = async {
        let challenges = order::challenges(&mut order, &names, settings.challenge, &web).await?;
        way.present(Some(Arc::new(challenges))).await?;
        order::validate(&mut order, settings.challenge, &web).await?;
        order::finish(&mut order, &names, settings.key, &web).await
    };
    Ok(Got { deaf, certificate: certificate.await })
}

async fn web(settings: &model::Acme) -> Result<Web, Failure> {
    let settings = settings.clone();
    aside(move || Web::new(&settings)).await
}

/// Writes down what is remembered of the orders of the certificate in this file.
async fn remember(record: &Record, file: &Path) -> Result<(), Failure> {
    let (record, file) = (record.clone(), store::record(file));
    aside(move || {
        let text = serde_json::to_vec_pretty(&record).map_err(|error| error.to_string())?;
        store::save(&file, &text)
    })
    .await
}

/// What the files hold: nothing where there is none, or one that is spoilt.
///
/// # Errors
/// Why one cannot be read, in words: whether there is a certificate, and when another may be asked for, is not known then.
async fn read(file: PathBuf) -> Result<(Option<Held>, Record), Failure> {
    let shown = file.display().to_string();
    let read = aside(move || {
        let record = store::load(&store::record(&file))?;
        let record = record.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
        let held = store::load(&file)?.map(|mut text| {
            let held = Held::read(&text);
            text.zeroize();
            held
        });
        Ok((held, record))
    });
    let (held, record) = read.await?;
    let held = held.and_then(|held| {
        held.map_err(|why| warn!("{shown} is no certificate with its key, another is got: {why}")).ok()
    });
    Ok((held, record))
}

impl Plan {
    /// Whether an order that began by these settings is still wanted.
    fn keeps(&self, settings: &model::Acme, kept: &Kept) -> bool {
        let same = |(names, file): &(Vec<String>, PathBuf)| *names == kept.names && *file == kept.file;
        self.settings.as_ref() == Some(settings) && self.certificates.iter().any(same)
    }
}

impl Kept {
    /// One of which nothing is known yet.
    fn new(names: &[String], file: &Path, chance: Chance, ask_at: i64) -> Self {
        Self {
            names: names.to_vec(),
            file: file.to_owned(),
            held: None,
            record: Record::default(),
            unread: true,
            chance,
            window: None,
            ask_at,
            ordering: false,
            issued: 0,
            failed: 0,
        }
    }

    /// Takes up what its files hold. While one cannot be read nothing is ordered, and it is tried again.
    async fn read(&mut self) {
        match read(self.file.clone()).await {
            Ok((held, record)) => {
                let issued = record.issued;
                let same = record.names == self.names;
                self.record = if same { record } else { Record { issued, ..Record::default() } };
                (self.held, self.unread) = (held, false);
            }
            Err(failure) => {
                warn!(certificate = %self.name(), "nothing is ordered before this can be read: {}", failure.words);
                self.record.error = Some(failure.words);
                self.record.not_before = now() + UNREAD;
            }
        }
    }

    fn name(&self) -> &str {
        self.names.first().map_or("", String::as_str)
    }

    /// What is remembered of an order that has begun, until it is known what has come of it.
    fn begun(&self, now: i64) -> Record {
        let failures = self.record.failures.saturating_add(1);
        Record {
            names: self.names.clone(),
            failures,
            not_before: now + moment::pause(failures, None, false, self.chance),
            error: Some("the gateway ended while an order was under way".into()),
            ..self.record.clone()
        }
    }

    /// When the next order is due, and why.
    fn due(&self, now: i64) -> (i64, Reason) {
        // An authority that adds a name of its own is not asked again for that.
        let fits = |held: &&Held| {
            held.is_for_these(&self.names) || held.is_for(&self.names) && self.record.names == self.names
        };
        let (at, reason) = match self.held.as_ref().filter(fits) {
            None => (0, Reason::First),
            Some(held) => {
                let (at, reason) = moment::renewal(held.life, self.window, self.chance);
                let rested = self.record.issued.saturating_add(moment::REST);
                (at.max(moment::bound(rested, now, moment::REST)), reason)
            }
        };
        let not_before = moment::bound(self.record.not_before, now, moment::FARTHEST);
        if (self.unread || self.record.failures > 0) && not_before > at {
            return (not_before, Reason::Again);
        }
        (at, reason)
    }

    fn state(&self, now: i64) -> State {
        match &self.held {
            _ if self.ordering => State::Ordering,
            None => State::Pending,
            Some(held) if held.life.1 <= now => State::Expired,
            Some(_) => State::Issued,
        }
    }

    fn standing(&self, directory: &str, now: i64) -> Standing {
        let (next, reason) = self.due(now);
        Standing {
            names: self.names.clone(),
            file: self.file.clone(),
            directory: directory.to_owned(),
            state: self.state(now),
            not_after: self.held.as_ref().map(|held| held.life.1),
            next: next.max(0),
            reason,
            window: self.window,
            failures: self.record.failures,
            error: self.record.error.clone(),
            issued_total: self.issued,
            failed_total: self.failed,
        }
    }
}

impl Way {
    /// Has all cores answer these challenges, or none.
    async fn present(&self, challenges: Option<Arc<Challenges>>) -> Result<(), Failure> {
        let (done, taken) = oneshot::channel();
        self.wait_for(Ask::Present { challenges, done }, taken).await
    }

    /// Has all cores serve what is in the files.
    async fn tell_of_file(&self) {
        let (done, taken) = oneshot::channel();
        if self.wait_for(Ask::Stored { done }, taken).await.is_err() {
            warn!("a core has not taken a new certificate yet");
        }
    }

    async fn wait_for(&self, ask: Ask, taken: oneshot::Receiver<()>) -> Result<(), Failure> {
        let asked = async { self.0.send(ask).await.is_ok() && taken.await.is_ok() };
        match timeout(TAKE, asked).await {
            Ok(true) => Ok(()),
            Ok(false) | Err(_) => Err(Failure::plain("not all cores have taken the answers to the challenges")),
        }
    }
}

fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    i64::try_from(now).unwrap_or(i64::MAX)
}
