//! What one run is asked to do, and what it says afterwards. It refuses to know how.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::{Parser, ValueEnum};
use hdrhistogram::Histogram;
use serde::Serialize;

/// One run, as a line on standard input.
#[derive(Parser, Clone, Debug)]
#[command(name = "run", no_binary_name = true, about = "One run of load")]
#[expect(clippy::struct_excessive_bools, reason = "flags of a command line")]
pub struct Plan {
    /// Repeated in the report.
    #[arg(long, default_value = "")]
    pub name: String,
    /// The proxy, or the origin itself.
    #[arg(long)]
    pub to: SocketAddr,
    /// Connections kept open.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    pub connections: u32,
    /// Connections besides, each of which makes a request before the window and then stays without one.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=15_000))]
    pub idle: u32,
    /// Spread the requests over that many routes: `/rN` before the path.
    #[arg(long)]
    pub routes: Option<u64>,
    /// Where the window's latencies are kept, by percentile, as the plotter of HdrHistogram reads them.
    #[arg(long)]
    pub histogram: Option<PathBuf>,
    /// Length of the measured window.
    #[arg(long, default_value_t = 1.0)]
    pub seconds: f64,
    /// Time before the window that is not measured.
    #[arg(long, default_value_t = 0.0)]
    pub warmup: f64,
    /// Stop after that many requests instead.
    #[arg(long)]
    pub requests: Option<u64>,
    /// Open loop: requests a second, at exponentially distributed distances; absent: each connection asks as soon as it
    /// was answered.
    #[arg(long)]
    pub rate: Option<f64>,
    /// Of the distances' random numbers.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// The request target; `/N` or `/N?chunked`, behind any other segments.
    #[arg(long, default_value = "/128")]
    pub path: String,
    /// The Host field.
    #[arg(long, default_value = "load.test")]
    pub host: String,
    /// POST with a body of that many bytes.
    #[arg(long)]
    pub body: Option<u64>,
    /// Send the body in chunks.
    #[arg(long)]
    pub chunked: bool,
    /// A new connection for each request, which asks to be closed after it.
    #[arg(long)]
    pub new_connections: bool,
    /// Speak TLS 1.3, with the certificate of such a key: `--host` is the name that is asked for.
    #[arg(long)]
    pub tls: Option<Key>,
    /// Resume TLS by a ticket wherever there is one; absent: every handshake is a full one.
    #[arg(long, requires = "tls")]
    pub resume: bool,
    /// Offer X25519MLKEM768 before X25519; absent: X25519 alone.
    #[arg(long, requires = "tls")]
    pub hybrid: bool,
    /// Break each exchange off instead of finishing it.
    #[arg(long)]
    pub abort: Option<Abort>,
    /// Seconds to wait, after the window, for what is still unanswered.
    #[arg(long, default_value_t = 2.0)]
    pub grace: f64,
    /// Processes whose CPU time is counted over the window.
    #[arg(long, value_delimiter = ',')]
    pub pids: Vec<u32>,
}

/// Of what sort the key of a certificate is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Key {
    /// P-256.
    Ecdsa,
    /// Signed with by RSA-PSS.
    Rsa,
}

/// Where an exchange is broken off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Abort {
    /// RST at the first bytes of the response.
    Response,
    /// FIN in the middle of the request's head.
    Head,
    /// FIN in the middle of the request's body.
    Body,
}

/// What happened from the first connection to the last answer, the window aside.
#[derive(Default, Serialize)]
pub struct Totals {
    /// Requests whose whole head was sent.
    pub heads_sent: u64,
    /// Requests cut inside their head.
    pub heads_cut: u64,
    /// Responses read to their end and found right, by status.
    pub answered: BTreeMap<u16, u64>,
    /// Responses with the body or the token of another request, or too long.
    pub wrong: u64,
    /// Responses that broke off before their end.
    pub truncated: u64,
    /// Requests, wholly sent, whose connection ended without a byte of a response.
    pub unanswered: u64,
    /// Exchanges broken off here on purpose, head wholly sent.
    pub aborted: u64,
    /// Connections refused or failed before anything was sent.
    pub connect_failed: u64,
    /// TLS handshakes with a certificate, and by a ticket.
    pub handshakes_full: u64,
    pub handshakes_resumed: u64,
    /// Requests that the end of the run cut.
    pub unfinished: u64,
    /// Responses that are not HTTP.
    pub unreadable: u64,
    /// Connections of `--idle` that did not last.
    pub idle_lost: u64,
}

/// What the window held.
pub struct Measured {
    /// Nanoseconds from the intended time of a request to the last byte of its answer.
    pub latency: Histogram<u64>,
    /// Nanoseconds from the intended time to when this program took notice of it.
    pub lag: Histogram<u64>,
    /// Exchanges ended as they should.
    pub requests: u64,
    /// Exchanges that failed in any way, statuses from 400 on included.
    pub errors: u64,
}

/// The report of one run: a JSON line.
#[derive(Serialize)]
pub struct Report {
    pub name: String,
    pub seconds: f64,
    pub requests: u64,
    pub errors: u64,
    pub rps: f64,
    pub p50_us: f64,
    pub p90_us: f64,
    pub p99_us: f64,
    pub p99_9_us: f64,
    pub p99_99_us: f64,
    pub max_us: f64,
    pub lag_p99_us: f64,
    /// The generator kept to its schedule: its own lag is at most half a millisecond at p99. Otherwise the latencies are not to be
    /// used.
    pub on_time: bool,
    /// CPU time of the named processes, all their threads; absent without `--pids`.
    pub cpu_ns: Option<u64>,
    pub cpu_us_per_request: Option<f64>,
    pub totals: Totals,
}

impl Measured {
    pub fn new() -> Self {
        Self { latency: histogram(), lag: histogram(), requests: 0, errors: 0 }
    }

    pub fn report(&self, plan: &Plan, seconds: f64, cpu_ns: Option<u64>, totals: Totals) -> Report {
        let at = |quantile: f64| self.latency.value_at_quantile(quantile) as f64 / 1e3;
        let lag_p99_us = self.lag.value_at_quantile(0.99) as f64 / 1e3;
        Report {
            name: plan.name.clone(),
            seconds,
            requests: self.requests,
            errors: self.errors,
            rps: self.requests as f64 / seconds,
            p50_us: at(0.5),
            p90_us: at(0.9),
            p99_us: at(0.99),
            p99_9_us: at(0.999),
            p99_99_us: at(0.9999),
            max_us: self.latency.max() as f64 / 1e3,
            lag_p99_us,
            on_time: lag_p99_us <= LAG_P99_US_MAX,
            cpu_ns,
            cpu_us_per_request: cpu_ns.map(|cpu| cpu as f64 / 1e3 / self.requests.max(1) as f64),
            totals,
        }
    }
}

/// Writes the latencies down once the run is over: value in µs, percentile, count up to it, and 1/(1 - percentile).
///
/// # Errors
/// The file cannot be written.
#[expect(clippy::disallowed_methods, reason = "nothing runs any more that a slow disk could hold up")]
pub fn keep(latency: &Histogram<u64>, path: &Path) -> io::Result<()> {
    let mut target = BufWriter::new(File::create(path)?);
    writeln!(target, "{:>12} {:>14} {:>10} {:>14}\n", "Value", "Percentile", "TotalCount", "1/(1-Percentile)")?;
    let mut count = 0;
    for step in latency.iter_recorded() {
        count += step.count_since_last_iteration();
        let (us, share) = (step.value_iterated_to() as f64 / 1e3, count as f64 / latency.len() as f64);
        let turned = if count < latency.len() { format!("{:.2}", 1.0 / (1.0 - share)) } else { "inf".to_owned() };
        writeln!(target, "{us:12.3} {share:14.10} {count:10} {turned:>14}")?;
    }
    let (mean, deviation, max) = (latency.mean() / 1e3, latency.stdev() / 1e3, latency.max() as f64 / 1e3);
    writeln!(target, "#[Mean    = {mean:12.3}, StdDeviation   = {deviation:12.3}]")?;
    writeln!(target, "#[Max     = {max:12.3}, Total count    = {count:12}]")?;
    target.flush()
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_NS_MAX, 3).expect("the bounds are constants that fit each other")
}

/// Latencies above a minute are counted as one.
pub const LATENCY_NS_MAX: u64 = 60_000_000_000;
/// Of the generator's own lag, at p99.
const LAG_P99_US_MAX: f64 = 500.0;
