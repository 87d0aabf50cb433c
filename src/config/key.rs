//! Keys and tables of keys as data: one description from which the check, the reference and the schema all come. It
//! refuses to know which keys there are (that is `keys`).

use std::fmt;

use super::kind::Kind;
use super::kind::refuse;
use super::report::Fault;
use super::report::Faults;
use super::report::Span;
use super::report::tick;
use super::suggest::key_advice;
use super::tree::Entry;
use super::tree::Node;
use super::tree::Table;
use super::tree::Value;

/// One key whose value is of kind `K`.
pub(super) struct Key<K: Kind> {
    pub(super) name: &'static str,
    pub(super) kind: K,
    pub(super) need: Need<K::Value>,
    /// One sentence or more, with the meaning of absence where there is no default.
    pub(super) doc: &'static str,
    /// TOML that is not the default, for the reference and for the test that no key is without effect.
    pub(super) example: &'static str,
}

/// What happens when a key is absent.
pub(super) enum Need<V> {
    Required,
    Optional,
    Default(V),
}

/// One key whose value is a table of further keys.
pub(super) struct Group {
    pub(super) name: &'static str,
    pub(super) keys: Keys,
    pub(super) doc: &'static str,
}

/// The same, where the word "off" may stand instead of the table.
pub(super) struct Switched(pub(super) Group);

/// The keys of one table.
pub(super) type Keys = &'static [&'static dyn Described];

/// A key without the type of its value.
pub(super) trait Described: Sync {
    fn name(&self) -> &'static str;
    fn doc(&self) -> &'static str;
    fn accepted(&self) -> String;
    fn schema(&self) -> serde_json::Value;
    fn required(&self) -> bool;
    /// TOML.
    fn default(&self) -> Option<String>;
    /// TOML.
    fn example(&self) -> &'static str;
    /// The keys of the table that its value is.
    fn group(&self) -> Option<Keys>;
    /// The keys of the tables that its value may be or hold.
    fn parts(&self) -> Option<Keys>;
}

/// What a file says about one key.
#[derive(Clone, Debug, Default)]
pub(super) enum Field<T> {
    #[default]
    Absent,
    /// Something stands there, and its fault is recorded.
    Faulty,
    Set(T, Span),
}

/// The word that stands for nothing, where something else could stand.
pub(super) const OFF: &str = "off";

/// Where a message says it is: "`timeout.head` of listener "http"".
pub(super) struct Place<'a> {
    pub(super) key: &'a str,
    pub(super) owner: &'a str,
}

/// Reads the keys of one table; unknown ones are recorded when it is opened.
pub(super) struct Reader<'a> {
    table: &'a Table,
    /// Where the table stands.
    pub(super) at: Span,
    owner: &'a str,
    prefix: String,
}

// === impl Key ===

impl<K: Kind> Key<K> {
    /// The value when the file says nothing.
    pub(super) fn default(&self) -> Option<K::Value> {
        match &self.need {
            Need::Default(value) => Some(value.clone()),
            Need::Required | Need::Optional => None,
        }
    }
}

impl<K: Kind> Described for Key<K> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn doc(&self) -> &'static str {
        self.doc
    }

    fn accepted(&self) -> String {
        self.kind.accepted()
    }

    fn schema(&self) -> serde_json::Value {
        self.kind.schema()
    }

    fn required(&self) -> bool {
        matches!(self.need, Need::Required)
    }

    fn default(&self) -> Option<String> {
        Key::default(self).map(|value| self.kind.show(&value))
    }

    fn example(&self) -> &'static str {
        self.example
    }

    fn group(&self) -> Option<Keys> {
        None
    }

    fn parts(&self) -> Option<Keys> {
        self.kind.parts()
    }
}

// === impl Group ===

impl Described for Group {
    fn name(&self) -> &'static str {
        self.name
    }

    fn doc(&self) -> &'static str {
        self.doc
    }

    fn accepted(&self) -> String {
        let names: Vec<&str> = self.keys.iter().map(|key| key.name()).collect();
        format!("a table of {}", names.join(", "))
    }

    fn schema(&self) -> serde_json::Value {
        super::schema::table(self.keys)
    }

    fn required(&self) -> bool {
        false
    }

    fn default(&self) -> Option<String> {
        None
    }

    fn example(&self) -> &'static str {
        ""
    }

    fn group(&self) -> Option<Keys> {
        Some(self.keys)
    }

    fn parts(&self) -> Option<Keys> {
        None
    }
}

// === impl Switched ===

impl Described for Switched {
    fn name(&self) -> &'static str {
        self.0.name
    }

    fn doc(&self) -> &'static str {
        self.0.doc
    }

    fn accepted(&self) -> String {
        format!("{}, or \"off\"", self.0.accepted())
    }

    fn schema(&self) -> serde_json::Value {
        serde_json::json!({ "anyOf": [self.0.schema(), { "const": OFF }] })
    }

    fn required(&self) -> bool {
        false
    }

    fn default(&self) -> Option<String> {
        None
    }

    fn example(&self) -> &'static str {
        ""
    }

    fn group(&self) -> Option<Keys> {
        Some(self.0.keys)
    }

    fn parts(&self) -> Option<Keys> {
        None
    }
}

// === impl Field ===

impl<T> Field<T> {
    /// This, or where it says nothing the other.
    pub(super) fn or<'a>(&'a self, other: &'a Self) -> &'a Self {
        if matches!(self, Self::Absent) { other } else { self }
    }

    /// The value, or the key's default; nothing where it is faulty, or absent without default.
    pub(super) fn resolve<K: Kind<Value = T>>(&self, key: &Key<K>) -> Option<T>
    where
        T: Clone,
    {
        match self {
            Self::Absent => key.default(),
            Self::Faulty => None,
            Self::Set(value, _) => Some(value.clone()),
        }
    }

    /// The value, if there is one.
    pub(super) fn value(&self) -> Option<&T> {
        match self {
            Self::Set(value, _) => Some(value),
            Self::Absent | Self::Faulty => None,
        }
    }

    /// Whether the file says anything of it, right or wrong.
    pub(super) fn is_said(&self) -> bool {
        !matches!(self, Self::Absent)
    }

    /// Where it stands, if it does.
    pub(super) fn at(&self) -> Option<Span> {
        match self {
            Self::Set(_, at) => Some(*at),
            Self::Absent | Self::Faulty => None,
        }
    }
}

// === impl Place ===

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", tick(self.key), self.owner)
    }
}

// === impl Reader ===

impl<'a> Reader<'a> {
    /// Opens the table `node` of `owner`; nothing when it is none, after a fault.
    pub(super) fn open(node: &'a Node, owner: &'a str, keys: Keys, faults: &mut Faults) -> Option<Self> {
        let Value::Table(table) = &node.value else {
            if !matches!(node.value, Value::Faulty) {
                let message = format!("{owner} must be a table, not {}", node.value.noun());
                let names: Vec<&str> = keys.iter().map(|key| key.name()).collect();
                faults.add(Fault::wrong(node.span, message).help(format!("its keys are: {}", names.join(", "))));
            }
            return None;
        };
        let reader = Self { table, at: node.span, owner, prefix: String::new() };
        reader.refuse_unknown(keys, faults);
        Some(reader)
    }

    /// The value of a key.
    pub(super) fn get<K: Kind>(&self, key: &Key<K>, faults: &mut Faults) -> Field<K::Value> {
        let path = self.path(key.name);
        let Some(entry) = self.table.get(key.name) else {
            if matches!(key.need, Need::Required) {
                let message = format!("{} lacks the key {}", self.owner, tick(&path));
                faults.add(Fault::absent(self.at, message).help(format!("accepted: {}", key.kind.accepted())));
            }
            return Field::Absent;
        };
        match key.kind.read(&entry.node, &Place { key: &path, owner: self.owner }, faults) {
            Some(value) => Field::Set(value, entry.node.span),
            None => Field::Faulty,
        }
    }

    /// The table below a key, opened.
    pub(super) fn group(&self, group: &Group, faults: &mut Faults) -> Option<Self> {
        let entry = self.table.get(group.name)?;
        let path = self.path(group.name);
        let Value::Table(table) = &entry.node.value else {
            refuse(&entry.node, &Place { key: &path, owner: self.owner }, &group.accepted(), faults);
            return None;
        };
        let reader = Self { table, at: entry.node.span, owner: self.owner, prefix: format!("{path}.") };
        reader.refuse_unknown(group.keys, faults);
        Some(reader)
    }

    /// The same, and where the word "off" stands instead of a table.
    pub(super) fn switched(&self, group: &Switched, faults: &mut Faults) -> (Option<Self>, Option<Span>) {
        let Some(entry) = self.table.get(group.0.name) else { return (None, None) };
        match &entry.node.value {
            Value::Text(word) if word == OFF => (None, Some(entry.node.span)),
            Value::Table(_) => (self.group(&group.0, faults), None),
            _ => {
                let path = self.path(group.0.name);
                refuse(&entry.node, &Place { key: &path, owner: self.owner }, &group.accepted(), faults);
                (None, None)
            }
        }
    }

    fn path(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    fn refuse_unknown(&self, keys: Keys, faults: &mut Faults) {
        let known = |entry: &&Entry| !keys.iter().any(|key| key.name() == entry.name);
        for entry in self.table.entries.iter().filter(known) {
            if faults.is_full() {
                faults.add(Fault::wrong(entry.at, ""));
                continue;
            }
            let message = format!("unknown key {} in {}", tick(&self.path(&entry.name)), self.owner);
            let names: Vec<&str> = keys.iter().map(|key| key.name()).collect();
            faults.add(Fault::wrong(entry.at, message).help(key_advice(&entry.name, &names)));
        }
    }
}

/// A key of a table that may be absent or no table.
pub(super) fn field<T>(
    reader: Option<&Reader<'_>>,
    faults: &mut Faults,
    get: impl FnOnce(&Reader<'_>, &mut Faults) -> Field<T>,
) -> Field<T> {
    reader.map_or(Field::Absent, |reader| get(reader, faults))
}

/// The value of a key, likewise.
pub(super) fn get<K: Kind>(reader: Option<&Reader<'_>>, key: &Key<K>, faults: &mut Faults) -> Field<K::Value> {
    field(reader, faults, |reader, faults| reader.get(key, faults))
}
