//! What the gateway promises, shown from outside: a real process, real sockets, raw bytes. And the walls of the house:
//! layers, lengths, words. Nothing here knows the inside of the library, except the walls, which read its text.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test that meets what it did not expect stops there, and its threads may wait"
)]

// The walls.
mod layers;
mod send;
mod simulation;
mod source;
mod tidy;

// The door.
mod support;

// The promises.
mod abuse;
mod acme;
mod acme_faults;
mod addresses;
mod admin;
mod affinity;
mod balance;
mod bodies;
mod bounds;
mod carried;
mod cli;
mod cores;
mod corpus;
mod demo;
mod drain;
mod drills;
mod edges;
mod ejection;
mod ended_log;
mod exhaustion;
mod failures;
mod framing;
mod fuzz;
mod health;
mod hedges;
mod hop_by_hop;
mod identity;
mod interim;
mod keepalive;
mod limits;
mod metrics;
mod old_version;
mod online;
mod order;
mod orders;
mod overload;
mod passthrough;
mod paths;
mod poison;
mod pool;
mod races;
mod reload;
mod retries;
mod rings;
mod routing;
mod server_date;
mod socket_files;
mod stale;
mod steering;
mod survival;
mod tcp;
mod timeouts;
mod tls;
mod tls_clients;
mod tls_edges;
mod tls_hellos;
mod tls_upstreams;
mod tunnel;
mod unheard;
