//! Reads a file and those it includes into one tree. It refuses to know what the tables mean.

#![expect(clippy::disallowed_methods, reason = "configuration is read before there are cores, or off them")]

use std::collections::HashSet;
use std::io;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use super::env::Environment;
use super::key::Place;
use super::keys;
use super::kind::Kind;
use super::report::Fault;
use super::report::Faults;
use super::report::Source;
use super::report::Sources;
use super::report::Span;
use super::report::quote;
use super::tree;
use super::tree::Table;

/// One tree of all texts, with the texts and the paths they came from.
pub(super) struct Texts {
    pub(super) root: Table,
    pub(super) sources: Sources,
    pub(super) paths: Vec<PathBuf>,
}

/// Reads the file at `path` and what it includes.
pub(super) fn file(path: &Path, env: Environment<'_>, faults: &mut Faults) -> Texts {
    let mut texts = Texts { root: Table::default(), sources: Arc::default(), paths: Vec::new() };
    match read(path) {
        Ok(text) => {
            texts.paths.push(path.to_path_buf());
            texts.root = texts.plant(path.display().to_string(), text, env, faults);
            texts.include(Some(path.parent().unwrap_or(Path::new(""))), env, faults);
        }
        Err(reason) => faults.add(Fault::nowhere(format!("cannot read {}: {reason}", path.display()))),
    }
    texts
}

/// Reads a text that comes from no file, and so cannot include any.
pub(super) fn text(name: &str, text: &str, env: Environment<'_>, faults: &mut Faults) -> Texts {
    let mut texts = Texts { root: Table::default(), sources: Arc::default(), paths: Vec::new() };
    texts.root = texts.plant(name.to_owned(), text.to_owned(), env, faults);
    texts.include(None, env, faults);
    texts
}

// === impl Texts ===

impl Texts {
    fn plant(&mut self, name: String, text: String, env: Environment<'_>, faults: &mut Faults) -> Table {
        // The list is shared with reports only once all texts are read: until then this is its one owner.
        let file = self.sources.len();
        Arc::make_mut(&mut self.sources).push(Arc::new(Source { name, text }));
        tree::parse(&self.sources, file, env, faults)
    }

    fn include(&mut self, directory: Option<&Path>, env: Environment<'_>, faults: &mut Faults) {
        let Some(entry) = self.root.take(keys::INCLUDE.name) else { return };
        let place = Place { key: keys::INCLUDE.name, owner: "the file" };
        let Some(patterns) = keys::INCLUDE.kind.read(&entry.node, &place, faults) else { return };
        let Some(directory) = directory else {
            let message = "a configuration that is no file cannot include files";
            faults.add(Fault::wrong(entry.at, message).help("write its tables out"));
            return;
        };
        let mut read_already: HashSet<PathBuf> = self.paths.iter().map(|path| identity(path)).collect();
        for (pattern, at) in patterns {
            let paths = match matches(directory, &pattern) {
                Ok(paths) => paths,
                Err(fault) => {
                    faults.add(fault.fault(at, &pattern));
                    continue;
                }
            };
            for path in paths {
                // Two patterns may match one file, and "*.toml" matches the file it stands in.
                if read_already.insert(identity(&path)) {
                    self.add(&path, at, env, faults);
                }
            }
        }
    }

    fn add(&mut self, path: &Path, at: Span, env: Environment<'_>, faults: &mut Faults) {
        if self.paths.len() > FILES_MAX {
            faults.add(Fault::wrong(at, format!("more than {FILES_MAX} files are included")));
            return;
        }
        let text = match read(path) {
            Ok(text) => text,
            Err(reason) => {
                faults.add(Fault::wrong(at, format!("cannot read {}: {reason}", path.display())));
                return;
            }
        };
        self.paths.push(path.to_path_buf());
        let mut table = self.plant(path.display().to_string(), text, env, faults);
        if let Some(entry) = table.take(keys::INCLUDE.name) {
            faults.add(
                Fault::wrong(entry.at, "an included file cannot include files").help("name them in the main file"),
            );
        }
        self.root.merge(table, faults);
    }
}

enum Refusal {
    /// Names one file, and there is none.
    Missing(PathBuf),
    /// `*` in a directory's name.
    Directory,
    Io(PathBuf, io::Error),
}

impl Refusal {
    fn fault(&self, at: Span, pattern: &str) -> Fault {
        match self {
            Self::Missing(path) => Fault::wrong(at, format!("{} is no file", quote(&path.display().to_string())))
                .help("paths are relative to the directory of the file that names them"),
            Self::Directory => Fault::wrong(at, format!("{} has a \"*\" before its last part", quote(pattern)))
                .help("accepted: \"conf.d/*.toml\""),
            Self::Io(path, error) => Fault::wrong(at, format!("cannot list {}: {error}", path.display())),
        }
    }
}

/// The files that a pattern stands for, in the order of their names.
fn matches(directory: &Path, pattern: &str) -> Result<Vec<PathBuf>, Refusal> {
    let (parent, last) = match pattern.rsplit_once('/') {
        Some((parent, _)) if parent.contains('*') => return Err(Refusal::Directory),
        Some(("", last)) => (PathBuf::from("/"), last),
        Some((parent, last)) => (directory.join(parent), last),
        None => (directory.to_path_buf(), pattern),
    };
    if !last.contains('*') {
        let path = parent.join(last);
        return if path.is_file() { Ok(vec![path]) } else { Err(Refusal::Missing(path)) };
    }
    let listed = if parent.as_os_str().is_empty() { Path::new(".") } else { parent.as_path() };
    let entries = match std::fs::read_dir(listed) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Refusal::Io(parent, error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(|error| Refusal::Io(parent.clone(), error))?.file_name();
        let name = name.to_string_lossy();
        // As in a shell, a file that hides is not meant by "*".
        if name.starts_with('.') == last.starts_with('.') && fits(last.as_bytes(), name.as_bytes()) {
            names.push(name.into_owned());
        }
    }
    names.sort();
    Ok(names.into_iter().map(|name| parent.join(name)).filter(|path| path.is_file()).collect())
}

/// Whether `name` fits `pattern`, in which `*` stands for any bytes. In time of their product at most.
fn fits(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match (pattern.get(p), star) {
            (Some(b'*'), _) => {
                star = Some((p, n));
                p += 1;
            }
            (Some(byte), _) if *byte == name[n] => {
                p += 1;
                n += 1;
            }
            (_, Some((at, from))) => {
                star = Some((at, from + 1));
                p = at + 1;
                n = from + 1;
            }
            (_, None) => return false,
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

/// The text of a file, or why not, in words.
fn read(path: &Path) -> Result<String, String> {
    let metadata = std::fs::metadata(path).map_err(|error| error.to_string())?;
    if metadata.is_dir() {
        return Err("it is a directory".into());
    }
    // What is no file says nothing of its length, or never ends: read no further than is accepted.
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(format!("it is longer than {} MiB", FILE_BYTES_MAX >> 20));
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let line = error.as_bytes().iter().take(good).filter(|byte| **byte == b'\n').count() + 1;
        format!("it is not UTF-8 text (line {line})")
    })
}

fn identity(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_path_buf())
}

/// Files of one configuration.
const FILES_MAX: usize = 10_000;
/// Bytes of one file: about a hundred thousand routes.
const FILE_BYTES_MAX: u64 = 16 << 20;
