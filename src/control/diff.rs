//! What differs between two models, by name. Pure. It refuses to know what a difference costs.

use crate::id::UpstreamIndex;
use crate::model::Host;
use crate::model::Model;
use crate::model::Process;
use crate::model::Route;

/// What differs between two models.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Listeners.
    pub listeners: Delta,
    /// Upstreams.
    pub upstreams: Delta,
    /// Host tables, by their patterns.
    pub hosts: Delta,
    /// Keys of `[process]` that may change while it runs.
    pub process: Vec<&'static str>,
}

/// What differs between two lists of named things. Names, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delta {
    /// Only in the new list.
    pub added: Vec<String>,
    /// Only in the old list.
    pub removed: Vec<String>,
    /// In both, and not the same.
    pub changed: Vec<String>,
}

impl Changes {
    /// From `old` to `new`.
    #[must_use]
    pub fn between(old: &Model, new: &Model) -> Self {
        let mut process = Vec::new();
        if old.process.drain != new.process.drain {
            process.push("process.drain");
        }
        if old.process.connections_max != new.process.connections_max {
            process.push("process.connections_max");
        }
        Self {
            listeners: Delta::between(&old.listeners, &new.listeners, |l| l.name.clone(), |a, b| a == b),
            upstreams: Delta::between(&old.upstreams, &new.upstreams, |u| u.name.clone(), |a, b| a == b),
            hosts: Delta::between(
                &old.hosts,
                &new.hosts,
                |host| host.pattern.text(),
                // An upstream's index moves when another one comes or goes; its name does not.
                |a, b| routes(old, a).eq(routes(new, b)),
            ),
            process,
        }
    }

    /// One line for the log.
    #[must_use]
    pub fn text(&self) -> String {
        let mut parts = Vec::new();
        for (noun, delta) in [("listeners", &self.listeners), ("upstreams", &self.upstreams), ("hosts", &self.hosts)] {
            for (verb, names) in [("added", &delta.added), ("removed", &delta.removed), ("changed", &delta.changed)] {
                if !names.is_empty() {
                    parts.push(format!("{noun} {verb}: {}", some(names)));
                }
            }
        }
        if !self.process.is_empty() {
            parts.push(format!("changed: {}", self.process.join(", ")));
        }
        if parts.is_empty() { "nothing changed".into() } else { parts.join("; ") }
    }

    /// For programs.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        let delta = |delta: &Delta| serde_json::json!({ "added": delta.added, "removed": delta.removed, "changed": delta.changed });
        serde_json::json!({
            "listeners": delta(&self.listeners),
            "upstreams": delta(&self.upstreams),
            "hosts": delta(&self.hosts),
            "process": self.process,
        })
    }
}

/// The keys that are fixed at start and differ from what was in force then.
#[must_use]
pub fn needs_restart(start: &Process, new: &Process) -> Vec<&'static str> {
    let keys = [
        ("process.cores", start.cores != new.cores),
        ("process.admin", start.admin != new.admin),
        ("process.io", start.io != new.io),
        ("process.ring", start.ring != new.ring),
        ("process.access_log", start.access_log != new.access_log),
        ("process.core_dumps", start.core_dumps != new.core_dumps),
    ];
    keys.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key).collect()
}

impl Delta {
    fn between<T>(old: &[T], new: &[T], name: impl Fn(&T) -> String, same: impl Fn(&T, &T) -> bool) -> Self {
        let by_name = |list: &[T]| -> std::collections::BTreeMap<String, usize> {
            list.iter().enumerate().map(|(index, item)| (name(item), index)).collect()
        };
        let (before, after) = (by_name(old), by_name(new));
        let mut delta = Self::default();
        for (name, index) in &after {
            match before.get(name) {
                None => delta.added.push(name.clone()),
                Some(was) if !same(&old[*was], &new[*index]) => delta.changed.push(name.clone()),
                Some(_) => {}
            }
        }
        delta.removed = before.into_keys().filter(|name| !after.contains_key(name)).collect();
        delta
    }
}

fn routes<'a>(model: &'a Model, host: &'a Host) -> impl Iterator<Item = (&'a str, Route)> {
    host.routes.iter().map(|route| {
        let upstream = model.upstreams.get(route.upstream.index()).map_or("", |upstream| upstream.name.as_str());
        // By name: another upstream more or less moves the indexes of all.
        (upstream, Route { upstream: UpstreamIndex(0), ..route.clone() })
    })
}

fn some(names: &[String]) -> String {
    let shown = names.iter().take(NAMES).cloned().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(NAMES) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// Names of one kind in a line of the log; the answer to who asked holds all.
const NAMES: usize = 10;

#[cfg(test)]
#[path = "diff_tests.rs"]
mod tests;
