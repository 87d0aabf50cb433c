//! Step 4: one request, all its branches. The route is found, the body's beginning taken, and the request brought to its
//! end; the record is left behind, and the connection's fate decided.

use std::rc::Rc;

use crate::http::forward;
use crate::http::head::Method;
use crate::http::identity::Identity;
use crate::http::path::Rules;
use crate::http::upgrade;
use crate::observe::ended::Cause;
use crate::observe::ended::Ended;
use crate::observe::ended::Phase;
use crate::serve::attempt::Body;
use crate::serve::conn::Client;
use crate::serve::course;
use crate::serve::h1::Fate;
use crate::serve::reply;
use crate::serve::reply::Answer;
use crate::serve::tally::Facts;
use crate::serve::tally::Running;
use crate::serve::tally::Tally;
use crate::shard::Shard;
use crate::snapshot::Listener;
use crate::snapshot::Route;

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
            let mut place = String::new();
            let outcome = match (elsewhere(client, listener, route, &mut place), route) {
                (Some(answer), _) => course::answer_whole(shard, client, &tally, &body, answer).await,
                (None, None) => {
                    course::answer_whole(shard, client, &tally, &body, Answer::to(Cause::NoRoute, "")).await
                }
                (None, Some(route)) => course::run(shard, client, &mut body, (&facts, route), (&tally, &upgrade)).await,
            };
            tally.body_in.set(tally.body_in.get() + body.source.taken());
            (outcome, body.consumed)
        }
    };
    tally.finish(shard, client, &facts, ended);
    client.inbound.consume(consumed);
    fate
}

/// The answer to a request that came to the wrong place: by a connection that was made for another host, or under another
/// rule than that of its host, or in the open where it is to come by TLS, at the `place` that is written down then.
fn elsewhere<'a>(
    client: &Client<'_>,
    listener: Option<&Listener>,
    route: Option<&Route>,
    place: &'a mut String,
) -> Option<Answer<'a>> {
    let redirect = listener.and_then(|listener| listener.settings.redirect);
    let rule = route.and_then(|route| route.rule.as_ref());
    if client.seat.secured().is_none() && redirect.is_none() {
        return rule.filter(|rule| rule.requires()).map(|_| Answer::to(Cause::Misdirected, ""));
    }
    let request = client.request.view(client.inbound.bytes());
    let method = request.method_kind();
    if let Some(secured) = client.seat.secured() {
        let other = method != Method::Connect && secured.is_for_another(request.host_name());
        let other = other || (route.is_some() && secured.rule.as_ref() != rule);
        return other.then(|| Answer::to(Cause::Misdirected, ""));
    }
    let visible = |bytes: &[u8]| bytes.iter().all(u8::is_ascii_graphic);
    let (host, target) = (request.host_name(), request.origin_form());
    if host.is_empty() || !visible(host) || !visible(target) || method == Method::Connect {
        return Some(Answer::to(Cause::BadRequest, "it is to be asked by TLS, and names no place that could be told"));
    }
    let port = redirect.filter(|port| *port != 443).map_or_else(String::new, |port| format!(":{port}"));
    let slash = if target.starts_with(b"/") { "" } else { "/" };
    let target = String::from_utf8_lossy(target);
    *place = format!("https://{}{port}{slash}{target}", String::from_utf8_lossy(host));
    let status = if matches!(method, Method::Get | Method::Head) { 301 } else { 308 };
    Some(Answer { status, location: place, ..Answer::to(Cause::Redirected, "") })
}

/// Answers a request that is not to be read further.
async fn refuse(shard: &Shard, client: &mut Client<'_>, tally: &Tally, answer: Answer<'_>) -> (Ended, Fate) {
    let head_only = client.request.view(client.inbound.bytes()).method_kind() == Method::Head;
    reply::send(shard, client, tally, Answer { close: true, head_only, ..answer }).await;
    (tally.ended(answer.cause), Fate::Linger)
}
