//! What has changed of late: a bounded row of events, and how many of each kind there were. `control` notes them; whoever
//! follows reads at their own pace, and is told how much they missed if they are too slow. It refuses to know why
//! something changed.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use futures_core::Stream;
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc;
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::info;
use tracing::warn;

use crate::id::UpstreamSlot;

/// Something that has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What kind of change.
    pub kind: Kind,
    /// Whose endpoint, if it is one's: the upstream's slot and name.
    pub upstream: Option<(UpstreamSlot, String)>,
    /// Its address, or what else has changed.
    pub what: String,
    /// What it was.
    pub from: String,
    /// What it is.
    pub to: String,
    /// Why, in words.
    pub reason: String,
}

/// A kind of change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// What the active check says of an endpoint.
    Health,
    /// An endpoint is left out because of its answers, or comes back.
    Ejection,
    /// So few endpoints of an upstream may be chosen that all are taken, or that is over.
    Panic,
    /// An operator's order to an endpoint.
    Order,
    /// A weight that an operator has given an endpoint.
    Weight,
    /// A new configuration, in force or refused.
    Reload,
    /// A core that died.
    Core,
    /// The process as a whole.
    Process,
    /// What the gateway does because it is short of something itself.
    Overload,
    /// A certificate that was ordered by ACME.
    Certificate,
}

/// Where events are noted. Cheap to copy.
#[derive(Clone, Debug)]
pub struct Journal(watch::Sender<Book>);

/// The last events, and how many there were.
#[derive(Debug)]
pub struct Book {
    /// Tells this process's numbers from those of the one before.
    run: u64,
    last: VecDeque<Noted>,
    /// The number of the next event; they begin at 1.
    next: u64,
    counts: BTreeMap<(UpstreamSlot, Kind, String), u64>,
}

#[derive(Debug)]
struct Noted {
    at: SystemTime,
    event: Event,
}

impl Default for Journal {
    fn default() -> Self {
        let run = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Self(watch::Sender::new(Book { run, last: VecDeque::new(), next: 1, counts: BTreeMap::new() }))
    }
}

impl Journal {
    /// Notes an event; one of an endpoint is logged as well. Never waits.
    pub fn note(&self, event: Event) {
        if let Some((_, upstream)) = &event.upstream {
            let Event { kind, what: endpoint, from, to, reason, .. } = &event;
            let kind = kind.word();
            if matches!(to.as_str(), "down" | "ejected") {
                warn!(%upstream, %endpoint, kind, %from, %to, "endpoint: {reason}");
            } else {
                info!(%upstream, %endpoint, kind, %from, %to, "endpoint: {reason}");
            }
        }
        self.0.send_modify(|book| book.push(SystemTime::now(), event));
    }

    /// What is noted, now and from now on.
    #[must_use]
    pub fn book(&self) -> watch::Receiver<Book> {
        self.0.subscribe()
    }
}

impl Kind {
    /// The word of the admin interface.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Health => "health",
            Self::Ejection => "ejection",
            Self::Panic => "panic",
            Self::Order => "order",
            Self::Weight => "weight",
            Self::Reload => "reload",
            Self::Core => "core",
            Self::Process => "process",
            Self::Overload => "overload",
            Self::Certificate => "certificate",
        }
    }
}

impl Book {
    fn push(&mut self, at: SystemTime, event: Event) {
        // Weights are numbers: their values are no closed set, and not counted.
        if let Some((slot, _)) = event.upstream.as_ref().filter(|_| event.kind != Kind::Weight) {
            *self.counts.entry((*slot, event.kind, event.to.clone())).or_default() += 1;
        }
        self.last.push_back(Noted { at, event });
        self.next += 1;
        if self.last.len() > KEPT {
            self.last.pop_front();
        }
    }

    /// How often an endpoint of an upstream has become `to`.
    #[must_use]
    pub fn count(&self, upstream: UpstreamSlot, kind: Kind, to: &str) -> u64 {
        self.counts.get(&(upstream, kind, to.to_owned())).copied().unwrap_or(0)
    }

    /// Where to begin for somebody who has seen the event of this id last, and for somebody new.
    pub(super) fn start(&self, last_seen: Option<&str>) -> u64 {
        let Some(seen) = last_seen else { return self.next };
        let known = seen.split_once('-').filter(|(run, _)| run.parse() == Ok(self.run));
        let number = known.and_then(|(_, number)| number.parse::<u64>().ok());
        // An id of another process: all that this one has is new.
        number.map_or_else(|| self.oldest(), |number| number.saturating_add(1).min(self.next))
    }

    fn oldest(&self) -> u64 {
        self.next.saturating_sub(self.last.len() as u64)
    }

    /// Some of the events from `next` on, as a stream carries them; empty if there is none.
    pub(super) fn since(&self, next: &mut u64) -> String {
        let mut text = String::new();
        let oldest = self.oldest();
        if *next < oldest {
            let missed = oldest - *next;
            text.push_str(&format!("event: missed\ndata: {}\n\n", json!({ "missed": missed })));
            *next = oldest;
        }
        let skip = usize::try_from(*next - oldest).unwrap_or(usize::MAX);
        for noted in self.last.iter().skip(skip).take(TOGETHER) {
            text.push_str(&noted.text(self.run, *next));
            *next += 1;
        }
        text
    }
}

impl Noted {
    /// The event as a block of a stream of server-sent events. JSON has no bare line ends, so it is one line.
    fn text(&self, run: u64, number: u64) -> String {
        let Event { kind, upstream, what, from, to, reason } = &self.event;
        let at = self.at.duration_since(UNIX_EPOCH).map_or(0.0, |since| (since.as_secs_f64() * 1e3).round() / 1e3);
        let id = format!("{run}-{number}");
        let kind = kind.word();
        let mut data = json!({ "id": id, "at": at, "kind": kind, "from": from, "to": to, "reason": reason });
        match upstream {
            Some((_, upstream)) => (data["upstream"], data["endpoint"]) = (json!(upstream), json!(what)),
            None => data["what"] = json!(what),
        }
        format!("id: {id}\nevent: {kind}\ndata: {data}\n\n")
    }
}

/// A stream of events to one who follows.
#[derive(Debug)]
pub(super) struct Lines(mpsc::Receiver<String>);

impl Lines {
    /// Follows a book from after the event that was seen last, or from now on. `place` is given back at the end.
    pub(super) fn follow(book: watch::Receiver<Book>, last_seen: Option<&str>, place: OwnedSemaphorePermit) -> Self {
        let next = book.borrow().start(last_seen);
        let (out, lines) = mpsc::channel(1);
        tokio::spawn(async move {
            feed(book, next, out).await;
            drop(place);
        });
        Self(lines)
    }
}

impl Stream for Lines {
    type Item = Result<String, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(cx).map(|text| text.map(Ok))
    }
}

/// Hands on what is noted, one piece after the other as they are taken. Nothing is kept for who is slow: they find the book
/// further on.
async fn feed(mut book: watch::Receiver<Book>, mut next: u64, out: mpsc::Sender<String>) {
    let end = Instant::now() + LIFE;
    let mut text = String::from(": events\nretry: 1000\n\n");
    loop {
        if !text.is_empty() && out.send(text).await.is_err() {
            return;
        }
        text = book.borrow_and_update().since(&mut next);
        if !text.is_empty() {
            continue;
        }
        tokio::select! {
            changed = book.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(HEARTBEAT) => text = ":\n\n".into(),
            () = tokio::time::sleep_until(end) => return,
            () = out.closed() => return,
        }
    }
}

/// Events that are kept.
pub const KEPT: usize = 1024;
/// Events in one piece.
const TOGETHER: usize = 64;
/// A stream with nothing to say says so this often.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// A stream ends after this, before its connection is too old; who follows asks again, with the last id.
const LIFE: Duration = Duration::from_mins(9);
/// Streams at once.
pub(super) const STREAMS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn event(n: usize) -> Event {
        Event {
            kind: Kind::Health,
            upstream: Some((UpstreamSlot(1), "app".into())),
            what: "127.0.0.1:80".into(),
            from: "up".into(),
            to: "down".into(),
            reason: format!("line {n}\nbreak"),
        }
    }

    fn ids(text: &str) -> Vec<u64> {
        let ids = text.lines().filter_map(|line| line.strip_prefix("id: "));
        ids.map(|id| id.split_once('-').unwrap().1.parse().unwrap()).collect()
    }

    fn all(book: &Book, mut next: u64) -> String {
        let mut text = String::new();
        loop {
            let more = book.since(&mut next);
            if more.is_empty() {
                return text;
            }
            text.push_str(&more);
        }
    }

    #[test]
    fn who_comes_back_goes_on_where_they_were() {
        let journal = Journal::default();
        (0..10).for_each(|n| journal.note(event(n)));
        let book = journal.book();
        let book = book.borrow();
        let run = book.run;
        for (seen, expected) in [
            (None, vec![]),
            (Some(format!("{run}-7")), vec![8, 9, 10]),
            (Some(format!("{run}-10")), vec![]),
            (Some(format!("{run}-{}", u64::MAX)), vec![]),
            (Some("0".into()), (1..=10).collect()),
            (Some("12-7".into()), (1..=10).collect()),
            (Some("\u{fffd}".into()), (1..=10).collect()),
        ] {
            assert_eq!(ids(&all(&book, book.start(seen.as_deref()))), expected, "{seen:?}");
        }
        assert_eq!(book.count(UpstreamSlot(1), Kind::Health, "down"), 10);
    }

    #[test]
    fn who_is_too_slow_is_told_how_many_were_missed() {
        let journal = Journal::default();
        (0..KEPT + 30).for_each(|n| journal.note(event(n)));
        let text = all(&journal.book().borrow(), 1);
        assert!(text.starts_with("event: missed\ndata: {\"missed\":30}\n\n"), "{}", &text[..80]);
        assert_eq!(ids(&text).len(), KEPT);
        assert_eq!(ids(&text)[0], 31);
    }

    #[test]
    fn an_event_is_one_block_whatever_its_words() {
        let journal = Journal::default();
        journal.note(event(0));
        let text = all(&journal.book().borrow(), 1);
        assert_eq!(text.matches("\n\n").count(), 1);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 4, "{text}");
        assert_eq!(lines[1], "event: health");
        let data: serde_json::Value = serde_json::from_str(lines[2].strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!(data["reason"], "line 0\nbreak");
        assert_eq!((&data["upstream"], &data["endpoint"]), (&json!("app"), &json!("127.0.0.1:80")));
    }

    #[tokio::test(flavor = "current_thread")]
    async fn who_takes_nothing_holds_nobody_up() {
        let journal = Journal::default();
        let places = std::sync::Arc::new(tokio::sync::Semaphore::new(1));
        let place = places.clone().acquire_owned().await.unwrap();
        let mut lines = Lines::follow(journal.book(), None, place);
        tokio::task::yield_now().await;
        (0..3 * KEPT).for_each(|n| journal.note(event(n)));
        let mut text = String::new();
        while ids(&text).last() != Some(&(3 * KEPT as u64)) {
            text.push_str(&lines.0.recv().await.unwrap());
        }
        assert!(text.contains("event: missed"));
        drop(lines);
        drop(places.acquire_owned().await.unwrap());
    }
}
