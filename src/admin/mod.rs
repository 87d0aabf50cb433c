//! What an operator sees of the process: a small HTTP interface on the control thread, read-only but for asking for a
//! reload or a check, and for orders to endpoints. It refuses to know how cores and configuration are reached: `control` hands it values and takes
//! what it asks for.
//!
//! Reading order: [`scene`] (what is shown) → [`server`] (connections) → [`router`] (paths) → [`views`], [`upstreams`] and [`metrics`]
//! (pure: a reading in, text out).

pub mod events;
pub mod metrics;
pub mod orders;
pub mod process;
pub mod router;
pub mod scene;
pub mod server;
pub mod upstreams;
pub mod views;

mod guard;

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;
