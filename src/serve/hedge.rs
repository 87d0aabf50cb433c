//! An attempt that is helped by a second one, at another endpoint, when it takes long. Both are sent the same request; the
//! one whose response head comes first is the attempt, and the other is cancelled: its connection is closed and it counts
//! as in flight no more.

use std::cell::Cell;
use std::future::pending;
use std::time::Duration;

use crate::buf::Block;
use crate::http::head::HeadLimits;
use crate::http::head::ResponseHead;
use crate::io::both::beside;
use crate::io::both::either;
use crate::io::socket::Cut;
use crate::io::task;
use crate::model::HedgeAfter;
use crate::observe::ended::Cause;
use crate::policy::retry::Fault;
use crate::serve::attempt;
use crate::serve::attempt::Body;
use crate::serve::attempt::Failed;
use crate::serve::attempt::Held;
use crate::serve::attempt::Scene;
use crate::serve::conn::Client;
use crate::serve::course::Next;
use crate::serve::respond;
use crate::wire::h1;

/// Which of the [outcomes](crate::observe::metrics::HEDGES).
const MADE: usize = 0;
const WON: usize = 1;
const CANCELLED: usize = 2;
const UNPAID: usize = 3;

/// After how long a second attempt is made beside the first; nothing: none is. Only what is here whole and may be acted upon
/// twice is sent twice.
pub(crate) fn after(scene: &Scene<'_>, body: &Body) -> Option<Duration> {
    let Scene { shard, facts, route, tally, upgrade, course, .. } = *scene;
    let hedge = route.settings.hedge?;
    if tally.attempts.get() == 0 {
        facts.generation.earn_hedge(route.upstream, hedge.percent);
    }
    let first = tally.attempts.get() == 0 && upgrade.is_empty();
    if !first || !course.may_hedge() || !body.source.ended() {
        return None;
    }
    match hedge.after {
        HedgeAfter::Time(time) => Some(time),
        HedgeAfter::Percentile(percent) => shard.gates.times(route.slot).borrow().percentile(percent),
    }
}

/// Makes the attempt that is `next`, and another one beside it once `wait` is over. What it gives back has been sent the
/// request and has answered.
///
/// # Errors
/// Nothing: the client has gone. [`Failed`]: none of the two answered.
pub(crate) async fn race<'a>(
    scene: &Scene<'a>,
    client: &Client<'_>,
    body: &Body,
    next: Next,
    wait: Duration,
) -> Option<Result<Held<'a>, Failed>> {
    let Scene { shard, facts, upstream, route, tally, course, .. } = *scene;
    let place = next.place;
    let counts = &shard.slab.upstream(upstream.slot).hedges;
    let count = |outcome: usize| counts.iter().skip(outcome).take(1).for_each(|count| count.add(1));
    let (begun, ended) = (Cell::new(false), Cell::new(0));
    let first = async {
        let opened = Box::pin(open(scene, client, body, (place, next.fresh))).await;
        ended.set(ended.get() + 1);
        opened
    };
    let second = async {
        task::sleep(wait).await;
        let Some(other) = course.another(scene, place) else { return pending().await };
        if !facts.generation.may_hedge(route.upstream) {
            count(UNPAID);
            return pending().await;
        }
        course.tries(other);
        begun.set(true);
        count(MADE);
        let opened = Box::pin(open(scene, client, body, (other, false))).await;
        ended.set(ended.get() + 1);
        opened
    };
    let (outcome, _) = beside(either(first, second, &begun), client.seat.line.gone(), |()| true).await;
    let won = outcome.as_ref().and_then(|outcome| outcome.as_ref().ok()).map(|held| held.place);
    if begun.get() && ended.get() < 2 {
        count(CANCELLED);
    }
    let since = tally.began + tally.queue_us.get();
    if won.is_some_and(|won| won != place) {
        count(WON);
        // One that never answers is cancelled each time: else nothing would ever be said of it.
        if let Some(slow) = upstream.endpoints.get(place).filter(|_| ended.get() < 2) {
            shard.ledger.outrun(slow.slot, since, shard.clock.now_us());
        }
    }
    if let Some(Ok(held)) = &outcome {
        tally.endpoint.set(Some(held.place));
        tally.upstream_us.set(held.began.saturating_sub(since));
    }
    outcome
}

/// Sends the request to one endpoint and awaits the final head of its response. That stays where it was read, and so do the
/// interim ones before it: they are an answer of nobody, and go to the client if this one is.
async fn open<'a>(
    scene: &Scene<'a>,
    client: &Client<'_>,
    body: &Body,
    (place, fresh): (usize, bool),
) -> Result<Held<'a>, Failed> {
    let mut held = attempt::lend(scene, client, place, fresh).await?;
    let mut out = attempt::encode(scene, client, body, held.endpoint);
    let reused = held.lease.reused;
    let failed = if held.lease.line().write(&mut out, scene.terms.give()).await.is_ok() {
        let limits = scene.upstream.settings.response;
        let limits = HeadLimits { head_bytes: limits.head_bytes, fields: limits.fields, target_bytes: 0 };
        let (line, inbound) = held.lease.parts();
        line.reading().arm(scene.patience(scene.terms.response()), Cut::Both);
        // It is large, and read here only to know that it is whole.
        let mut head = Box::<ResponseHead>::default();
        let (mut interim, mut left) = (Vec::new(), scene.upstream.settings.response.interim);
        loop {
            if let Err(reason) = h1::read_response(line, inbound, &mut head, &limits).await {
                let heard = !(inbound.is_empty() && interim.is_empty());
                break attempt::failed(&respond::unheard(scene, reason, heard), reused);
            }
            if left == 0 || !matches!(head.view(inbound.bytes()).status(), 100 | 102..=199) {
                put_back(inbound, &interim);
                return Ok(held);
            }
            left -= 1;
            interim.extend_from_slice(inbound.bytes().get(..head.len()).unwrap_or(&[]));
            inbound.consume(head.len());
        }
    } else {
        let fault = if reused { Fault::Stale } else { Fault::Reset };
        Failed { cause: Cause::UpstreamReset, detail: "", fault }
    };
    scene.tally.endpoint.set(Some(place));
    attempt::count_failure(scene, (&held.flight, held.began), &failed);
    Err(failed)
}

/// Puts what was taken off the front of a block there again.
fn put_back(inbound: &mut Block, taken: &[u8]) {
    if !taken.is_empty() {
        let mut whole = Block::with_room(taken.len() + inbound.len());
        whole.tail().extend_from_slice(taken);
        whole.tail().extend_from_slice(inbound.bytes());
        *inbound = whole;
    }
}
