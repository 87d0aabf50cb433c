//! The comparison of balancing: a seeded simulation with the product's own policy and its rivals, and a fleet of real
//! servers behind real gateways. `loadtest/balance/run` builds and drives both.

mod ages;
mod bars;
mod experiments;
mod fleet;
mod plots;
mod rows;
mod sim;
mod svg;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

#[derive(Parser)]
#[command(name = "balance", about = "Compares ways to balance")]
enum Command {
    /// Simulates all scenarios, writes rows and plots, and says which bars are met (exit code 1: not all).
    Simulate {
        /// Seeds of each run.
        #[arg(long, default_value_t = 20)]
        seeds: u64,
        /// The folder for CSV and SVG files.
        #[arg(long)]
        to: PathBuf,
    },
    /// Draws the plots, and prints the tables, from the rows of an earlier simulation.
    Draw {
        /// The folder of its CSV files, and for the SVG files.
        #[arg(long)]
        to: PathBuf,
    },
    /// Serves as a fleet of real servers.
    Fleet {
        /// What the servers' speeds and work are drawn from.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// What is the matter with them.
        #[arg(long, value_enum, default_value = "testbed")]
        variant: fleet::Variant,
    },
    /// Compares how old what a core knows of the others may be, with 64 cores and 100 servers; a table.
    Ages {
        /// Seeds of each run.
        #[arg(long, default_value_t = 3)]
        seeds: u64,
    },
    /// The quick form, as the tests run it, and the hash of its log.
    Quick,
}

fn main() -> io::Result<ExitCode> {
    match Command::parse() {
        Command::Simulate { seeds, to } => {
            let results = experiments::all(seeds);
            rows::write(&results.rows, &results.series, &to)?;
            plots::draw(&results, &to)?;
            Ok(if bars::print(&results) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Command::Draw { to } => {
            let (rows, series) = rows::read(&to)?;
            let results = experiments::Results { rows, series };
            plots::draw(&results, &to)?;
            Ok(if bars::print(&results) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Command::Fleet { seed, variant } => fleet::serve(seed, variant).map(|()| ExitCode::SUCCESS),
        Command::Ages { seeds } => {
            ages::print(seeds);
            Ok(ExitCode::SUCCESS)
        }
        Command::Quick => {
            let runs = sim::quick::runs();
            for run in &runs {
                println!("{}: {}: p99 {:.1} ms", run.scenario, run.policy, run.tally.permille(990));
            }
            println!("{:#018x}", sim::quick::hash(&runs));
            Ok(ExitCode::SUCCESS)
        }
    }
}
