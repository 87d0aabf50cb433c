//! The simulation: a seeded run of events over servers, a network and a policy, which is the product's own or a rival's.
//! It refuses to know sockets, clocks and files.

pub mod chance;
pub mod contenders;
pub mod engine;
pub mod policy;
pub mod product;
pub mod quick;
pub mod rivals;
pub mod scenario;
pub mod server;
pub mod tally;
