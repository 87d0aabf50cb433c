//! A TOML text as a tree in which every key and value knows its place. It refuses to know which keys exist.

use toml::Spanned;
use toml::de::DeTable;
use toml::de::DeValue;

use super::env;
use super::env::Environment;
use super::report::Fault;
use super::report::Faults;
use super::report::Sources;
use super::report::Span;

/// One value and its place.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) span: Span,
    pub(super) value: Value,
}

/// What a value is.
#[derive(Clone, Debug)]
pub(super) enum Value {
    /// With its environment variables filled in.
    Text(String),
    /// Saturated: what does not fit is out of any range anyway.
    Integer(i128),
    /// As it is written, without underscores.
    Float(String),
    Boolean(bool),
    Datetime,
    List(Vec<Node>),
    Table(Table),
    /// Could not be read, and the fault is recorded.
    Faulty,
}

/// A table, in the order of the file.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    pub(super) entries: Vec<Entry>,
}

/// A key with its value.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) name: String,
    /// Where the key stands.
    pub(super) at: Span,
    pub(super) node: Node,
}

/// Reads the text number `file`. What is not TOML is a fault, and the rest is read on.
pub(super) fn parse(sources: &Sources, file: usize, env: Environment<'_>, faults: &mut Faults) -> Table {
    let Some(source) = sources.get(file) else { return Table::default() };
    let (document, errors) = DeTable::parse_recoverable(&source.text);
    for error in errors {
        let range = error.span().unwrap_or(0..0);
        let at = Span { file, start: range.start, end: range.end };
        let message = error.message().trim_end_matches(", expected nothing");
        let mut fault = Fault::syntax(at, format!("invalid TOML: {message}"));
        if UNQUOTED.iter().any(|begin| message.starts_with(begin)) {
            fault = fault.help("a string stands in quotes: \"…\"");
        }
        if let Some(first) = first_of(&source.text, range).filter(|_| error.message() == "duplicate key") {
            fault = fault.also(Span { file, start: first.start, end: first.end }, "first written here");
        }
        faults.add(fault);
    }
    Planter { text: &source.text, file, env, faults }.table(document.into_inner())
}

/// How the parser's messages begin when the likely cause is a string without its quotes.
const UNQUOTED: [&str; 3] = ["invalid float", "invalid integer", "string values must be quoted"];

/// Where the key or header at `range`, which is there a second time, stood first. The parser does not say.
fn first_of(text: &str, range: std::ops::Range<usize>) -> Option<std::ops::Range<usize>> {
    let key = text.get(range.clone())?;
    let line_start = text.get(..range.start)?.rfind('\n').map_or(0, |at| at + 1);
    let lead = text.get(line_start..range.end)?;
    let header = lead.trim_start().starts_with('[');
    let mut found = None;
    let mut start = 0;
    for line in text.get(..line_start)?.split_inclusive('\n') {
        let is_header = line.trim_start().starts_with('[');
        let rest = line.strip_prefix(lead);
        let ends = |rest: &str| rest.trim_start().starts_with(if header { ']' } else { '=' });
        if is_header && !header {
            found = None;
        } else if rest.is_some_and(ends) && found.is_none() {
            found = Some(start + lead.len() - key.len()..start + lead.len());
        }
        start += line.len();
    }
    found
}

// === impl Value ===

impl Value {
    /// What it is, for a message.
    pub(super) fn noun(&self) -> &'static str {
        match self {
            Self::Text(_) => "a string",
            Self::Integer(_) => "an integer",
            Self::Float(_) => "a float",
            Self::Boolean(_) => "a boolean",
            Self::Datetime => "a date",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
            Self::Faulty => "nothing",
        }
    }
}

// === impl Table ===

impl Table {
    /// The entry of that name.
    pub(super) fn get(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.name == name)
    }

    /// Takes the entry of that name out.
    pub(super) fn take(&mut self, name: &str) -> Option<Entry> {
        let at = self.entries.iter().position(|entry| entry.name == name)?;
        Some(self.entries.remove(at))
    }

    /// Adds the other file's entries. Down to `depth` tables are merged; a key that both have is a fault.
    pub(super) fn merge(&mut self, other: Self, faults: &mut Faults) {
        self.merge_at("", other, faults);
    }

    fn merge_at(&mut self, path: &str, other: Self, faults: &mut Faults) {
        let mut known: std::collections::HashMap<String, usize> =
            self.entries.iter().enumerate().map(|(index, entry)| (entry.name.clone(), index)).collect();
        for entry in other.entries {
            let path = if path.is_empty() { entry.name.clone() } else { format!("{path}.{}", entry.name) };
            let Some(mine) = known.get(&entry.name).and_then(|index| self.entries.get_mut(*index)) else {
                known.insert(entry.name.clone(), self.entries.len());
                self.entries.push(entry);
                continue;
            };
            match (&mut mine.node.value, entry.node.value) {
                (Value::Table(mine), Value::Table(other)) if MERGED.contains(&path.as_str()) => {
                    mine.merge_at(&path, other, faults);
                }
                _ => faults.add(
                    Fault::wrong(entry.at, format!("{} is written in two files", super::report::tick(&path)))
                        .also(mine.at, "first written here")
                        .help("an included file adds to the others, it does not replace"),
                ),
            }
        }
    }
}

/// The tables that several files may fill; one listener, upstream or host stands whole in one file.
const MERGED: [&str; 7] = ["process", "listen", "defaults", "defaults.listen", "defaults.upstream", "upstream", "host"];

// === impl Planter ===

struct Planter<'a> {
    text: &'a str,
    file: usize,
    env: Environment<'a>,
    faults: &'a mut Faults,
}

impl Planter<'_> {
    fn table(&mut self, table: DeTable<'_>) -> Table {
        let mut entries: Vec<Entry> = table
            .into_iter()
            .map(|(key, value)| Entry {
                at: self.span(&key),
                name: key.into_inner().into_owned(),
                node: self.node(value),
            })
            .collect();
        entries.sort_by_key(|entry| entry.at);
        Table { entries }
    }

    fn node(&mut self, value: Spanned<DeValue<'_>>) -> Node {
        let span = self.span(&value);
        let value = match value.into_inner() {
            DeValue::String(text) => {
                env::expand(&text, self.text, span, self.env, self.faults).map_or(Value::Faulty, Value::Text)
            }
            DeValue::Integer(integer) => Value::Integer(whole(integer.as_str(), integer.radix())),
            DeValue::Float(float) => Value::Float(float.as_str().to_owned()),
            DeValue::Boolean(value) => Value::Boolean(value),
            DeValue::Datetime(_) => Value::Datetime,
            DeValue::Array(items) => Value::List(items.into_iter().map(|item| self.node(item)).collect()),
            DeValue::Table(table) => Value::Table(self.table(table)),
        };
        Node { span, value }
    }

    fn span<T>(&self, spanned: &Spanned<T>) -> Span {
        let range = spanned.span();
        Span { file: self.file, start: range.start, end: range.end }
    }
}

fn whole(digits: &str, radix: u32) -> i128 {
    let saturated = if digits.starts_with('-') { i128::MIN } else { i128::MAX };
    i128::from_str_radix(digits, radix).unwrap_or(saturated)
}
