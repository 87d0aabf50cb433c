//! One endpoint of a demo service: what it is called, how fast it is and when it fails. It refuses to know HTTP.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// Which service an endpoint belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Service {
    Orders,
    Payments,
    Shipping,
}

/// One endpoint.
#[derive(Debug)]
pub(super) struct Place {
    /// Which service it belongs to.
    pub(super) service: Service,
    /// `orders-3`: the service, and its place in the configuration.
    pub(super) name: String,
    /// Where it listens, on loopback.
    pub(super) port: u16,
    number: usize,
    gateway: Arc<OnceLock<SocketAddr>>,
    turns: AtomicU64,
}

/// What one request meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Turn {
    /// Which request it is, counted from 1.
    pub(super) number: u64,
    /// How long the answer takes.
    pub(super) takes: Duration,
    /// Whether it fails.
    pub(super) fails: bool,
}

impl Service {
    pub(super) const ALL: [Self; 3] = [Self::Orders, Self::Payments, Self::Shipping];

    /// The word of paths and of the configuration.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Orders => "orders",
            Self::Payments => "payments",
            Self::Shipping => "shipping",
        }
    }
}

impl Place {
    /// The `number`th endpoint of a service, counted from 1.
    pub(super) fn new(service: Service, number: usize, port: u16, gateway: Arc<OnceLock<SocketAddr>>) -> Self {
        let name = format!("{}-{number}", service.name());
        Self { service, name, port, number, gateway, turns: AtomicU64::new(0) }
    }

    /// Where the gateway is, once that is known.
    pub(super) fn gateway(&self) -> Option<SocketAddr> {
        self.gateway.get().copied()
    }

    /// Counts a request and says what it meets.
    pub(super) fn turn(&self) -> Turn {
        let number = self.turns.fetch_add(1, Relaxed) + 1;
        let millis = match (self.service, self.number) {
            // The slow one. Its pace wanders over 250 to 400 ms, the same way in every run.
            (Service::Orders, 3) => 250 + number * 67 % 151,
            (Service::Orders, 2) => 12,
            (Service::Orders, _) => 8,
            (Service::Payments, _) => 10,
            (Service::Shipping, 1) => 5,
            (Service::Shipping, 2) => 20,
            (Service::Shipping, _) => 60,
        };
        let fails = (self.service, self.number) == (Service::Payments, 3) && number.is_multiple_of(4);
        Turn { number, takes: Duration::from_millis(millis), fails }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns(service: Service, number: usize) -> Vec<Turn> {
        let place = Place::new(service, number, 1, Arc::default());
        (0..200).map(|_| place.turn()).collect()
    }

    #[test]
    fn the_slow_one_is_slow_within_its_bounds_and_not_always_alike() {
        let mut takes: Vec<_> = turns(Service::Orders, 3).iter().map(|turn| turn.takes.as_millis()).collect();
        takes.sort_unstable();
        takes.dedup();
        assert!(takes.len() > 100);
        assert!((250..300).contains(takes.first().unwrap()) && (350..=400).contains(takes.last().unwrap()));
    }

    #[test]
    fn one_payments_endpoint_fails_every_fourth_request_and_no_other_endpoint_does() {
        for service in Service::ALL {
            for number in 1..=3 {
                for turn in turns(service, number) {
                    let expected = service == Service::Payments && number == 3 && turn.number % 4 == 0;
                    assert_eq!(turn.fails, expected, "{service:?} {number} {turn:?}");
                }
            }
        }
    }
}
