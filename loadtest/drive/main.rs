//! Load generator and origin in one thread, so that they do not fight for a core. It refuses to know which proxy stands
//! between the two.
//!
//! It prints `ORIGIN address`, and before it the addresses of more origins, of which one is slow and one fails, then does one run for each line on standard input (`--to ADDRESS --connections 64
//! --seconds 2 …`, see [`plan::Plan`]), prints each report as a line of JSON, and ends with standard input. In between
//! and meanwhile it is the origin.

mod cpu;
mod exchange;
mod link;
mod load;
mod origin;
mod plan;
#[path = "../records.rs"]
mod records;
mod sys;
mod wire;

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use clap::Parser;

use load::Load;
use origin::{Manner, Origin};
use plan::Plan;
use sys::{Epoll, Interest, Ready};
use wire::Pattern;

#[derive(Parser)]
#[command(name = "drive", about = "Load generator and origin in one thread")]
struct Args {
    /// Where the origin listens; port 0 lets the kernel choose.
    #[arg(long, default_value = "127.0.0.1:0")]
    origin: SocketAddr,
    /// Be an origin there and nothing else, until killed.
    #[arg(long, conflicts_with = "origin")]
    origin_only: Option<SocketAddr>,
}

/// What outlives a run.
pub struct Ground {
    /// Says which connections are ready.
    pub epoll: Epoll,
    /// What bodies are made of.
    pub pattern: Pattern,
    /// Room to read into.
    pub scratch: Vec<u8>,
    origin: Origin,
}

/// Standard input, without the standard library's buffer: that one would hold back lines which readiness then denies.
struct Input {
    stdin: File,
    /// Read and not yet a whole line.
    bytes: Vec<u8>,
}

fn main() -> io::Result<()> {
    let args = Args::parse();
    sys::without_timer_slack();
    let epoll = Epoll::new()?;
    let mut origin = Origin::new(KEY_LISTENER, KEY_ORIGIN);
    if args.origin_only.is_none() {
        for (word, manner) in [("PROMPT", Manner::Prompt), ("SLOW", Manner::Slow), ("FAILING", Manner::Failing)] {
            say(&format!("{word} {}", origin.listen((args.origin.ip(), 0).into(), manner, &epoll)?))?;
        }
    }
    let address = origin.listen(args.origin_only.unwrap_or(args.origin), Manner::Prompt, &epoll)?;
    say(&format!("ORIGIN {address}"))?;
    let mut ground = Ground { epoll, pattern: Pattern::new(), scratch: vec![0; 256 * 1024], origin };
    let mut ready = Vec::new();
    if args.origin_only.is_some() {
        loop {
            ground.turn(&mut ready)?;
        }
    }
    let mut input = Input { stdin: io::stdin().as_fd().try_clone_to_owned()?.into(), bytes: Vec::new() };
    while let Some(line) = ground.next_line(&mut input, &mut ready)? {
        match Plan::try_parse_from(line.split_whitespace()) {
            Ok(plan) => match Load::new(&plan).and_then(|load| Ok(load.run(&mut ground)?)) {
                Ok(report) => say(&serde_json::to_string(&report)?)?,
                Err(fault) => say_fault(&fault.to_string())?,
            },
            Err(fault) => say_fault(&fault.to_string())?,
        }
    }
    Ok(())
}

impl Ground {
    /// The next line of standard input; nothing at its end. The origin answers meanwhile.
    fn next_line(&mut self, input: &mut Input, ready: &mut Vec<Ready>) -> io::Result<Option<String>> {
        loop {
            if let Some(end) = memchr::memchr(b'\n', &input.bytes) {
                let line = input.bytes.drain(..=end).collect::<Vec<u8>>();
                return Ok(Some(String::from_utf8_lossy(&line).into_owned()));
            }
            self.epoll.add(input.stdin.as_raw_fd(), KEY_STDIN, Interest::Read)?;
            while !self.turn(ready)? {}
            // Not watched during a run: an ended input would be ready without end.
            self.epoll.remove(input.stdin.as_raw_fd())?;
            let mut bytes = [0; 4096];
            let count = input.stdin.read(&mut bytes)?;
            if count == 0 {
                return Ok(None);
            }
            input.bytes.extend_from_slice(&bytes[..count]);
        }
    }

    /// Waits once, and serves the origin's connections. True: standard input is ready.
    fn turn(&mut self, ready: &mut Vec<Ready>) -> io::Result<bool> {
        let due = self.serve_due();
        self.epoll.wait(ready, due)?;
        let mut input = false;
        for event in ready.drain(..) {
            input |= event.key == KEY_STDIN;
            self.serve_origin(event);
        }
        Ok(input)
    }

    /// Sends the answers that were held back until now, and says how long it is to the next.
    pub fn serve_due(&mut self) -> Option<Duration> {
        self.origin.serve_due(&self.epoll, &self.pattern)
    }

    /// Serves what is ready at the origin.
    pub fn serve_origin(&mut self, event: Ready) {
        match event.key & KEY_KIND {
            KEY_LISTENER => self.origin.accept(event, &self.epoll),
            KEY_ORIGIN => self.origin.serve(event, &self.epoll, &self.pattern, &mut self.scratch),
            _ => {}
        }
    }
}

fn say_fault(words: &str) -> io::Result<()> {
    say(&serde_json::json!({ "fault": words }).to_string())
}

fn say(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

/// The part of an event's key that says what it belongs to; the low half is a place.
pub const KEY_KIND: u64 = 0xF << 32;
const KEY_STDIN: u64 = 0;
const KEY_LISTENER: u64 = 1 << 32;
const KEY_ORIGIN: u64 = 2 << 32;
/// Of the load's connections.
pub const KEY_LOAD: u64 = 3 << 32;
