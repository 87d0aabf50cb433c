//! The six plots, from what was run.

use std::io;
use std::path::Path;

use crate::experiments::Results;
use crate::rows;
use crate::rows::Row;
use crate::rows::mean;
use crate::rows::p99;
use crate::rows::select;
use crate::sim::contenders;
use crate::sim::contenders::LEAST_TIME;
use crate::sim::contenders::ORACLE;
use crate::sim::contenders::RINGWAY;
use crate::sim::scenario;
use crate::sim::scenario::ONSET;
use crate::sim::scenario::RELIEF;
use crate::svg::Axis;
use crate::svg::Chart;
use crate::svg::Heat;
use crate::svg::Line;
use crate::svg::Mark;
use crate::svg::Scale;

/// Draws all into a folder.
pub fn draw(results: &Results, folder: &Path) -> io::Result<()> {
    let put = |name: &str, text: &str| rows::file(&folder.join(name), text);
    put("1-p99-load.svg", &loads(&results.rows).svg())?;
    put("2-p99-cores.svg", &cores(&results.rows).svg())?;
    put("3-p99-gossip.svg", &gossip(&results.rows).svg())?;
    put("4-slow-server.svg", &episode(results).svg())?;
    put("5-heat.svg", &heat(&results.rows).svg())?;
    put("6-failures.svg", &failures(results).svg())
}

/// The mean p99 over seeds for each x of an experiment.
fn curve(rows: &[Row], experiment: &str, scenario: &str, policy: &str) -> Vec<(f64, f64)> {
    let mut xs: Vec<f64> = select(rows, experiment, scenario, policy).map(|row| row.x).collect();
    xs.sort_unstable_by(f64::total_cmp);
    xs.dedup();
    let at = |x: f64| mean(select(rows, experiment, scenario, policy).filter(|row| row.x == x), p99);
    xs.into_iter().map(|x| (x, at(x))).collect()
}

fn line(name: &str, points: Vec<(f64, f64)>) -> Line {
    Line { name: name.to_owned(), points, strong: name == RINGWAY, dashed: name == ORACLE }
}

fn loads(rows: &[Row]) -> Chart {
    let names = contenders::all();
    Chart {
        title: "p99 against load: the published testbed's fleet, 16 cores (simulated)",
        x: Axis::new("load, of the fleet's nominal capacity", Scale::Linear, &[0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.2]),
        y: Axis::new(
            "p99, ms (cut at 10,000)",
            Scale::Log,
            &[100.0, 200.0, 500.0, 1_000.0, 2_000.0, 5_000.0, 10_000.0],
        ),
        lines: names.iter().map(|one| line(one.name, curve(rows, "load", "testbed", one.name))).collect(),
        marks: Vec::new(),
    }
}

fn cores(rows: &[Row]) -> Chart {
    let names = [
        RINGWAY,
        "ringway latency, per core",
        "P2C least request, shared",
        "P2C least request, per core",
        "tower peak-EWMA, shared",
        "tower peak-EWMA, per core",
    ];
    let lines = names.map(|name| Line {
        dashed: name.ends_with("per core"),
        strong: name.starts_with("ringway"),
        ..line(name, curve(rows, "cores", "testbed 0.9", name))
    });
    Chart {
        title: "p99 against the number of cores: what is shared (solid), and each core alone (dashed) (simulated)",
        x: Axis::new("cores", Scale::Log, &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0]),
        y: Axis::new("p99, ms", Scale::Log, &[100.0, 200.0, 300.0, 500.0, 1_000.0, 2_000.0]),
        lines: lines.into(),
        marks: Vec::new(),
    }
}

fn gossip(rows: &[Row]) -> Chart {
    let works = ["40", "10", "2"];
    let lines = works.map(|work| {
        let points = curve(rows, "gossip", &format!("testbed 0.9, {work} ms of work"), RINGWAY);
        let exact = points.first().map_or(1.0, |(_, p99)| *p99);
        let points = points.into_iter().map(|(x, p99)| (x.max(0.25), p99 / exact)).collect();
        Line { name: format!("{work} ms of work"), points, strong: false, dashed: false }
    });
    let mut x =
        Axis::new("age of what a core knows of the others, ms", Scale::Log, &[0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 50.0]);
    x.ticks[0].1 = "exact".to_owned();
    Chart {
        title: "p99 against the age of shared state: ringway, 16 cores, load 0.9 (simulated)",
        x,
        y: Axis::new("p99, relative to exact knowledge", Scale::Log, &[0.9, 1.0, 1.1, 1.25, 1.5, 2.0, 3.0, 4.0, 6.0]),
        lines: lines.into(),
        marks: Vec::new(),
    }
}

/// Those whose course over time is drawn.
const FOLLOWED: [&str; 6] = [
    RINGWAY,
    LEAST_TIME,
    "tower peak-EWMA, per core",
    "tower peak-EWMA, shared",
    "HAProxy leastconn, shared",
    "Prequal, ideal server model",
];

fn episode(results: &Results) -> Chart {
    const WINDOW: usize = 3;
    let name = scenario::episode().name;
    let of = |policy: &str| results.series.iter().find(|one| one.scenario == name && one.policy == policy);
    let points = |policy: &str| {
        let share = |one: &rows::Series| {
            let bins = (ONSET as usize - 1) * 10..(RELIEF as usize + 10) * 10;
            bins.map(|bin| ((bin as f64 + WINDOW as f64 / 2.0) / 10.0, one.share(bin, WINDOW))).collect()
        };
        of(policy).map_or_else(Vec::new, share)
    };
    let mut marks = vec![
        Mark { x: ONSET as f64, word: "20 times slower".to_owned(), down: 0.0 },
        Mark { x: RELIEF as f64, word: "as before".to_owned(), down: 0.0 },
    ];
    if let Some(own) = of(RINGWAY) {
        if let Some(after) = own.until(ONSET, 1, |share| share < 0.25) {
            marks.push(Mark {
                x: ONSET as f64 + after,
                word: format!("ringway has diverted: {after:.1} s"),
                down: 0.06,
            });
        }
        if let Some(after) = own.until(RELIEF, 5, |share| share > 0.75) {
            marks.push(Mark {
                x: RELIEF as f64 + after,
                word: format!("ringway has returned: {after:.1} s"),
                down: 0.06,
            });
        }
    }
    Chart {
        title: "The share of a server that is 20 times slower for five seconds (simulated)",
        x: Axis::new("time, s", Scale::Linear, &[4.0, 6.0, 8.0, 10.0, 12.0, 14.0, 16.0, 18.0, 20.0]),
        y: Axis::new("requests, relative to a fair share", Scale::Linear, &[0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5]),
        lines: FOLLOWED.iter().map(|name| line(name, points(name))).collect(),
        marks,
    }
}

fn heat(rows: &[Row]) -> Heat {
    let scenarios = scenario::twelve();
    let ratio = |scenario: &str, policy: &str| {
        mean(select(rows, "twelve", scenario, policy), p99) / mean(select(rows, "twelve", scenario, ORACLE), p99)
    };
    let row = |one: &contenders::Contender| {
        (one.name.to_owned(), scenarios.iter().map(|scenario| ratio(&scenario.name, one.name)).collect())
    };
    Heat {
        title: "p99 relative to the oracle's (simulated)",
        columns: scenarios.iter().map(|scenario| scenario.name.clone()).collect(),
        rows: contenders::all().iter().map(row).collect(),
    }
}

fn failures(results: &Results) -> Chart {
    let name = scenario::failing().name;
    let sum = |one: &rows::Series| {
        let mut sum = 0;
        let bins = (ONSET as usize - 1) * 10..18 * 10;
        bins.map(|bin| {
            sum += one.failed.get(bin).copied().unwrap_or(0);
            ((bin + 1) as f64 / 10.0, (sum as f64 / one.seeds as f64).max(0.5))
        })
        .collect::<Vec<_>>()
    };
    let mut lines = Vec::new();
    for one in results.series.iter().filter(|one| one.scenario == name && one.policy != ORACLE) {
        lines.push(Line { dashed: one.policy.contains("max_fails"), ..line(&one.policy, sum(one)) });
    }
    let mut y =
        Axis::new("failed requests so far, mean of the seeds", Scale::Log, &[0.5, 1.0, 10.0, 100.0, 1_000.0, 10_000.0]);
    y.ticks[0].1 = "0".to_owned();
    Chart {
        title: "Two of twenty servers fail every request at once, from 5 s on (simulated)",
        x: Axis::new("time, s", Scale::Linear, &[4.0, 6.0, 8.0, 10.0, 12.0, 14.0, 16.0, 18.0]),
        y,
        lines,
        marks: vec![Mark { x: ONSET as f64, word: "two fail".to_owned(), down: 0.0 }],
    }
}
