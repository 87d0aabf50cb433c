//! Who may import whom: the table in the doc comment of `src/lib.rs`, enforced over every path that any file of `src`
//! names, macro bodies and unit tests included.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::source;
use crate::source::Source;
use crate::source::Token;

/// Crates that tie a module to a runtime, and the modules that may name them. `main` and `lib` name none.
const RUNTIMES: &[(&[&str], &[&str])] = &[
    (&["monoio", "io_uring"], &["io"]),
    (&["tokio", "axum", "hyper", "tower"], &["control", "admin", "health", "acme", "demo", "app"]),
];

/// Of these modules only one part may be taken: (who, of which, what).
const ONLY: &[(&str, &str, &str)] = &[("control", "shard", "mailbox")];

/// Modules that decide: they never wait, and `now` is given to them (by their tests, too, which have to begin somewhere).
const DECIDERS: &[&str] = &["route", "policy", "balance", "http", "model", "limits", "id", "rand"];

/// What a decider never names.
const NOT_FOR_DECIDERS: &[&str] =
    &["async", "await", "SystemTime", "TcpStream", "TcpListener", "UdpSocket", "UnixStream", "fs", "thread", "sleep"];

/// One row of the import table.
#[derive(Debug)]
struct Row {
    layer: u32,
    imports: BTreeSet<String>,
}

/// One path that a file names: `["shard", "mailbox", "Mailbox"]` of the crate's own, or of another crate.
#[derive(Debug, PartialEq, Eq)]
struct Named {
    line: usize,
    own: bool,
    path: Vec<String>,
}

#[test]
fn every_import_is_allowed_by_the_table_in_lib_rs() {
    let table = table();
    let mut faults = Vec::new();
    for file in source::rust_files(&["src"]) {
        faults.extend(judge(&file, &table));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_row_of_the_table_imports_lower_layers_only() {
    let faults = upward_rows(&table());
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_table_and_the_modules_of_lib_rs_are_the_same_set() {
    let table = table();
    let lib = source::rust_files(&["src/lib.rs"]).remove(0).parse();
    let declared: BTreeSet<String> = lib
        .items
        .iter()
        .filter_map(|item| if let syn::Item::Mod(module) = item { Some(module.ident.to_string()) } else { None })
        .collect();
    for module in &declared {
        assert!(table.contains_key(module), "src/lib.rs declares `{module}`, the import table does not know it");
    }
    for module in table.keys().filter(|module| *module != "main") {
        assert!(declared.contains(module), "the import table has `{module}`, src/lib.rs does not declare it");
    }
    for file in source::rust_files(&["src"]) {
        let module = file.module();
        assert!(
            module == "lib" || module == "main" || declared.contains(module),
            "{} belongs to no module of lib.rs",
            file.path
        );
    }
}

#[test]
fn planted_violations_are_found() {
    let table = table();
    let cases = [
        ("src/route/x.rs", "use crate::serve::exchange;", "`route` may not import `serve`"),
        ("src/route/x.rs", "use crate::{http::Head, serve::exchange};", "`route` may not import `serve`"),
        ("src/route/x.rs", "use {std::mem, crate::serve::exchange};", "`route` may not import `serve`"),
        ("src/route/x.rs", "fn f() { crate::serve::exchange(); }", "`route` may not import `serve`"),
        ("src/route/x.rs", "fn f() { assert_eq!(1, crate::serve::one()); }", "`route` may not import `serve`"),
        ("src/route/x.rs", "#[cfg(test)] mod t { use crate::serve::a; }", "`route` may not import `serve`"),
        ("src/route/x.rs", "use super::super::serve::exchange;", "`route` may not import `serve`"),
        ("src/route/mod.rs", "use super::serve::exchange;", "`route` may not import `serve`"),
        ("src/buf.rs", "use super::time::Clock;", "`buf` may not import `time`"),
        ("src/route/x.rs", "mod t { use super::super::super::serve::exchange; }", "`route` may not import `serve`"),
        ("src/route/x.rs", "use crate::*;", "`route` takes the whole crate"),
        ("src/route/x.rs", "use crate as all;", "`route` takes the whole crate"),
        ("src/main.rs", "fn main() { ringway::serve::go() }", "`main` may not import `serve`"),
        ("src/control/x.rs", "use crate::shard::Shard;", "`control` may take of `shard` only `mailbox`"),
        ("src/control/x.rs", "use crate::shard;", "`control` may take of `shard` only `mailbox`"),
        ("src/control/x.rs", "use crate::shard::{mailbox, Shard};", "`control` may take of `shard` only `mailbox`"),
        ("src/serve/x.rs", "use monoio::net::TcpStream;", "`serve` may not name `monoio`"),
        ("src/serve/x.rs", "fn f() { ::io_uring::opcode::Nop::new(); }", "`serve` may not name `io_uring`"),
        ("src/serve/x.rs", "use ::io_uring::opcode;", "`serve` may not name `io_uring`"),
        ("src/serve/x.rs", "use {std::mem, monoio::net};", "`serve` may not name `monoio`"),
        ("src/serve/x.rs", "use tokio;", "`serve` may not name `tokio`"),
        ("src/control/x.rs", "#[monoio::main] fn f() {}", "`control` may not name `monoio`"),
        ("src/balance/x.rs", "async fn pick() {}", "`balance` decides, and names `async`"),
        ("src/balance/x.rs", "fn f() { std::time::Instant::now(); }", "`balance` decides, and names `now`"),
    ];
    for (path, text, expected) in cases {
        let faults = judge(&Source { path: path.into(), text: text.into() }, &table);
        assert!(faults.iter().any(|fault| fault.contains(expected)), "{path}: {text}\nfound only {faults:?}");
    }
}

#[test]
fn what_the_table_allows_is_no_violation() {
    let table = table();
    let cases = [
        ("src/serve/x.rs", "use crate::relay::pump; use crate::io::Stream; use super::attempt; use self::inner::a;"),
        ("src/serve/x.rs", "mod t { use super::super::attempt; }"),
        (
            "src/serve/x.rs",
            "//! Nothing of `crate::app`.\n// crate::app\nfn f() { let s = \"crate::app::x monoio::y\"; }",
        ),
        ("src/io/x.rs", "use monoio::net::TcpStream; use io_uring::opcode;"),
        ("src/control/x.rs", "use crate::shard::mailbox::Mailbox; use tokio::sync::oneshot;"),
        ("src/control/x.rs", "use crate::shard::{mailbox, mailbox::Message};"),
        ("src/balance/x.rs", "use std::time::Instant; fn pick(now: Instant) { let now = now; }"),
        ("src/balance/x.rs", "#[cfg(test)] mod tests { fn f() { std::time::Instant::now(); } }"),
        ("src/serve/x.rs", "fn f(monoio: u32) -> u32 { monoio + crate::io::monoio::value() }"),
    ];
    for (path, text) in cases {
        let faults = judge(&Source { path: path.into(), text: text.into() }, &table);
        assert!(faults.is_empty(), "{path}: {text}\n{faults:?}");
    }
}

#[test]
fn a_row_that_imports_upward_or_sideways_is_found() {
    let faults = upward_rows(&parse_table("//! | 3 | `a` | b, c, d |\n//! | 3 | `b` | |\n//! | 4 | `c` | |"));
    assert_eq!(faults.len(), 3, "{faults:?}");
}

fn table() -> BTreeMap<String, Row> {
    let lib = source::rust_files(&["src/lib.rs"]).remove(0);
    let table = parse_table(&lib.text);
    assert!(table.len() > 10, "the import table of src/lib.rs was not understood");
    table
}

fn parse_table(text: &str) -> BTreeMap<String, Row> {
    let mut table = BTreeMap::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("//! | ")) {
        let mut cells = line.split('|').map(str::trim);
        let (Some(layer), Some(module), Some(imports)) = (cells.next(), cells.next(), cells.next()) else { continue };
        let Ok(layer) = layer.parse() else { continue };
        let imports = imports.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect();
        let before = table.insert(module.trim_matches('`').to_owned(), Row { layer, imports });
        assert!(before.is_none(), "two rows for {module}");
    }
    table
}

fn upward_rows(table: &BTreeMap<String, Row>) -> Vec<String> {
    let mut faults = Vec::new();
    for (module, row) in table {
        for import in &row.imports {
            match table.get(import) {
                None => faults.push(format!("`{module}` may import `{import}`, which has no row")),
                Some(other) if other.layer >= row.layer => faults.push(format!(
                    "`{module}` (layer {}) may import `{import}` (layer {}): only lower layers may be imported",
                    row.layer, other.layer
                )),
                Some(_) => {}
            }
        }
    }
    faults
}

/// Every violation in one file.
fn judge(file: &Source, table: &BTreeMap<String, Row>) -> Vec<String> {
    let module = file.module();
    let tokens = file.tokens();
    let mut faults = Vec::new();
    for named in names(file, &tokens) {
        let fault = if named.own { own_fault(module, &named.path, table) } else { runtime_fault(module, &named.path) };
        faults.extend(fault.map(|fault| format!("{}:{}: {fault}", file.path, named.line)));
    }
    if DECIDERS.contains(&module) && !file.is_unit_test() {
        let tests = file.test_lines();
        let forbidden = tokens.iter().enumerate().filter(|(at, token)| {
            let asks_the_clock = token.text == "now" && *at >= 3 && tokens[at - 3].text == "Instant";
            let named = asks_the_clock || NOT_FOR_DECIDERS.contains(&token.text.as_str());
            named && !tests.iter().any(|lines| lines.contains(&token.line))
        });
        faults.extend(
            forbidden.map(|(_, token)| {
                format!("{}:{}: `{module}` decides, and names `{}`", file.path, token.line, token.text)
            }),
        );
    }
    faults
}

fn own_fault(module: &str, path: &[String], table: &BTreeMap<String, Row>) -> Option<String> {
    let target = path.first().map_or("*", String::as_str);
    if target == "*" {
        return Some(format!("`{module}` takes the whole crate"));
    }
    if !table.contains_key(target) || target == module || module == "lib" {
        return None; // an item of the root itself, such as a macro, or its own room
    }
    let Some(row) = table.get(module) else { return Some(format!("`{module}` has no row in the import table")) };
    if !row.imports.contains(target) {
        return Some(format!("`{module}` may not import `{target}`"));
    }
    let (.., part) = ONLY.iter().find(|(who, of, _)| *who == module && *of == target)?;
    (path.get(1).map(String::as_str) != Some(*part)).then(|| format!("`{module}` may take of `{target}` only `{part}`"))
}

fn runtime_fault(module: &str, path: &[String]) -> Option<String> {
    let name = path.first()?.as_str();
    let (_, allowed) = RUNTIMES.iter().find(|(crates, _)| crates.contains(&name))?;
    (!allowed.contains(&module)).then(|| format!("`{module}` may not name `{name}`"))
}

/// Every path of this crate and every runtime that the tokens name.
fn names(file: &Source, tokens: &[Token]) -> Vec<Named> {
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text.as_str());
    let mut depth = module_depth(file);
    let mut braces: Vec<bool> = Vec::new(); // whether each open brace is that of a module
    let mut found = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        match token.text.as_str() {
            "{" => {
                let of_module = at >= 2 && text(at - 2) == "mod";
                depth += usize::from(of_module);
                braces.push(of_module);
            }
            "}" => depth -= usize::from(braces.pop() == Some(true)),
            "crate" | "ringway" if starts_path(tokens, at) => {
                if token.text == "crate" && text(at + 1) == "as" {
                    found.push(Named { line: token.line, own: true, path: vec!["*".into()] });
                } else if is_separator(tokens, at + 1) {
                    found.extend(tree(tokens, &mut (at + 3)).into_iter().map(|path| own(token, path)));
                }
            }
            "super" if text(at.wrapping_sub(3)) != "super" && is_separator(tokens, at + 1) => {
                let (mut ups, mut next) = (1, at + 3);
                while text(next) == "super" && is_separator(tokens, next + 1) {
                    (ups, next) = (ups + 1, next + 3);
                }
                if ups >= depth {
                    found.extend(tree(tokens, &mut next).into_iter().map(|path| own(token, path)));
                }
            }
            name if is_runtime(name) && starts_path(tokens, at) => {
                let used = is_separator(tokens, at + 1) || text(at.wrapping_sub(1)) == "use";
                if used {
                    found.push(Named { line: token.line, own: false, path: vec![name.into()] });
                }
            }
            _ => {}
        }
    }
    found
}

fn own(token: &Token, path: Vec<String>) -> Named {
    Named { line: token.line, own: true, path }
}

fn is_runtime(name: &str) -> bool {
    RUNTIMES.iter().any(|(crates, _)| crates.contains(&name))
}

/// How many `super` lead from the file's own module to the root of the crate.
fn module_depth(file: &Source) -> usize {
    let inner = file.path.trim_start_matches("src/").trim_end_matches(".rs").trim_end_matches("/mod");
    if inner == "lib" || inner == "main" { 0 } else { inner.split('/').count() }
}

/// Whether the token begins a path: nothing but a leading `::` stands before it.
fn starts_path(tokens: &[Token], at: usize) -> bool {
    if at < 2 || !is_separator(tokens, at - 2) {
        return true;
    }
    let before = at.checked_sub(3).map_or("", |before| tokens[before].text.as_str());
    matches!(before, "use" | "return" | "in" | "as")
        || !before.ends_with(|c: char| c.is_alphanumeric() || "_>".contains(c))
}

fn is_separator(tokens: &[Token], at: usize) -> bool {
    tokens.get(at..at + 2).is_some_and(|pair| pair.iter().all(|token| token.text == ":"))
}

/// The paths of a use tree, or the one path of an expression, from `at` on.
fn tree(tokens: &[Token], at: &mut usize) -> Vec<Vec<String>> {
    let Some(token) = tokens.get(*at) else { return Vec::new() };
    if token.text == "{" {
        let mut paths = Vec::new();
        *at += 1;
        while tokens.get(*at).is_some_and(|token| token.text != "}") {
            if tokens[*at].text == "," {
                *at += 1;
            } else {
                let before = *at;
                paths.extend(tree(tokens, at));
                while tokens.get(*at).is_some_and(|token| token.text != "," && token.text != "}") {
                    *at += 1; // `as name`
                }
                assert!(*at > before);
            }
        }
        *at += 1;
        return paths;
    }
    let name = token.text.clone();
    *at += 1;
    if !is_separator(tokens, *at) {
        return vec![vec![name]];
    }
    *at += 2;
    let mut paths = tree(tokens, at);
    for path in &mut paths {
        path.insert(0, name.clone());
    }
    paths
}
