//! Settings of checks for tests. It refuses to know which test.

use std::time::Duration;

use crate::model::Health;
use crate::model::Probe;

/// An HTTP check of `/healthz` that wants 200 to 399, twice to rise and three times to fall.
pub(super) fn settings() -> Health {
    Health {
        probe: Probe::Http {
            method: "GET".into(),
            path: "/healthz".into(),
            host: None,
            statuses: vec![200..=399],
            body: None,
        },
        interval: Duration::from_secs(5),
        doubt: Duration::from_secs(1),
        timeout: Duration::from_secs(2),
        rise: 2,
        fall: 3,
        port: None,
        initially_up: true,
    }
}
