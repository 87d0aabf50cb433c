//! Anything that a model may say of listeners that carry bytes.

use proptest::collection::btree_map;
use proptest::prelude::*;

use super::time;
use crate::id::UpstreamIndex;
use crate::model::Balance;
use crate::model::HashKey;
use crate::model::HashTable;
use crate::model::Hashing;
use crate::model::HostPattern;
use crate::model::Listener;
use crate::model::Passthrough;
use crate::model::Relay;
use crate::model::Upstream;
use crate::model::Way;
use crate::model::fixture;

/// One that bytes can be carried to. Its name is longer than any other, and comes last.
pub(super) fn upstream() -> Upstream {
    let hashing = Hashing { keys: vec![HashKey::Client], table: HashTable::Ring, bound_percent: 125 };
    let name = "z".repeat(13);
    Upstream { balance: Balance::Hash(hashing), ..fixture::upstream(&name, &["10.9.9.9:5432".parse().unwrap()]) }
}

pub(super) fn relay(upstream: u32) -> impl Strategy<Value = Relay> {
    let upstream = UpstreamIndex(upstream);
    let pattern = prop_oneof![
        Just("*".to_owned()),
        "([a-z0-9]([a-z0-9_-]{0,5}[a-z0-9])?\\.){1,3}[a-z]{2,5}",
        "\\*\\.([a-z0-9]([a-z0-9-]{0,5}[a-z0-9])?\\.){0,2}[a-z]{2,5}",
    ];
    let names = btree_map(pattern, Just(upstream), 1..4);
    let passthrough = (names, 1024..=65_536_usize, time(100, 60_000)).prop_map(|(names, hello_bytes, timeout)| {
        let pattern = |text: String| match text.strip_prefix("*.") {
            Some(suffix) => HostPattern::Wildcard(suffix.to_owned()),
            None if text == "*" => HostPattern::Any,
            None => HostPattern::Exact(text),
        };
        let names = names.into_iter().map(|(text, upstream)| (pattern(text), upstream)).collect();
        Way::Passthrough(Passthrough { names, hello_bytes, timeout })
    });
    let way = prop_oneof![Just(Way::Tcp(upstream)), passthrough];
    (way, time(1000, 86_400_000)).prop_map(|(way, idle)| Relay { way, idle })
}

/// A listener with what it carries: then nothing is said of requests and of TLS.
pub(super) fn carrying((listener, relay): (Listener, Option<Relay>)) -> Listener {
    if relay.is_none() {
        return listener;
    }
    let Listener { name, bind, socket_mode, connections_max, client_connections_max, trusted, proxy_protocol, .. } =
        listener;
    let plain = fixture::listener(&name, bind[0].clone());
    Listener { bind, socket_mode, connections_max, client_connections_max, trusted, proxy_protocol, relay, ..plain }
}
