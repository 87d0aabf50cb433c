//! What an exchange leaves behind: why it ended ([`ended`]), what it measured ([`metrics`]), what is written of it
//! ([`record`], [`access_log`]). It refuses to know sockets, routes and the loop: it takes finished values.

pub mod ended;
pub mod metrics;
pub mod record;
