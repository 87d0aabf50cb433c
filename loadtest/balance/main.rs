//! The comparison of balancing: a seeded simulation with the product's own policy and its rivals, and a fleet of real
//! servers behind real gateways. `loadtest/balance/run` builds and drives both.

mod experiments;
mod rows;
mod sim;

fn main() {
    let results = experiments::all(1);
    println!("{}", results.rows.len());
}
