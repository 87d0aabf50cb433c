//! Step 4: one request, all its branches. The route is found, the body's beginning taken, attempts are made until one
//! answers or none may be made any more; the record is left behind, and the connection's fate decided.

use std::rc::Rc;

use crate::balance::Ask;
use crate::balance::Tried;
use crate::http::forward;
use crate::http::head::Method;
use crate::http::identity::Identity;
use crate::http::path::Rules;
use crate::http::upgrade;
use crate::observe::ended::Cause;
use crate::observe::ended::Ended;
use crate::observe::ended::Phase;
use crate::serve::attempt;
use crate::serve::attempt::Body;
use crate::serve::attempt::Failed;
use crate::serve::attempt::Scene;
use crate::serve::attempt::Terms;
use crate::serve::conn::Client;
use crate::serve::h1::Fate;
use crate::serve::reply;
use crate::serve::reply::Answer;
use crate::serve::tally::Facts;
use crate::serve::tally::Running;
use crate::serve::tally::Tally;
use crate::shard::Shard;

/// Exchanges the request at the front of the client's buffer for a response.
pub(crate) async fn exchange(shard: &Rc<Shard>, client: &mut Client<'_>) -> Fate {
    let generation = shard.generation();
    let request = client.request.view(client.inbound.bytes());
    let _running = Running::begin(&shard.slab);
    let tally = Tally::begin(shard, forward::request_id(request));
    assert!(!shard.drill.take(), "a drill");
    tally.phase.set(Phase::Route);
    let listener = generation.listener(client.seat.place.listener);
    let rules = listener.map_or(Rules::STRICT, |listener| listener.settings.paths);
    let normal = client.request.normalise_path(client.inbound.bytes(), rules);
    let request = client.request.view(client.inbound.bytes());
    // What is routed is what is forwarded: of a path that is refused there is neither.
    let found = normal.ok().and_then(|()| generation.snapshot.table.find(request.host_name(), request.path()));
    let route = found.map(|index| generation.snapshot.route(index));
    let peer = client.seat.peer;
    let trusted = listener.map(|listener| &listener.settings.trusted);
    let identity = trusted.map_or(Identity::unheard(peer), |trusted| Identity::of(request, peer, trusted));
    let upgrade = route.map_or_else(Vec::new, |route| upgrade::passed(request, &route.settings.upgrade));
    let facts = Facts { generation: &generation, listener, identity, route, understood: true };

    let body = normal.map_err(reply::refused).and_then(|()| Body::begin(client, &facts));
    let ((ended, fate), consumed) = match body {
        Err(answer) => (refuse(shard, client, &tally, answer).await, 0),
        Ok(mut body) => {
            let outcome = match route {
                None => answer_whole(shard, client, &tally, &body, Answer::to(Cause::NoRoute, "")).await,
                Some(route) => {
                    let upstream = generation.snapshot.upstream(route.upstream);
                    let (facts, tally, upgrade) = (&facts, &tally, upgrade.as_slice());
                    let terms = Terms::of(listener, upstream, route);
                    let scene = Scene { shard, facts, upstream, route, terms, tally, upgrade };
                    forward(&scene, client, &mut body).await
                }
            };
            tally.body_in.set(tally.body_in.get() + body.source.taken());
            (outcome, body.consumed)
        }
    };
    tally.finish(shard, client, &facts, ended);
    client.inbound.consume(consumed);
    fate
}

/// Makes attempts until one has answered.
async fn forward(scene: &Scene<'_>, client: &mut Client<'_>, body: &mut Body) -> (Ended, Fate) {
    let Scene { shard, facts, upstream, route, tally, .. } = *scene;
    let generation = facts.generation;
    let mut tried = Tried::default();
    let mut last = Failed::none();
    let mut fresh = None;
    let attempts = route.settings.attempts.unwrap_or(upstream.settings.retry.attempts);
    // An endpoint whose connections are all taken costs a look, and no attempt.
    for _ in 0..Tried::MOST {
        if tally.attempts.get() >= attempts {
            break;
        }
        let ask = Ask { tried: &tried, key: None, sticky: None };
        let now = shard.board_now();
        let picked = fresh.take().or_else(|| generation.pick(route.upstream, &ask, now, &shard.rng));
        let Some(place) = picked else { break };
        // A second attempt is paid for, unless it only mends our own pool's staleness.
        if tally.attempts.get() > 0 && !tried.has(place) && !generation.may_retry(route.upstream, now) {
            break;
        }
        if tally.attempts.get() > 0 {
            shard.slab.upstream(upstream.slot).retries.add(1);
        }
        match attempt::attempt(scene, client, body, place, tried.has(place)).await {
            Ok(done) => return done,
            Err(failed) => {
                last = failed;
                if !failed.again(client, body) {
                    break;
                }
                // A kept connection that had died meanwhile says nothing of its endpoint: the same once more, fresh, and
                // this was no attempt at it.
                if failed.stale {
                    fresh = Some(place);
                    tally.attempts.set(tally.attempts.get().saturating_sub(1));
                }
                tried.note(place);
            }
        }
    }
    answer_whole(shard, client, tally, body, Answer::to(last.cause, last.detail)).await
}

/// Answers in the upstream's stead. The connection is kept if the request was read whole, unless it was to become a tunnel:
/// what its client has sent for that is no request.
async fn answer_whole(
    shard: &Shard,
    client: &mut Client<'_>,
    tally: &Tally,
    body: &Body,
    answer: Answer<'_>,
) -> (Ended, Fate) {
    let request = client.request.view(client.inbound.bytes());
    let head_only = request.method_kind() == Method::Head;
    let tunnel = request.method_kind() == Method::Connect || upgrade::is_asked(request);
    let keep = !tunnel && body.source.ended() && request.keep_alive() && client.seat.stays(shard).is_some();
    reply::send(shard, client, tally, Answer { close: !keep, head_only, ..answer }).await;
    (tally.ended(answer.cause), if keep { Fate::Keep } else { Fate::Linger })
}

/// Answers a request that is not to be read further.
async fn refuse(shard: &Shard, client: &mut Client<'_>, tally: &Tally, answer: Answer<'_>) -> (Ended, Fate) {
    let head_only = client.request.view(client.inbound.bytes()).method_kind() == Method::Head;
    reply::send(shard, client, tally, Answer { close: true, head_only, ..answer }).await;
    (tally.ended(answer.cause), Fate::Linger)
}
