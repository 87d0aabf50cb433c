//! Faults and how they look: file, line, column, caret, and what would be accepted. It refuses to know what a
//! configuration means; it only points at texts.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use annotate_snippets::AnnotationKind;
use annotate_snippets::Group;
use annotate_snippets::Level;
use annotate_snippets::Renderer;
use annotate_snippets::Snippet;
use serde_json::json;

use super::mask::mask;

/// Why a configuration was not loaded: every fault of one pass.
#[derive(Clone, Debug)]
pub struct Report {
    sources: Sources,
    faults: Vec<Fault>,
    /// Faults beyond [`FAULTS_MAX`], counted only.
    more: usize,
}

/// Something that may be meant but probably is not; the configuration is loaded all the same.
#[derive(Clone, Debug)]
pub struct Warning {
    sources: Sources,
    fault: Fault,
}

/// One text that was read. The name is what a fault shows.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) name: String,
    pub(super) text: String,
}

/// All texts of one load; [`Span::file`] counts them.
pub(super) type Sources = Arc<Vec<Arc<Source>>>;

/// A stretch of one text, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Span {
    pub(super) file: usize,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// One thing that is wrong.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    message: String,
    at: Option<Span>,
    help: Option<String>,
    /// A second place that belongs to it, with what it is.
    also: Option<(Span, &'static str)>,
    sort: Sort,
}

/// What sort of wrong: decides which faults hide others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sort {
    /// The text is not TOML at this place.
    Syntax,
    /// Something stands there and is not accepted.
    Wrong,
    /// Something should stand there and does not.
    Absent,
}

/// Collects faults while a configuration is read, and goes on.
#[derive(Debug, Default)]
pub(super) struct Faults {
    list: Vec<Fault>,
    more: usize,
}

/// Faults kept of one pass. Beyond it they are counted: nobody reads more, and each costs a walk over its text.
const FAULTS_MAX: usize = 100;
/// Characters of a value quoted in a message.
const QUOTE_CHARS: usize = 80;

// === impl Report ===

impl Report {
    /// How many faults there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.faults.len() + self.more
    }

    /// Never true: a report without a fault is not made.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The whole report as a terminal shows it, ending with the count and a line feed.
    #[must_use]
    pub fn render(&self, color: bool) -> String {
        // A file that cannot be read at all is said in one line.
        if let ([fault], 0) = (self.faults.as_slice(), self.more)
            && self.sources.is_empty()
        {
            return fault.render(&Level::ERROR, &[], color) + "\n";
        }
        let mut text = String::new();
        let shown = shown_texts(&self.sources);
        for fault in &self.faults {
            text.push_str(&fault.render(&Level::ERROR, &shown, color));
            text.push_str("\n\n");
        }
        let (count, noun) = (self.len(), if self.len() == 1 { "error" } else { "errors" });
        let shown = if self.more > 0 { format!(", the first {} shown", self.faults.len()) } else { String::new() };
        text + &format!("{count} {noun}{shown}: configuration not loaded\n")
    }

    /// A list of `{file, line, column, message, help}`; lines and columns count from 1, in characters. A fault that
    /// belongs to no place has `null` there.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        self.faults.iter().map(|fault| fault.to_json(&self.sources)).collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Report {}

// === impl Warning ===

impl Warning {
    pub(super) fn new(sources: &Sources, fault: Fault) -> Self {
        Self { sources: Arc::clone(sources), fault }
    }

    /// As a terminal shows it, without a line feed at the end.
    #[must_use]
    pub fn render(&self, color: bool) -> String {
        self.fault.render(&Level::WARNING, &shown_texts(&self.sources), color)
    }

    /// `{file, line, column, message, help}`, as in [`Report::to_json`].
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        self.fault.to_json(&self.sources)
    }

    /// What is odd, in one line without the place.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.fault.message
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

// === impl Source ===

impl Source {
    /// Line and column of a byte, both from 1, the column in characters.
    fn position(&self, byte: usize) -> (usize, usize) {
        let before = self.text.get(..byte.min(self.text.len())).unwrap_or(&self.text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }

    /// The span, cut to what this text holds: an annotation outside it would be a panic in the renderer.
    fn clip(&self, span: Span) -> std::ops::Range<usize> {
        let floor = |byte: usize| {
            let mut byte = byte.min(self.text.len());
            while !self.text.is_char_boundary(byte) {
                byte -= 1;
            }
            byte
        };
        let start = floor(span.start);
        let end = floor(span.end).max(start);
        // A caret that is between two characters points at the second.
        let next = self.text.get(start..).and_then(|rest| rest.chars().next()).filter(|c| !c.is_control());
        start..if end == start { end + next.map_or(0, char::len_utf8) } else { end }
    }
}

// === impl Fault ===

impl Fault {
    /// Something stands at `at` and is not accepted.
    pub(super) fn wrong(at: Span, message: impl Into<String>) -> Self {
        Self { message: message.into(), at: Some(at), help: None, also: None, sort: Sort::Wrong }
    }

    /// Something should stand in the table at `at` and does not.
    pub(super) fn absent(at: Span, message: impl Into<String>) -> Self {
        Self { sort: Sort::Absent, ..Self::wrong(at, message) }
    }

    /// The text is not TOML.
    pub(super) fn syntax(at: Span, message: impl Into<String>) -> Self {
        Self { sort: Sort::Syntax, ..Self::wrong(at, message) }
    }

    /// Belongs to no place in a text.
    pub(super) fn nowhere(message: impl Into<String>) -> Self {
        Self { message: message.into(), at: None, help: None, also: None, sort: Sort::Wrong }
    }

    /// What would be accepted.
    #[must_use]
    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Another place that belongs to it.
    #[must_use]
    pub(super) fn also(mut self, at: Span, what: &'static str) -> Self {
        self.also = Some((at, what));
        self
    }

    /// In the order of the texts.
    pub(super) fn sort(list: &mut [Self]) {
        list.sort_by_key(|fault| fault.at);
    }

    fn render(&self, level: &Level<'static>, sources: &[Shown<'_>], color: bool) -> String {
        let mut group = Group::with_title(level.clone().primary_title(self.message.as_str()));
        if let Some((at, source)) = self.at.and_then(|at| Some((at, sources.get(at.file)?))) {
            let mut snippet = snippet(source)
                .annotation(AnnotationKind::Primary.span(source.source.clip(at)).label(self.also.map(|_| "")));
            match self.also {
                Some((also, what)) if also.file == at.file => {
                    let second = AnnotationKind::Context.span(source.source.clip(also)).label(what);
                    snippet = snippet.annotation(second);
                    group = group.element(snippet);
                }
                Some((also, what)) => {
                    group = group.element(snippet);
                    if let Some(other) = sources.get(also.file) {
                        let second = AnnotationKind::Context.span(other.source.clip(also)).label(what);
                        group = group.element(self::snippet(other).annotation(second));
                    }
                }
                None => group = group.element(snippet),
            }
        }
        if let Some(help) = &self.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        renderer.render(&[group])
    }

    fn to_json(&self, sources: &Sources) -> serde_json::Value {
        let place = self.at.and_then(|at| sources.get(at.file).map(|source| (source, source.position(at.start))));
        json!({
            "file": place.map(|(source, _)| &source.name),
            "line": place.map(|(_, (line, _))| line),
            "column": place.map(|(_, (_, column))| column),
            "message": self.message,
            "help": self.help,
        })
    }
}

/// A text as it may be shown, byte by byte where the text itself stands.
struct Shown<'a> {
    source: &'a Source,
    text: Cow<'a, str>,
}

fn shown_texts(sources: &Sources) -> Vec<Shown<'_>> {
    sources.iter().map(|source| Shown { source, text: mask(&source.text) }).collect()
}

fn snippet<'a>(shown: &'a Shown<'_>) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
    Snippet::source(shown.text.as_ref()).path(shown.source.name.as_str())
}

// === impl Faults ===

impl Faults {
    /// Records one fault, or counts it when enough are recorded.
    pub(super) fn add(&mut self, fault: Fault) {
        if self.is_full() {
            self.more += 1;
        } else {
            self.list.push(fault);
        }
    }

    /// Whether further faults are only counted: time to save the cost of good advice.
    pub(super) fn is_full(&self) -> bool {
        self.list.len() >= FAULTS_MAX
    }

    /// How many are recorded.
    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    /// Adds to what the last fault says would be accepted, if it says that.
    pub(super) fn accepted_too(&mut self, more: &str) {
        if let Some(help) = self.list.last_mut().and_then(|fault| fault.help.as_mut())
            && help.starts_with("accepted: ")
        {
            help.push_str(", or ");
            help.push_str(more);
        }
    }

    /// Whether nothing is wrong.
    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The report, in the order of the texts. Where a text is not TOML, what stands on the same line is not judged a
    /// second time, and nothing is called missing: it may stand in the part that could not be read.
    pub(super) fn report(mut self, sources: &Sources) -> Report {
        self.list.sort_by_key(|fault| fault.at);
        let line = |at: Span| (at.file, sources.get(at.file).map_or(0, |source| source.position(at.start).0));
        let syntax = self.list.iter().filter(|fault| fault.sort == Sort::Syntax);
        let broken: HashSet<_> = syntax.filter_map(|fault| fault.at).map(line).collect();
        let mut told = HashSet::new();
        self.list.retain(|fault| match fault.sort {
            // One slip makes a parser stumble several times over the same line.
            Sort::Syntax => fault.at.is_none_or(|at| told.insert(line(at))),
            Sort::Wrong => fault.at.is_none_or(|at| !broken.contains(&line(at))),
            Sort::Absent => broken.is_empty(),
        });
        Report { sources: Arc::clone(sources), faults: self.list, more: self.more }
    }
}

/// A value of the file inside a message: quoted, without control characters, not too long.
pub(super) fn quote(text: &str) -> String {
    let mut quoted: String = text.chars().take(QUOTE_CHARS).flat_map(shown).collect();
    if text.chars().nth(QUOTE_CHARS).is_some() {
        quoted.push('…');
    }
    format!("\"{quoted}\"")
}

/// A key of the file inside a message, likewise.
pub(super) fn tick(text: &str) -> String {
    let quoted = quote(text);
    format!("`{}`", &quoted[1..quoted.len() - 1])
}

fn shown(character: char) -> Vec<char> {
    if character.is_control() { character.escape_default().collect() } else { vec![character] }
}
