//! What is kept of runs, and its form in files.

use std::fmt::Write as _;
use std::io;
use std::path::Path;

use crate::sim::scenario;
use crate::sim::scenario::SECOND;
use crate::sim::tally::BIN;
use crate::sim::tally::Tally;

/// One run.
#[derive(Clone, Debug)]
pub struct Row {
    /// Of which experiment.
    pub experiment: String,
    /// Under what conditions.
    pub scenario: String,
    /// Who chose.
    pub policy: String,
    /// What is varied in the experiment.
    pub x: f64,
    /// Of what seed.
    pub seed: u64,
    /// Requests sent.
    pub sent: u64,
    /// Requests failed.
    pub failed: u64,
    /// Milliseconds: p50, p90, p99, p99.9.
    pub latency: [f64; 4],
    /// The share of the server with the most, as a multiple of the fair one.
    pub hottest: f64,
    /// The most that one server held.
    pub most_held: usize,
    /// Hash of the log of events.
    pub log: u64,
}

/// What happened over time in one scenario under one policy, all seeds together.
#[derive(Clone, Debug)]
pub struct Series {
    /// The scenario.
    pub scenario: String,
    /// The policy.
    pub policy: String,
    /// Servers.
    pub servers: usize,
    /// Requests to all, by bin.
    pub sent: Vec<u64>,
    /// Requests to the first server, by bin.
    pub watched: Vec<u64>,
    /// Failures, by bin.
    pub failed: Vec<u64>,
    /// Seeds.
    pub seeds: u64,
}

impl Row {
    /// The row of a run.
    pub fn new((experiment, scenario): (&str, &str), policy: &str, (x, seed): (f64, u64), tally: &Tally) -> Self {
        Self {
            experiment: experiment.to_owned(),
            scenario: scenario.to_owned(),
            policy: policy.to_owned(),
            x,
            seed,
            sent: tally.sent,
            failed: tally.failed,
            latency: [500, 900, 990, 999].map(|permille| tally.permille(permille)),
            hottest: tally.hottest(),
            most_held: tally.most_held,
            log: tally.log.0,
        }
    }
}

impl Series {
    /// One of nothing yet.
    pub fn new(scenario: &str, policy: &str, servers: usize) -> Self {
        let (scenario, policy) = (scenario.to_owned(), policy.to_owned());
        Self { scenario, policy, servers, sent: Vec::new(), watched: Vec::new(), failed: Vec::new(), seeds: 0 }
    }

    /// Adds a run.
    pub fn add(&mut self, tally: &Tally) {
        let add = |sums: &mut Vec<u64>, bins: &[u64]| {
            sums.resize(sums.len().max(bins.len()), 0);
            sums.iter_mut().zip(bins).for_each(|(sum, bin)| *sum += bin);
        };
        add(&mut self.sent, &tally.sent_over_time);
        add(&mut self.watched, &tally.watched_over_time);
        add(&mut self.failed, &tally.failed_over_time);
        self.seeds += 1;
    }

    /// The share of the first server in a window of so many bins from a bin on, as a multiple of the fair one.
    pub fn share(&self, bin: usize, window: usize) -> f64 {
        let sum = |bins: &[u64]| bins.iter().skip(bin).take(window).sum::<u64>() as f64;
        sum(&self.watched) * self.servers as f64 / sum(&self.sent).max(1.0)
    }

    /// Seconds from a moment until the share in `window` bins, and in those after them, is beyond a bound.
    pub fn until(&self, from: u64, window: usize, beyond: impl Fn(f64) -> bool) -> Option<f64> {
        let first = (from * SECOND / BIN) as usize;
        let found = (first..self.sent.len())
            .find(|bin| beyond(self.share(*bin, window)) && beyond(self.share(bin + window, window)))?;
        Some((found + window - first) as f64 * BIN as f64 / SECOND as f64)
    }
}

/// The rows of an experiment, a scenario and a policy.
pub fn select<'a>(
    rows: &'a [Row],
    experiment: &'a str,
    scenario: &'a str,
    policy: &'a str,
) -> impl Iterator<Item = &'a Row> {
    rows.iter().filter(move |row| row.experiment == experiment && row.scenario == scenario && row.policy == policy)
}

/// The mean of something over rows; 0 of none.
pub fn mean<'a>(rows: impl Iterator<Item = &'a Row>, of: impl Fn(&Row) -> f64) -> f64 {
    let (sum, count) = rows.fold((0.0, 0.0), |(sum, count), row| (sum + of(row), count + 1.0));
    if count > 0.0 { sum / count } else { 0.0 }
}

/// The 99th percentile.
pub fn p99(row: &Row) -> f64 {
    row.latency[2]
}

/// Writes all rows, and what happened over time.
pub fn write(rows: &[Row], series: &[Series], folder: &Path) -> io::Result<()> {
    let mut text = String::from(
        "experiment,scenario,policy,x,seed,sent,failed,p50_ms,p90_ms,p99_ms,p99_9_ms,hottest,most_held,log\n",
    );
    for row in rows {
        let Row { experiment, scenario, policy, x, seed, sent, failed, latency, hottest, most_held, log } = row;
        let [p50, p90, p99, p999] = latency;
        let _infallible = writeln!(
            text,
            "{experiment},\"{scenario}\",\"{policy}\",{x},{seed},{sent},{failed},{p50:.3},{p90:.3},{p99:.3},{p999:.3},\
             {hottest:.3},{most_held},{log:016x}",
        );
    }
    file(&folder.join("simulated.csv"), &text)?;
    let mut text = String::from("scenario,policy,seeds,servers,second,sent,first_server,failed\n");
    // Only what is drawn: the rest is in the sums of the rows.
    let drawn = [scenario::failing().name, scenario::episode().name];
    for series in series.iter().filter(|one| drawn.contains(&one.scenario)) {
        for (bin, sent) in series.sent.iter().enumerate() {
            let of = |bins: &[u64]| bins.get(bin).copied().unwrap_or(0);
            let _infallible = writeln!(
                text,
                "\"{}\",\"{}\",{},{},{:.1},{sent},{},{}",
                series.scenario,
                series.policy,
                series.seeds,
                series.servers,
                bin as f64 * BIN as f64 / SECOND as f64,
                of(&series.watched),
                of(&series.failed),
            );
        }
    }
    file(&folder.join("simulated-over-time.csv"), &text)
}

/// Reads what [`write`] has written; a line that it has not written is left out.
#[expect(clippy::disallowed_methods, reason = "a measuring tool, between its runs")]
pub fn read(folder: &Path) -> io::Result<(Vec<Row>, Vec<Series>)> {
    let text = std::fs::read_to_string(folder.join("simulated.csv"))?;
    let rows = text.lines().skip(1).filter_map(|line| row(&cells(line))).collect();
    let text = std::fs::read_to_string(folder.join("simulated-over-time.csv"))?;
    let mut all: Vec<Series> = Vec::new();
    for line in text.lines().skip(1) {
        let cells = cells(line);
        let [scenario, policy, seeds, servers, _, sent, watched, failed] = cells.as_slice() else { continue };
        let number = |cell: &String| cell.parse().unwrap_or(0);
        if all.last().is_none_or(|last| last.scenario != *scenario || last.policy != *policy) {
            all.push(Series::new(scenario, policy, number(servers) as usize));
        }
        if let Some(last) = all.last_mut() {
            last.seeds = number(seeds);
            last.sent.push(number(sent));
            last.watched.push(number(watched));
            last.failed.push(number(failed));
        }
    }
    Ok((rows, all))
}

/// The cells of a line.
fn cells(line: &str) -> Vec<String> {
    let (mut cells, mut quoted) = (vec![String::new()], false);
    for letter in line.chars() {
        match letter {
            '"' => quoted = !quoted,
            ',' if !quoted => cells.push(String::new()),
            _ => cells.last_mut().into_iter().for_each(|cell| cell.push(letter)),
        }
    }
    cells
}

fn row(cells: &[String]) -> Option<Row> {
    let [experiment, scenario, policy, x, seed, sent, failed, p50, p90, p99, p999, hottest, most_held, log] = cells
    else {
        return None;
    };
    Some(Row {
        experiment: experiment.clone(),
        scenario: scenario.clone(),
        policy: policy.clone(),
        x: x.parse().ok()?,
        seed: seed.parse().ok()?,
        sent: sent.parse().ok()?,
        failed: failed.parse().ok()?,
        latency: [p50.parse().ok()?, p90.parse().ok()?, p99.parse().ok()?, p999.parse().ok()?],
        hottest: hottest.parse().ok()?,
        most_held: most_held.parse().ok()?,
        log: u64::from_str_radix(log, 16).ok()?,
    })
}

/// Writes a file.
#[expect(clippy::disallowed_methods, reason = "a measuring tool, between its runs")]
pub fn file(path: &Path, text: &str) -> io::Result<()> {
    std::fs::write(path, text)
}
