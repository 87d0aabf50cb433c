//! The repository's own text, for the tests that judge it: files, tokens with their lines, and which lines are test code.
//! It refuses to know any rule.

use std::fs;
use std::ops::RangeInclusive;
use std::path::Path;
use std::path::PathBuf;
use std::str::FromStr;

use proc_macro2::Delimiter;
use proc_macro2::TokenStream;
use proc_macro2::TokenTree;
use syn::spanned::Spanned;
use syn::visit::Visit;

/// One file of the repository.
pub struct Source {
    /// Relative to the root, with `/`.
    pub path: String,
    /// All of it.
    pub text: String,
}

/// One token, as far as the rules care: groups are flattened, their braces are tokens of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Counted from 1.
    pub line: usize,
    /// An identifier, a literal, one punctuation character, or a brace.
    pub text: String,
}

/// The root of the repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file below these folders of the root, in the order of their paths; a folder that is not there is empty.
pub fn rust_files(folders: &[&str]) -> Vec<Source> {
    files(folders).into_iter().filter(|source| source.path.ends_with(".rs")).collect()
}

/// Every file of UTF-8 text below these folders of the root, in the order of their paths.
pub fn files(folders: &[&str]) -> Vec<Source> {
    let mut paths = Vec::new();
    for folder in folders {
        walk(&root().join(folder), &mut paths);
    }
    paths.sort();
    paths.into_iter().filter_map(|path| Source::load(&path)).collect()
}

fn walk(path: &Path, paths: &mut Vec<PathBuf>) {
    if path.is_file() {
        paths.push(path.to_owned());
        return;
    }
    let Ok(entries) = fs::read_dir(path) else { return };
    for entry in entries {
        let entry = entry.unwrap();
        if !matches!(entry.file_name().to_str(), Some("target" | ".git" | "results" | "corpus")) {
            walk(&entry.path(), paths);
        }
    }
}

impl Source {
    fn load(path: &Path) -> Option<Self> {
        let text = String::from_utf8(fs::read(path).unwrap()).ok()?;
        let path = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
        Some(Self { path, text })
    }

    /// The module of the library that the file belongs to: `serve` for `src/serve/h1.rs`, `main` and `lib` for the roots.
    pub fn module(&self) -> &str {
        let inner = self.path.strip_prefix("src/").unwrap_or(&self.path);
        inner.split('/').next().unwrap().trim_end_matches(".rs")
    }

    /// Whether the whole file is test code of the library: `tests.rs`, or below `tests/`.
    pub fn is_unit_test(&self) -> bool {
        self.path.starts_with("src/") && (self.path.ends_with("/tests.rs") || self.path.contains("/tests/"))
    }

    /// All tokens; comments are none, doc comments are literals.
    pub fn tokens(&self) -> Vec<Token> {
        let stream = TokenStream::from_str(&self.text).unwrap_or_else(|fault| panic!("{}: {fault}", self.path));
        let mut tokens = Vec::new();
        flatten(stream, &mut tokens);
        tokens
    }

    /// The file as Rust items.
    pub fn parse(&self) -> syn::File {
        syn::parse_file(&self.text).unwrap_or_else(|fault| panic!("{}: {fault}", self.path))
    }

    /// The lines of every item marked `#[cfg(test)]`, attributes included.
    pub fn test_lines(&self) -> Vec<RangeInclusive<usize>> {
        let mut found = TestItems(Vec::new());
        found.visit_file(&self.parse());
        found.0
    }

    /// How many lines are left without test items; none of a file that is all tests.
    pub fn product_lines(&self) -> usize {
        if self.is_unit_test() {
            return 0;
        }
        let tests: usize = self.test_lines().iter().map(|lines| lines.end() - lines.start() + 1).sum();
        self.text.lines().count() - tests
    }
}

fn flatten(stream: TokenStream, tokens: &mut Vec<Token>) {
    for tree in stream {
        let line = tree.span().start().line;
        match tree {
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Brace => ("{", "}"),
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::None => ("", ""),
                };
                tokens.push(Token { line: group.span_open().start().line, text: open.into() });
                flatten(group.stream(), tokens);
                tokens.push(Token { line: group.span_close().start().line, text: close.into() });
            }
            other => tokens.push(Token { line, text: other.to_string() }),
        }
    }
}

struct TestItems(Vec<RangeInclusive<usize>>);

impl<'ast> Visit<'ast> for TestItems {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        let attributes: &[syn::Attribute] = match item {
            syn::Item::Mod(item) => &item.attrs,
            syn::Item::Fn(item) => &item.attrs,
            syn::Item::Impl(item) => &item.attrs,
            syn::Item::Use(item) => &item.attrs,
            syn::Item::Struct(item) => &item.attrs,
            _ => &[],
        };
        if attributes.iter().any(is_cfg_test) {
            self.0.push(item.span().start().line..=item.span().end().line);
        } else {
            syn::visit::visit_item(self, item);
        }
    }
}

fn is_cfg_test(attribute: &syn::Attribute) -> bool {
    attribute.path().is_ident("cfg") && attribute.parse_args::<syn::Path>().is_ok_and(|path| path.is_ident("test"))
}
