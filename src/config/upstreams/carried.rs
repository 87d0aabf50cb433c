//! An upstream that listeners carry bytes to: what of it takes requests, and has none. It refuses to know how bytes are
//! carried.

use super::UpstreamForm;
use crate::config::key::Field;
use crate::config::report::Fault;
use crate::config::report::Faults;
use crate::config::report::Span;
use crate::config::report::tick;
use crate::model::Balance;
use crate::model::HashKey;

impl UpstreamForm {
    /// Says what cannot be, since bytes are carried to it from `at`, and requests come to it only if it is `asked`.
    pub(in crate::config) fn carried(
        &self,
        owner: &str,
        defaults: &Self,
        (at, asked): (Span, bool),
        faults: &mut Faults,
    ) {
        let found =
            [self.cookie(defaults), self.hash(defaults, asked), self.tls_of_its_own(defaults), self.adapts(defaults)];
        for (place, what, help) in found.into_iter().flatten() {
            let message = format!("{owner} {what}, and bytes are carried to it as they are");
            faults.add(Fault::wrong(place, message).also(at, "carried to it here").help(help));
        }
        if asked {
            return;
        }
        for (key, place) in self.of_requests() {
            if let Some(place) = place {
                let message = format!("{} of {owner} has no effect: bytes alone are carried to it", tick(key));
                let fault = Fault::wrong(place, message).also(at, "carried to it here");
                faults.add(fault.help("take it away; it concerns requests, and no route leads to this upstream"));
            }
        }
    }

    fn cookie(&self, defaults: &Self) -> Option<(Span, &'static str, &'static str)> {
        match self.sticky.cookie.or(&defaults.sticky.cookie) {
            Field::Set(Some(_), at) => Some((
                *at,
                "keeps a client at its endpoint by a cookie",
                "say `sticky = \"off\"`, and `balance = { hash = \"client\" }` to keep clients by their addresses",
            )),
            _ => None,
        }
    }

    fn hash(&self, defaults: &Self, asked: bool) -> Option<(Span, &'static str, &'static str)> {
        let Field::Set(Balance::Hash(hashing), at) = self.balance.or(&defaults.balance) else { return None };
        let client = hashing.keys.contains(&HashKey::Client);
        let fits = if asked { client } else { hashing.keys == [HashKey::Client] };
        (!fits).then_some((
            *at,
            "is balanced by a part of requests",
            "accepted: { hash = \"client\" }, or another `balance`; where routes lead to it too, \"client\" may stand among others",
        ))
    }

    fn tls_of_its_own(&self, defaults: &Self) -> Option<(Span, &'static str, &'static str)> {
        match self.tls.or(&defaults.tls) {
            Field::Set(Some(_), at) => Some((
                *at,
                "is spoken to by TLS",
                "say `tls = \"off\"`: if TLS is to be spoken, client and endpoint speak it through the gateway",
            )),
            _ => None,
        }
    }

    fn adapts(&self, defaults: &Self) -> Option<(Span, &'static str, &'static str)> {
        match self.limit.adaptive.or(&defaults.limit.adaptive) {
            Field::Set(true, at) => Some((
                *at,
                "is bounded by what the latency of its responses allows",
                "say `limit.adaptive = false`, and a number as `limit.requests`",
            )),
            _ => None,
        }
    }

    fn of_requests(&self) -> [(&'static str, Option<Span>); 16] {
        [
            ("feedback", self.feedback.at()),
            ("timeout.response", self.timeout.response.at()),
            ("timeout.body", self.timeout.body.at()),
            ("min_rate", self.min_rate.at()),
            ("retry.body", self.retry.body.at()),
            ("keep_alive.idle", self.keep.idle.at()),
            ("keep_alive.connections", self.keep.connections.at()),
            ("keep_alive.warm", self.keep.warm.at()),
            ("keep_alive.requests", self.keep.requests.at()),
            ("keep_alive.age", self.keep.age.at()),
            ("deadline", self.deadline.at()),
            ("response.head", self.response.head.at()),
            ("response.fields", self.response.fields.at()),
            ("response.interim", self.response.interim.at()),
            ("response.chunk_line", self.response.chunk_line.at()),
            ("response.chunk_extensions", self.response.chunk_extensions.at()),
        ]
    }
}
