//! Where the texts of a configuration stand, for whoever finds out later that what one of them names is not as it must be:
//! a file, say. It refuses to know what they name.

use std::path::PathBuf;

use super::report::Fault;
use super::report::Faults;
use super::report::Report;
use super::report::Sources;
use super::report::Span;
use super::report::Warning;
use super::tree::Node;
use super::tree::Table;
use super::tree::Value;

/// The paths that a configuration names, with the places where they stand.
#[derive(Clone, Debug, Default)]
pub struct Places {
    sources: Sources,
    paths: Vec<(PathBuf, Span)>,
}

impl Places {
    pub(super) fn of(root: &Table, sources: &Sources) -> Self {
        let mut places = Self { sources: sources.clone(), paths: Vec::new() };
        root.entries.iter().for_each(|entry| places.note(&entry.node));
        places
    }

    fn note(&mut self, node: &Node) {
        match &node.value {
            Value::Text(text) if text.starts_with('/') => self.paths.push((text.into(), node.span)),
            Value::List(items) => items.iter().for_each(|item| self.note(item)),
            Value::Table(table) => table.entries.iter().for_each(|entry| self.note(&entry.node)),
            _ => {}
        }
    }

    fn at(&self, path: &PathBuf) -> Span {
        let found = self.paths.iter().find(|(known, _)| known == path);
        found.map_or(Span { file: 0, start: 0, end: 0 }, |(_, at)| *at)
    }

    /// The report that says of each of these paths what is wrong with what it names.
    #[must_use]
    pub fn report(&self, wrong: &[(PathBuf, String)]) -> Report {
        let mut faults = Faults::default();
        for (path, words) in wrong {
            faults.add(Fault::wrong(self.at(path), format!("{}: {words}", path.display())));
        }
        faults.report(&self.sources)
    }

    /// What is odd about what a path names.
    #[must_use]
    pub fn warning(&self, path: &PathBuf, words: &str) -> Warning {
        Warning::new(&self.sources, Fault::wrong(self.at(path), format!("{}: {words}", path.display())))
    }
}
