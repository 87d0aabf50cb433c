//! The simulation: a seeded run of events over servers, a network and a policy, which is the product's own or a rival's.
//! It refuses to know sockets, clocks and files.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::disallowed_types,
    reason = "numbers here are small, and a test includes this as it is"
)]

// pub mod bars;
pub mod chance;
pub mod contenders;
pub mod engine;
pub mod policy;
pub mod product;
pub mod rivals;
pub mod scenario;
pub mod server;
pub mod tally;
