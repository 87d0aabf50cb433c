//! The configuration: file form in, validated [`Model`] out, or every fault at once with its place and what would be
//! accepted. It refuses to know how a model is served.
//!
//! Reading order: `include` (texts) → `tree` (values with their places) → `form` (what the file says, by the one
//! description in `keys`) → `check` (what it means). `reference` and `schema` are made from the same description.

use std::path::Path;
use std::path::PathBuf;

use crate::address::Address;
use crate::model::Model;

mod balances;
mod callers;
mod check;
mod env;
mod form;
mod hedges;
mod include;
mod key;
mod keys;
mod kind;
mod kinds;
mod mask;
mod pattern;
mod places;
mod plain;
#[cfg(test)]
mod property_tests;
mod reference;
mod report;
mod routes;
mod schema;
mod statuses;
mod suggest;
#[cfg(test)]
mod tests;
mod texts;
mod tls;
mod tree;
mod unit;
mod upstreams;
mod write;

pub use places::Places;
pub use reference::reference_markdown;
pub use reference::reference_toml;
pub use report::Report;
pub use report::Warning;
pub use schema::schema;
pub use write::to_toml;

/// A configuration that may be served.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What it says.
    pub model: Model,
    /// What is odd about it.
    pub warnings: Vec<Warning>,
    /// The files it was read from, the main file first; none for [`load_text`].
    pub sources: Vec<PathBuf>,
    /// Where it names files.
    pub places: Places,
}

/// Reads the file at `path` and what it includes, with the variables of this process.
///
/// # Errors
/// Every fault of all files in one report; a file that cannot be read is one fault.
pub fn load(path: &Path) -> Result<Loaded, Report> {
    let mut faults = report::Faults::default();
    let texts = include::file(path, &variable, &mut faults);
    finish(texts, faults)
}

/// Reads a text that is in no file; `name` is what its faults show. It cannot include files.
///
/// # Errors
/// Every fault in one report.
pub fn load_text(name: &str, text: &str) -> Result<Loaded, Report> {
    let mut faults = report::Faults::default();
    let texts = include::text(name, text, &variable, &mut faults);
    finish(texts, faults)
}

/// The configuration of a gateway without a file: listener "http" on `listen`, and everything that arrives there goes to
/// upstream "app" at `to`. All else has its default.
///
/// # Panics
/// If a key other than `bind` and `endpoints` had no default: a fault of this module that no argument brings about.
#[must_use]
pub fn serve(to: Address, listen: Address) -> Model {
    check::serve(to, listen).expect("every key but those two has a default")
}

fn finish(texts: include::Texts, mut faults: report::Faults) -> Result<Loaded, Report> {
    let include::Texts { root, sources, paths } = texts;
    if sources.is_empty() {
        return Err(faults.report(&sources));
    }
    let top = report::Span { file: 0, start: 0, end: 0 };
    let form = form::read(&root, top, &mut faults);
    let (model, warnings) = check::check(&form, &mut faults);
    match model {
        Some(model) if faults.is_empty() => {
            let warnings = warnings.into_iter().map(|fault| Warning::new(&sources, fault)).collect();
            let places = Places::of(&root, &sources);
            Ok(Loaded { model, warnings, sources: paths, places })
        }
        _ => Err(faults.report(&sources)),
    }
}

#[expect(clippy::disallowed_methods, reason = "variables are part of what is read, off the cores")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
