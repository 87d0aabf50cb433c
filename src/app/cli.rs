//! The command line: its words, and the habits of other gateways' operators that it answers to.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;
use clap::Subcommand;

use crate::address::Address;

/// An HTTP gateway for Linux.
#[derive(Debug, Parser)]
#[command(name = "ringway", version, disable_help_subcommand = true)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run in the foreground; READY is printed once every core listens
    Run {
        /// The configuration file
        #[arg(short, long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Run without a file, before one upstream; prints the configuration it stands for
    Serve {
        /// The upstream
        #[arg(long, value_name = "IP:PORT|unix:/PATH", value_parser = place)]
        to: Address,
        /// Where to listen
        #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080", value_parser = place)]
        listen: Address,
    },
    /// Check a configuration: every fault at once (also: -t -c FILE)
    Check {
        /// The configuration file
        #[arg(short, long, value_name = "FILE")]
        config: PathBuf,
        /// Also ask what it names: whether addresses can be listened on, endpoints be reached and believed, certificates last
        #[arg(long)]
        online: bool,
    },
    /// Three demo services and a gateway before them; prints what to try
    Demo {
        /// Where the gateway listens
        #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080", value_parser = address)]
        listen: SocketAddr,
        /// Where its admin interface listens
        #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9901", value_parser = address)]
        admin: SocketAddr,
    },
    /// Print the JSON schema of the configuration
    Schema,
    /// Print the version
    Version,
}

/// Puts the words of other gateways' operators into ours: `-t` is `check`, `-v` is `version`.
pub(super) fn habits(arguments: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = arguments.into_iter().collect();
    let word = arguments.iter().skip(1).position(|argument| argument == "-t" || argument == "-v");
    if let Some(place) = word.map(|place| place + 1)
        && arguments.get(1).is_some_and(|first| first.to_string_lossy().starts_with('-'))
    {
        let command = if arguments.remove(place) == "-t" { "check" } else { "version" };
        arguments.insert(1, command.into());
    }
    arguments
}

/// Whether faults are shown in colour.
pub(super) fn colourful() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// What [`address`] takes, and `unix:/run/app.sock`.
fn place(text: &str) -> Result<Address, String> {
    if text.starts_with("unix:") {
        return text.parse().map_err(|_| "the absolute path of a socket is needed, unix:/run/app.sock, say".into());
    }
    address(text).map(Address::Ip)
}

/// `127.0.0.1:80`, `[::1]:80`, `:80` for any address, `localhost:80`.
fn address(text: &str) -> Result<SocketAddr, String> {
    let full = match text.strip_prefix("localhost:") {
        Some(port) => format!("127.0.0.1:{port}"),
        None if text.starts_with(':') => format!("0.0.0.0{text}"),
        None => text.to_owned(),
    };
    full.parse().map_err(|_| "an IP address and a port are needed, 127.0.0.1:9000 or [::1]:9000, say".into())
}
