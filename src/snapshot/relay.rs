//! Where a listener carries bytes to, compiled: its upstreams as routes that take no requests. It refuses to know how
//! anything is carried.

use crate::id::RouteIndex;
use crate::id::RouteSlot;
use crate::id::UpstreamIndex;
use crate::model;
use crate::model::Host;
use crate::model::HostPattern;
use crate::model::PathPattern;
use crate::model::Way;
use crate::route::Table;
use crate::snapshot::Route;

/// What a listener carries, compiled.
#[derive(Debug)]
pub struct Relay {
    /// One for each upstream that is named.
    routes: Vec<Route>,
    /// Finds one by a name; absent where all connections have the same.
    table: Option<Table>,
}

impl Relay {
    pub(super) fn compile(relay: &model::Relay) -> Self {
        let route = |label: String, upstream| {
            let settings = route(upstream, relay);
            Route { slot: RouteSlot::default(), label, upstream, settings, rule: None }
        };
        match &relay.way {
            Way::Tcp(upstream) => Self { routes: vec![route(String::new(), *upstream)], table: None },
            Way::Passthrough(passthrough) => {
                let host = |(pattern, upstream): &(HostPattern, UpstreamIndex)| Host {
                    pattern: pattern.clone(),
                    routes: vec![self::route(*upstream, relay)],
                    clients: None,
                };
                let hosts: Vec<Host> = passthrough.names.iter().map(host).collect();
                let routes = passthrough.names.iter().map(|(pattern, upstream)| route(pattern.text(), *upstream));
                Self { routes: routes.collect(), table: Some(Table::compile(&hosts)) }
            }
        }
    }

    /// Whether a connection's way depends on the name that its client asks for.
    #[must_use]
    pub fn asks_for_names(&self) -> bool {
        self.table.is_some()
    }

    /// The way of a connection whose client asks for this name; empty: for none.
    #[must_use]
    pub fn route(&self, name: &[u8]) -> Option<&Route> {
        let index = match &self.table {
            None => RouteIndex(0),
            Some(table) => table.find(name, b"")?,
        };
        self.routes.get(index.index())
    }
}

/// A route that says nothing of requests.
fn route(upstream: UpstreamIndex, relay: &model::Relay) -> model::Route {
    let plain = model::Route::plain(PathPattern::Prefix(String::new()), upstream);
    model::Route { tunnel_timeout: Some(relay.idle), ..plain }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::Passthrough;

    #[test]
    fn the_most_specific_name_wins_and_what_is_left_goes_to_any() {
        let names = [
            (HostPattern::Any, UpstreamIndex(0)),
            (HostPattern::Wildcard("example.com".into()), UpstreamIndex(1)),
            (HostPattern::Exact("shop.example.com".into()), UpstreamIndex(2)),
            (HostPattern::Wildcard("b.example.com".into()), UpstreamIndex(3)),
        ];
        let passthrough = |names: &[(HostPattern, UpstreamIndex)]| {
            let timeout = Duration::from_secs(1);
            let way = Way::Passthrough(Passthrough { names: names.to_vec(), hello_bytes: 1024, timeout });
            Relay::compile(&model::Relay { way, idle: timeout })
        };
        let (all, named) = (passthrough(&names), passthrough(&names[1..]));
        let found = |relay: &Relay, name: &str| relay.route(name.as_bytes()).map(|route| route.upstream.0);
        for (name, with_any, without) in [
            ("shop.example.com", Some(2), Some(2)),
            ("x.shop.example.com", Some(1), Some(1)),
            ("a.b.example.com", Some(3), Some(3)),
            ("b.example.com", Some(1), Some(1)),
            ("example.com", Some(0), None),
            ("example.org", Some(0), None),
            ("", Some(0), None),
        ] {
            assert_eq!((found(&all, name), found(&named, name)), (with_any, without), "{name}");
        }
        assert!(all.asks_for_names());
        assert_eq!(all.route(b"a.example.com").map(|route| route.label.as_str()), Some("*.example.com"));
    }

    #[test]
    fn plain_tcp_asks_for_nothing() {
        let relay = Relay::compile(&model::Relay { way: Way::Tcp(UpstreamIndex(7)), idle: Duration::from_secs(9) });
        assert!(!relay.asks_for_names());
        let route = relay.route(b"").unwrap();
        assert_eq!((route.upstream.0, route.settings.tunnel_timeout), (7, Some(Duration::from_secs(9))));
    }
}
