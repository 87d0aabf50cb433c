//! Metrics as text for Prometheus (exposition format 0.0.4), and their reference page, both from one table
//! ([`table::FAMILIES`]). Pure: a reading in, text out. It refuses to know who scrapes.
//!
//! Label values come from the configuration and from closed sets, never from a request: the number of series is bounded
//! by what an operator wrote.

mod labels;
mod secure;
mod states;
mod table;

use std::fmt::Display;
use std::fmt::Write;

use crate::admin::scene::Reading;
use crate::observe::ended::Cause;
use crate::observe::metrics::DURATION_BOUNDS_US;
use crate::observe::metrics::Histogram;

/// All metrics whose name begins with `only`.
#[must_use]
pub fn render(reading: &Reading, only: &str) -> String {
    let mut text = String::with_capacity(64 * 1024);
    for family in table::FAMILIES.iter().filter(|family| family.name.starts_with(only)) {
        let Family { name, kind, help, .. } = family;
        put(&mut text, format_args!("# HELP {name} {help}\n# TYPE {name} {}\n", kind.word()));
        (family.write)(reading, &mut Series { text: &mut text, family });
    }
    text
}

/// The reference page, in Markdown.
#[must_use]
pub fn reference() -> String {
    let mut text = String::from(
        "# Metrics\n\nGenerated from the program (`src/admin/metrics`); a test keeps this page fresh.\n\n\
         `GET /metrics` on the admin address answers in the text format of Prometheus (0.0.4), summed over the cores at\n\
         that moment. `?only=PREFIX` keeps the metrics whose name begins so. Counters start at 0 with the process and\n\
         survive a reload.\n\n| Metric | Type | Labels | Meaning |\n|---|---|---|---|\n",
    );
    for Family { name, kind, labels, help, .. } in table::FAMILIES {
        let labels = labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ");
        put(&mut text, format_args!("| `{name}` | {} | {labels} | {help} |\n", kind.word()));
    }
    text.push_str("\n## Labels\n\n| Label | Values |\n|---|---|\n");
    for (label, values) in labels::LABELS {
        put(&mut text, format_args!("| `{label}` | {values} |\n"));
    }
    let bounds: Vec<_> = DURATION_BOUNDS_US.iter().map(|bound| seconds(*bound).to_string()).collect();
    put(&mut text, format_args!("\nBuckets of durations, in seconds: {}.\n", bounds.join(", ")));
    text.push_str("\n## Causes\n\n| `cause` | `who` | Status | Meaning |\n|---|---|---|---|\n");
    for row in table::errors().map(Cause::row) {
        put(&mut text, format_args!("| `{}` | `{}` | {} | {} |\n", row.word, row.who.word(), row.status, row.words));
    }
    text.push_str(
        "\nThe status is the one the client is given if nothing has been sent to it yet; 499 is never sent.\n",
    );
    text
}

/// One metric: all that is ever said of it.
struct Family {
    name: &'static str,
    kind: Kind,
    labels: &'static [&'static str],
    help: &'static str,
    write: fn(&Reading, &mut Series<'_>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// Where the samples of one family go.
struct Series<'a> {
    text: &'a mut String,
    family: &'a Family,
}

/// Durations of one series, summed over cores.
#[derive(Clone, Debug, Default)]
struct Durations {
    buckets: [u64; DURATION_BOUNDS_US.len() + 1],
    sum_us: u64,
}

impl Kind {
    const fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

impl Series<'_> {
    /// A sample; the values of the labels in the family's order.
    fn put(&mut self, values: &[&str], value: impl Display) {
        self.text.push_str(self.family.name);
        if !values.is_empty() {
            self.text.push('{');
            pairs(self.text, self.family.labels, values);
            self.text.push('}');
        }
        put(self.text, format_args!(" {value}\n"));
    }

    /// The samples of a histogram.
    fn durations(&mut self, values: &[&str], durations: &Durations) {
        let mut labels = String::new();
        pairs(&mut labels, self.family.labels, values);
        let name = self.family.name;
        let mut below = 0;
        for (bound, count) in DURATION_BOUNDS_US.iter().zip(durations.buckets) {
            below += count;
            let le = seconds(*bound);
            put(self.text, format_args!("{name}_bucket{{{labels},le=\"{le}\"}} {below}\n"));
        }
        let all: u64 = durations.buckets.iter().sum();
        let sum = seconds(durations.sum_us);
        put(
            self.text,
            format_args!(
                "{name}_bucket{{{labels},le=\"+Inf\"}} {all}\n{name}_sum{{{labels}}} {sum}\n\
                 {name}_count{{{labels}}} {all}\n"
            ),
        );
    }
}

impl Durations {
    fn add(&mut self, histogram: &Histogram) {
        for (sum, count) in self.buckets.iter_mut().zip(&histogram.buckets) {
            *sum += count.get();
        }
        self.sum_us = self.sum_us.wrapping_add(histogram.sum_us.get());
    }
}

fn pairs(text: &mut String, labels: &[&str], values: &[&str]) {
    for (index, (label, value)) in labels.iter().zip(values).enumerate() {
        if index > 0 {
            text.push(',');
        }
        text.push_str(label);
        text.push_str("=\"");
        escape(text, value);
        text.push('"');
    }
}

fn escape(text: &mut String, value: &str) {
    for c in value.chars() {
        match c {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            c => text.push(c),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "286 years of microseconds fit before the first digit is lost")]
fn seconds(us: u64) -> f64 {
    us as f64 / 1e6
}

fn put(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = text.write_fmt(arguments);
}

#[cfg(test)]
mod tests;
