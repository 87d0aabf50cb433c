//! The style of the house where a machine can judge it: headers, lengths, words, and where locks and `unsafe` may live.
//!
//! Fences are ratchets: what stands over one is listed by name with its length, and may only shrink.

use std::collections::BTreeMap;

use proc_macro2::Span;
use syn::spanned::Spanned;
use syn::visit::Visit;

use crate::source;
use crate::source::Source;

/// Folders with Rust of ours.
const FOLDERS: &[&str] = &["src", "tests", "benches", "loadtest"];

/// Lines of a file, without its tests.
const FILE_LINES: usize = 600;
/// Code lines of a function, without blank lines and comments.
const FUNCTION_LINES: usize = 70;
/// Files over the fence: (path, lines). May only shrink.
const LONG_FILES: &[(&str, usize)] = &[];
/// Functions over the fence: (path and name, lines). May only shrink.
const LONG_FUNCTIONS: &[(&str, usize)] = &[];

/// The rooms that a request walks through, and the most files and lines they may take together.
const REQUEST_PATH: &[&str] = &["src/serve", "src/relay", "src/upstream", "src/wire"];
/// Its plain course, one attempt at one endpoint, is a good half of them; admission, retries and hedges are the rest, with what
/// is told of them to whoever balances and to whoever watches.
/// What makes its connections secure is a file beside it, and a piece of those that open them.
const REQUEST_PATH_FILES: usize = 21;
const REQUEST_PATH_LINES: usize = 4_600;
/// In these rooms, and no request comes there: connections that are carried as they are.
const BESIDE_REQUESTS: &[&str] = &["src/serve/tcp.rs"];

/// Words that say nothing, or say a second time what already has a name.
const BANNED_WORDS: &[&str] = &[
    "backend",
    "downstream",
    "cluster",
    "manager",
    "handler",
    "util",
    "helper",
    "common",
    "context",
    "session",
    "misc",
];
/// Names that others gave: (where, name, why it is theirs).
const BORROWED_NAMES: &[(&str, &str, &str)] = &[
    ("", "ringway_io_backend", "a metric's name, as operators know it from other gateways"),
    ("src/", "hyper_util", "the crate's name"),
    ("src/acme/", "http_body_util", "the crate's name"),
    ("src/io/socket.rs", "utils", "monoio::utils, where the runtime says which loop it is"),
    ("src/", "Context", "std::task::Context, the argument of every hand-written future"),
    ("", "CommonName", "an attribute of the names of X.509"),
    ("src/tls/", "CommonState", "rustls::CommonState, what both sides of a connection have"),
    ("src/tls/client.rs", "NotValidForNameContext", "a word of rustls::CertificateError"),
    ("src/tls/client.rs", "NotValidYetContext", "a word of rustls::CertificateError"),
    ("src/tls/client.rs", "ExpiredContext", "a word of rustls::CertificateError"),
    ("src/tls/", "session_storage", "a field of rustls::ServerConfig"),
    ("src/tls/", "NoServerSessionStorage", "rustls's word for none of it"),
    ("src/tls/", "in_memory_sessions", "rustls::client::Resumption::in_memory_sessions"),
    ("loadtest/", "in_memory_sessions", "rustls::client::Resumption::in_memory_sessions"),
    ("loadtest/", "session_storage", "a field of rustls::ServerConfig"),
    ("loadtest/", "NoServerSessionStorage", "rustls::server::NoServerSessionStorage"),
    ("loadtest/peers/pingora/", "Session", "pingora_proxy::Session, what its hooks are given"),
    ("tests/it/tidy.rs", "", "the list itself"),
];

/// Where a lock or an atomic may be named, and why. Anything else that wants one is added here in the same change.
const SHARED_MUTABLE: &[(&str, &str)] = &[
    ("src/count.rs", "numbers with one writing thread: metrics at scrape, and the rows of the balancing board"),
    ("src/balance/board.rs", "what cores, health checks and operators say of an endpoint, each word of it on its own"),
    ("src/balance/word.rs", "the words of the turns: named there alone, so that the model checker can replace them"),
    ("src/balance/turn.rs", "who folds, and what came of it: words with the number of the turn that wrote them"),
    ("src/balance/budget.rs", "retries spent, all cores together: touched when a retry is wanted"),
    ("src/shard/mailbox.rs", "the only way into a core: a bounded queue, its bell and its acknowledgements"),
    (
        "src/snapshot/slots.rs",
        "open connections of the process, to one upstream or endpoint or of one listener, one counter each",
    ),
    ("src/snapshot/overload.rs", "how short the gateway is of something: one word that control writes and cores read"),
    ("src/snapshot/clients.rs", "open connections of one client, where bounded: locked when one opens or closes"),
    ("src/observe/access_log", "bounded queues to the one writing thread, and whether it is to go on or to reopen"),
    ("src/observe/own_log.rs", "lines of the program's own log: locked to add one, never while one is written"),
    ("src/demo/", "the demo's services, which stand outside the gateway: how many requests each has had"),
];

/// Where `unsafe` may be written.
const UNSAFE: &[(&str, &str)] = &[
    ("src/io/", "the kernel's interfaces"),
    ("src/buf.rs", "buffers lent to the kernel"),
    ("loadtest/", "the measuring tools talk to the ring directly"),
    ("tests/allocations/", "an allocator that counts"),
    ("tests/it/support/rings.rs", "a system call filter for the gateway under test"),
];

/// Where `macro_rules!` may be written, besides tests.
const MACROS: &[&str] = &["src/observe/", "src/id.rs", "tests/"];

/// What may stand at the top of the repository, besides dotfiles.
const TOP_LEVEL: &[&str] = &[
    "Cargo.toml",
    "Cargo.lock",
    "src",
    "config",
    "benches",
    "loadtest",
    "tests",
    "README.md",
    "LICENSE",
    "docs",
    "dist",
    "target",
];

#[test]
fn every_file_opens_by_saying_what_it_is() {
    let silent = source::rust_files(FOLDERS).into_iter().filter(|file| !file.text.starts_with("//! "));
    report(silent.map(|file| format!("{}: no `//!` at its head", file.path)));
}

#[test]
fn no_file_grows_past_its_fence() {
    let files = source::rust_files(FOLDERS);
    let lengths = files.iter().map(|file| (file.path.clone(), product_lines(file)));
    report(ratchet(lengths, FILE_LINES, LONG_FILES));
}

#[test]
fn no_function_grows_past_its_fence() {
    let lengths = source::rust_files(FOLDERS).iter().flat_map(function_lengths).collect::<Vec<_>>();
    assert!(!lengths.is_empty());
    report(ratchet(lengths, FUNCTION_LINES, LONG_FUNCTIONS));
}

#[test]
fn a_request_can_be_read_in_one_sitting() {
    let files = source::rust_files(REQUEST_PATH);
    // A file that only names its modules is a signpost, not a stretch of the way.
    let walked = files.iter().filter(|file| file.tokens().iter().any(|token| token.text == "{"));
    let walked = walked.filter(|file| !BESIDE_REQUESTS.contains(&file.path.as_str()));
    let lines: Vec<_> = walked.map(|file| (&file.path, product_lines(file))).filter(|(_, n)| *n > 0).collect();
    let sum: usize = lines.iter().map(|(_, n)| n).sum();
    assert!(lines.len() <= REQUEST_PATH_FILES, "{} files: {lines:#?}", lines.len());
    assert!(sum <= REQUEST_PATH_LINES, "{sum} lines: {lines:#?}");
}

#[test]
fn the_words_are_those_of_the_house() {
    report(source::rust_files(FOLDERS).iter().flat_map(banned_words));
}

#[test]
fn locks_and_atomics_live_where_the_list_says() {
    report(source::rust_files(&["src"]).iter().flat_map(shared_mutables));
}

#[test]
fn the_list_of_locks_and_atomics_names_no_place_without_one() {
    let files = source::rust_files(&["src"]);
    let holds = |place: &str| files.iter().any(|file| file.path.starts_with(place) && !shared_words(file).is_empty());
    let idle = SHARED_MUTABLE.iter().filter(|(place, _)| !holds(place));
    report(idle.map(|(place, _)| format!("{place}: nothing there is shared")));
}

#[test]
fn unsafe_lives_where_the_list_says() {
    let elsewhere = |file: &Source| !UNSAFE.iter().any(|(place, _)| file.path.starts_with(place));
    let files = source::rust_files(FOLDERS);
    let found = files.iter().filter(|file| elsewhere(file)).flat_map(|file| {
        let tokens = file.tokens().into_iter().filter(|token| token.text == "unsafe" || token.text == "unsafe_code");
        tokens.map(|token| format!("{}:{}: `{}`", file.path, token.line, token.text)).collect::<Vec<_>>()
    });
    report(found);
}

#[test]
fn macros_are_written_where_the_list_says() {
    let files = source::rust_files(FOLDERS);
    let elsewhere = files.iter().filter(|file| !MACROS.iter().any(|place| file.path.starts_with(place)));
    let found = elsewhere.filter(|file| file.tokens().iter().any(|token| token.text == "macro_rules"));
    report(found.map(|file| format!("{}: `macro_rules!`", file.path)));
}

#[test]
fn nothing_is_left_unfinished_or_switched_off() {
    report(source::rust_files(FOLDERS).iter().flat_map(unfinished));
}

#[test]
fn serve_is_written_over_concrete_types() {
    report(source::rust_files(&["src/serve"]).iter().flat_map(type_parameters));
}

#[test]
fn no_text_names_a_place_on_one_machine() {
    let places = [["/wo", "rk/"].concat(), ["/ho", "me/"].concat(), ["/ro", "ot/"].concat()];
    let mut folders = FOLDERS.to_vec();
    folders.extend([
        "config",
        "docs",
        "dist",
        "README.md",
        "Cargo.toml",
        ".ci",
        ".github",
        ".clippy.toml",
        "deny.toml",
    ]);
    let files = source::files(&folders);
    let found = files.iter().flat_map(|file| {
        let lines = file.text.lines().enumerate();
        let bad = lines.filter(|(_, line)| places.iter().any(|place| line.contains(place.as_str())));
        bad.map(|(at, line)| format!("{}:{}: {}", file.path, at + 1, line.trim())).collect::<Vec<_>>()
    });
    report(found);
}

#[test]
fn the_top_level_is_what_it_was_agreed_to_be() {
    let names = std::fs::read_dir(source::root()).unwrap().map(|entry| entry.unwrap().file_name());
    let names = names.map(|name| name.into_string().unwrap());
    let strangers =
        names.filter(|name| !name.starts_with('.') && name != "deny.toml" && !TOP_LEVEL.contains(&name.as_str()));
    report(strangers.map(|name| format!("{name}: not at the top level")));
}

#[test]
fn planted_faults_are_found() {
    let words = |text: &str| banned_words(&planted("src/x.rs", text)).len();
    assert_eq!(words("fn connectionManager() {}"), 1);
    assert_eq!(words("// the Common case"), 1);
    assert_eq!(words("struct HTTPHandlers; const MAX_BACKENDS: u8 = 1;"), 2);
    assert_eq!(words("fn utility() {} // commonly, uncommon, contextual"), 0);

    let locks = |path: &str, text: &str| shared_mutables(&planted(path, text)).len();
    assert_eq!(locks("src/serve/x.rs", "use std::sync::Mutex; static A: AtomicU64 = AtomicU64::new(0);"), 3);
    assert_eq!(locks("src/serve/x.rs", "#[cfg(test)] mod tests { use std::sync::Mutex; }"), 0);
    assert_eq!(locks("src/shard/mailbox.rs", "use std::sync::Mutex;"), 0);

    let generic = |text: &str| type_parameters(&planted("src/serve/x.rs", text)).len();
    assert_eq!(generic("fn f<'a>(x: &'a u8) -> impl Future { }"), 0);
    assert_eq!(generic("fn f<T>(t: T) {} struct S<T>(T); impl<T> S<T> {}"), 3);
    assert_eq!(generic("fn f(t: impl Fn()) {}"), 1);

    let left = |text: &str| unfinished(&planted("src/x.rs", text)).len();
    assert_eq!(left(concat!("fn f() { to", "do!(); d", "bg!(1); } // FIX", "ME")), 3);
    assert_eq!(left(concat!("#[ig", "nore] fn f() {} #[ig", "nore = \"slow\"] fn g() {}")), 2);
    assert_eq!(left("fn ignore() { ignore() }"), 0);

    let long = format!("fn f() {{\n{}}}\nfn g() {{\n{}}}", "a();\n".repeat(71), "a();\n\n// why\n".repeat(70));
    let lengths = function_lengths(&planted("src/x.rs", &long));
    assert_eq!(lengths, [("src/x.rs f".into(), 71), ("src/x.rs g".into(), 70)]);
}

#[test]
fn a_ratchet_only_turns_one_way() {
    let judge = |now| ratchet([("a".to_owned(), now)], 10, &[("a", 20)]).len();
    assert_eq!([judge(20), judge(21), judge(19), judge(10)], [0, 1, 1, 1]);
    assert_eq!(ratchet([("b".to_owned(), 11)], 10, &[]).len(), 1);
    assert_eq!(ratchet([("b".to_owned(), 10)], 10, &[("gone", 12)]).len(), 1);
}

fn planted(path: &str, text: &str) -> Source {
    Source { path: path.into(), text: text.into() }
}

fn report(faults: impl IntoIterator<Item = String>) {
    let faults: Vec<_> = faults.into_iter().collect();
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

/// Lines that count: a test file is all product where tests are the product.
fn product_lines(file: &Source) -> usize {
    if file.path.starts_with("src/") { file.product_lines() } else { file.text.lines().count() }
}

/// What grew past the fence, or past its own record, or shrank without its record being lowered.
fn ratchet(lengths: impl IntoIterator<Item = (String, usize)>, fence: usize, records: &[(&str, usize)]) -> Vec<String> {
    let mut records: BTreeMap<_, _> = records.iter().copied().collect();
    let mut faults = Vec::new();
    for (name, now) in lengths {
        match records.remove(name.as_str()) {
            None if now > fence => faults.push(format!("{name}: {now} lines, the fence stands at {fence}")),
            Some(record) if now > record => {
                faults.push(format!("{name}: {now} lines, it may only shrink from {record}"));
            }
            Some(record) if now < record => {
                faults.push(format!("{name}: {now} lines now, lower its record of {record}"));
            }
            _ => {}
        }
    }
    faults.extend(records.keys().map(|name| format!("{name}: has a record, and is not there")));
    faults
}

/// Every function with its code lines.
fn function_lengths(file: &Source) -> Vec<(String, usize)> {
    struct Functions<'a>(&'a Source, Vec<&'a str>, Vec<(String, usize)>);
    impl Functions<'_> {
        fn note(&mut self, name: &syn::Ident, block: &syn::Block) {
            let lines = self.1.get(block.span().start().line..block.span().end().line - 1).unwrap_or_default();
            let code = lines.iter().map(|line| line.trim()).filter(|line| !line.is_empty() && !line.starts_with("//"));
            self.2.push((format!("{} {name}", self.0.path), code.count()));
        }
    }
    impl<'ast> Visit<'ast> for Functions<'_> {
        fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
            self.note(&item.sig.ident, &item.block);
            syn::visit::visit_item_fn(self, item);
        }
        fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
            self.note(&item.sig.ident, &item.block);
            syn::visit::visit_impl_item_fn(self, item);
        }
    }
    let mut functions = Functions(file, file.text.lines().collect(), Vec::new());
    functions.visit_file(&file.parse());
    functions.2
}

/// Every banned word, whole part of a name, in code, text and comments alike.
fn banned_words(file: &Source) -> Vec<String> {
    let mut faults = Vec::new();
    for (at, line) in file.text.lines().enumerate() {
        for name in line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|name| !name.is_empty()) {
            let borrowed = BORROWED_NAMES
                .iter()
                .any(|(place, theirs, _)| file.path.starts_with(place) && (theirs.is_empty() || *theirs == name));
            let Some(word) = parts(name).into_iter().find(|part| is_banned(part)) else { continue };
            if !borrowed {
                faults.push(format!("{}:{}: `{word}` in `{name}`", file.path, at + 1));
            }
        }
    }
    faults
}

fn is_banned(part: &str) -> bool {
    BANNED_WORDS.contains(&part) || part.strip_suffix('s').is_some_and(|one| BANNED_WORDS.contains(&one))
}

/// `HTTPHandlers_max` is `http`, `handlers`, `max`.
fn parts(name: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let letters: Vec<char> = name.chars().collect();
    for (at, letter) in letters.iter().enumerate() {
        let after_lower = at > 0 && !letters[at - 1].is_ascii_uppercase();
        let before_lower = letters.get(at + 1).is_some_and(char::is_ascii_lowercase);
        if *letter == '_' || (letter.is_ascii_uppercase() && (after_lower || before_lower)) {
            parts.push(String::new());
        }
        if *letter != '_' {
            parts.last_mut().unwrap().push(letter.to_ascii_lowercase());
        }
    }
    parts
}

/// Every lock, atomic and shared cell that product code names outside the list.
fn shared_mutables(file: &Source) -> Vec<String> {
    if SHARED_MUTABLE.iter().any(|(place, _)| file.path.starts_with(place)) {
        return Vec::new();
    }
    shared_words(file)
}

/// Every lock, atomic and shared cell that product code names.
fn shared_words(file: &Source) -> Vec<String> {
    if file.is_unit_test() {
        return Vec::new();
    }
    let tests = file.test_lines();
    let is_shared = |text: &str| {
        matches!(text, "Mutex" | "RwLock" | "Condvar" | "Barrier" | "ArrayQueue" | "SegQueue")
            || (text.starts_with("Atomic") && text.len() > "Atomic".len())
    };
    let found = file.tokens().into_iter().filter(|token| is_shared(&token.text));
    let found = found.filter(|token| !tests.iter().any(|lines| lines.contains(&token.line)));
    found.map(|token| format!("{}:{}: `{}` outside the list", file.path, token.line, token.text)).collect()
}

/// Marks of work put off.
fn unfinished(file: &Source) -> Vec<String> {
    if file.path == "tests/it/tidy.rs" {
        return Vec::new();
    }
    let mut faults = Vec::new();
    let tokens = file.tokens();
    for (at, token) in tokens.iter().enumerate() {
        let next = tokens.get(at + 1).map_or("", |token| token.text.as_str());
        let before = at.checked_sub(1).map_or("", |before| tokens[before].text.as_str());
        let found = match token.text.as_str() {
            "todo" | "unimplemented" | "dbg" => next == "!",
            "ignore" => before == "[" && (next == "]" || next == "="),
            _ => false,
        };
        if found {
            faults.push(format!("{}:{}: `{}`", file.path, token.line, token.text));
        }
    }
    for (at, line) in file.text.lines().enumerate() {
        let mut words = line.split(|c: char| !c.is_ascii_alphanumeric());
        if let Some(word) = words.find(|word| matches!(*word, "FIXME" | "TODO" | "XXX" | "HACK")) {
            faults.push(format!("{}:{}: `{word}`", file.path, at + 1));
        }
    }
    faults
}

/// Every type parameter, under its own name or as `impl Trait` in an argument.
fn type_parameters(file: &Source) -> Vec<String> {
    struct Generic<'a>(&'a Source, Vec<String>);
    impl Generic<'_> {
        fn note(&mut self, span: Span) {
            self.1.push(format!("{}:{}: a type parameter", self.0.path, span.start().line));
        }
    }
    impl<'ast> Visit<'ast> for Generic<'_> {
        fn visit_type_param(&mut self, parameter: &'ast syn::TypeParam) {
            self.note(parameter.span());
        }
        fn visit_fn_arg(&mut self, argument: &'ast syn::FnArg) {
            if let syn::FnArg::Typed(argument) = argument
                && matches!(*argument.ty, syn::Type::ImplTrait(_))
            {
                self.note(argument.span());
            }
        }
    }
    let mut generic = Generic(file, Vec::new());
    generic.visit_file(&file.parse());
    generic.1
}
