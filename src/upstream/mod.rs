//! Connections to endpoints: opened ([`connect`]), lent to one attempt at a time ([`lease`]), kept meanwhile ([`pool`]).
//! It refuses to know which endpoint is best.

pub mod connect;
pub mod lease;
pub mod pool;
