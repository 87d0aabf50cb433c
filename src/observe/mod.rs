//! What an exchange leaves behind: why it ended ([`ended`]), what it measured ([`metrics`]), what is written of it
//! ([`record`], [`line`], [`access_log`]); and what the program says of itself ([`own_log`]). It refuses to know sockets,
//! routes and the loop: it takes finished values.

pub mod access_log;
pub mod ended;
pub mod line;
pub mod metrics;
pub mod own_log;
pub mod record;
