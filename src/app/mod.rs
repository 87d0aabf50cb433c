//! Start and stop, in order: load → bind → spawn cores → control → drain. And the command line before that.
//!
//! Exit codes: 0 fine, 1 the configuration is wrong or the start failed, 2 usage.

mod bind;
mod cli;
mod files;
mod online;
mod start;

use std::ffi::OsString;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::OnceLock;

use clap::Parser;

use crate::address::Address;
use crate::config;
use crate::demo;

use cli::Cli;
use cli::Command;
use start::Plan;

/// Runs a command line.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(cli::habits(arguments)) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors, though they come this way; usage is 2, as the table says.
            drop(error.print());
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let done = match cli.command {
        Command::Run { config } => run(&config),
        Command::Serve { to, listen } => serve(to, listen),
        Command::Check { config, online } => check(&config, online),
        Command::Demo { listen, admin } => run_demo(listen, admin),
        Command::Schema => print(&format!("{:#}\n", config::schema())),
        Command::Version => print(concat!("ringway ", env!("CARGO_PKG_VERSION"), "\n")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Words(text)) => {
            tell(text.trim_end());
            ExitCode::FAILURE
        }
        Err(Failure::Told) => ExitCode::FAILURE,
    }
}

type Done = Result<(), Failure>;

/// Why a command failed.
enum Failure {
    /// In words that are to be told.
    Words(String),
    /// Whoever runs it has been told already.
    Told,
}

impl From<String> for Failure {
    fn from(text: String) -> Self {
        Self::Words(text)
    }
}

fn run(path: &Path) -> Done {
    let loaded = config::load(path).and_then(files::look).map_err(|report| report.render(cli::colourful()))?;
    loaded.warnings.iter().for_each(|warning| tell(&warning.to_string()));
    start::start(Plan { model: loaded.model, path: Some(path.to_owned()), level: "info", ready: Box::new(|_, _| ()) })
}

fn serve(to: Address, listen: Address) -> Done {
    let model = config::serve(to, listen);
    print(&format!("# the same as a file:\n{}\n", config::to_toml(&model)))?;
    start::start(Plan { model, path: None, level: "info", ready: Box::new(|_, _| ()) })
}

fn check(path: &Path, ask: bool) -> Done {
    let soon = if ask { online::SOON } else { files::SOON };
    let looked = config::load(path).and_then(|loaded| files::look_ahead(loaded, soon));
    let (loaded, material) = looked.map_err(|report| report.render(cli::colourful()))?;
    loaded.warnings.iter().for_each(|warning| tell(&warning.to_string()));
    let (model, shown) = (&loaded.model, path.display());
    if ask {
        let found = online::ask(model, &material).map_err(|error| format!("error: nothing can be asked: {error}"))?;
        found.iter().for_each(|finding| tell(&finding.to_string()));
        let bad = found.iter().filter(|finding| finding.is_bad()).count();
        if bad > 0 {
            return Err(format!("error: {shown}: its text is fine; of what it names this does not work: {bad}").into());
        }
    }
    let routes: usize = model.hosts.iter().map(|host| host.routes.len()).sum();
    let (listeners, upstreams) = (model.listeners.len(), model.upstreams.len());
    print(&format!("{shown}: fine (listeners: {listeners}, upstreams: {upstreams}, routes: {routes})\n"))
}

fn run_demo(listen: SocketAddr, admin: SocketAddr) -> Done {
    let services = demo::Services::start(listen).map_err(|error| format!("the demo services cannot start: {error}"))?;
    let text = services.configuration(listen, admin);
    let loaded = config::load_text("demo.toml", &text).map_err(|report| report.render(cli::colourful()))?;
    let services = Arc::new(services);
    let (told, place) = (services.clone(), Arc::new(OnceLock::new()));
    let ticking = place.clone();
    let ready = move |listening: &[(String, Address)], admin: SocketAddr| {
        let Some(listen) = listening.first().and_then(|(_, address)| address.ip()) else { return };
        told.set_gateway(listen);
        drop(print(&demo::introduction(listen, admin)));
        // Without a ticker the demo is quieter, and works.
        drop(demo::Ticker::start(admin).map(|ticker| ticking.set(ticker)));
    };
    let done = start::start(Plan { model: loaded.model, path: None, level: "warn", ready: Box::new(ready) });
    if let Some(ticker) = Arc::into_inner(place).and_then(OnceLock::into_inner) {
        ticker.stop();
    }
    if let Some(services) = Arc::into_inner(services) {
        services.stop();
    }
    done
}

/// Prints to standard output; a reader that went away is no fault of ours.
fn print(text: &str) -> Done {
    drop(std::io::stdout().write_all(text.as_bytes()));
    Ok(())
}

/// Says a line on standard error, as [`print`] does on the other.
fn tell(text: &str) {
    drop(writeln!(std::io::stderr(), "{text}"));
}
