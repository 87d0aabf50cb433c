//! # Ringway: the map
//!
//! Ringway is an HTTP gateway for Linux: one process, one io_uring event loop pinned to each CPU core, nothing shared on
//! the path of a request. This page is the bird's-eye view; `docs/design.md` holds the same map with its reasons.
//!
//! ## Reading order
//!
//! A request: [`serve`] (start there) → [`route`] → [`policy`] → [`balance`] → [`upstream`] → [`relay`] → [`wire`] → [`tls`] → [`http`].
//! The process: [`app`] → [`config`] → [`model`] → [`snapshot`] → [`control`] → [`health`] → [`acme`] → [`worker`] → [`shard`].
//! What is left behind: [`observe`]; what an operator sees of it: [`admin`].
//!
//! ## Who may import whom
//!
//! Each row may import only what it lists; `tests/it/layers.rs` reads this table and enforces it.
//!
//! | layer | module | may import |
//! |---|---|---|
//! | 11 | `main` | app |
//! | 10 | `app` | config, control, worker, demo, snapshot, shard, acme, health, tls, observe, io, model, address, time, limits, id |
//! | 9 | `worker` | shard, serve, snapshot, observe, io, buf, model, address, time, limits, id, rand |
//! | 8 | `serve` | shard, snapshot, route, policy, balance, upstream, relay, wire, tls, io, http, model, observe, address, time, buf, limits, id, rand |
//! | 7 | `control` | config, model, snapshot, tls, acme, admin, health, shard, balance, observe, address, time, limits, id |
//! | 6 | `shard` | snapshot, upstream, tls, policy, balance, observe, io, http, model, address, time, buf, rand, id, limits |
//! | 6 | `admin` | model, snapshot, tls, acme, health, balance, observe, address, time, limits, id |
//! | 5 | `acme` | model, http, tls, rand |
//! | 5 | `health` | model, snapshot, tls, balance, observe, address, time, rand, limits, id |
//! | 5 | `relay` | wire, io, http, observe, time, buf, limits |
//! | 5 | `upstream` | wire, snapshot, tls, io, observe, address, time, buf, id, rand |
//! | 4 | `snapshot` | model, route, balance, tls, address, id, limits, rand |
//! | 4 | `wire` | io, http, observe, address, time, buf, limits |
//! | 3 | `config` | model, http, address, limits, id |
//! | 3 | `route` | model, http, id |
//! | 3 | `policy` | model, http, address, rand |
//! | 3 | `balance` | model, count, time, rand, id, limits |
//! | 3 | `tls` | model, io, address, buf, limits |
//! | 3 | `observe` | model, http, address, count, time, id, limits |
//! | 2 | `model` | http, address, id, limits |
//! | 1 | `demo` | limits |
//! | 1 | `http` | address, limits |
//! | 1 | `io` | address, buf, time, limits |
//! | 1 | `count` | limits |
//! | 0 | `address` | |
//! | 0 | `buf` | |
//! | 0 | `time` | |
//! | 0 | `limits` | |
//! | 0 | `id` | |
//! | 0 | `rand` | |
//!
//! `control` takes nothing of `shard` but its mailbox. Only `io` names the runtime of the cores; only `control`, `admin`,
//! `health`, `acme`, `demo` and `app` name the runtime of the control thread.
//!
//! ## Words
//!
//! listener · connection · request · route · policy · upstream (one service) · endpoint (one address of it) · core (one
//! pinned thread and its loop) · exchange (a request and its response) · attempt (one try at one endpoint) · lease (an
//! upstream connection lent to one attempt) · snapshot (compiled configuration, immutable, shared) · generation (a core's
//! binding of a snapshot) · ended (who ended an exchange, in which phase, why).

pub mod acme;
pub mod address;
pub mod admin;
pub mod app;
pub mod balance;
pub mod buf;
pub mod config;
pub mod control;
pub mod count;
pub mod demo;
pub mod health;
pub mod http;
pub mod id;
pub mod io;
pub mod limits;
pub mod model;
pub mod observe;
pub mod policy;
pub mod rand;
pub mod relay;
pub mod route;
pub mod serve;
pub mod shard;
pub mod snapshot;
pub mod time;
pub mod tls;
pub mod upstream;
pub mod wire;
pub mod worker;
