//! Which kind of event loop the tests run on where they do not say it themselves: the one that `RINGWAY_TEST_IO` names, as
//! `process.io` does, or the best there is. So whole suites can be run on each kind.

use ringway::io::ring::Wanted;

use super::Gateway;
use super::Inside;
use super::Origin;
use super::Raw;
use super::simple;

/// The environment variable.
const CHOICE: &str = "RINGWAY_TEST_IO";

/// What was chosen, in the words of the configuration; none is no choice.
fn choice() -> Option<String> {
    std::env::var(CHOICE).ok().filter(|io| !io.is_empty())
}

/// A configuration with the chosen loop in its `[process]`, unless that table names one.
pub fn chosen(toml: &str) -> String {
    const TABLE: &str = "[process]\n";
    let Some(io) = choice() else { return toml.to_owned() };
    let Some(begin) = toml.find(TABLE).map(|at| at + TABLE.len()) else { return toml.to_owned() };
    let end = toml[begin..].find("\n[").map_or(toml.len(), |end| begin + end);
    if toml[begin..end].lines().any(|line| line.trim_start().starts_with("io ")) {
        return toml.to_owned();
    }
    format!("{}io = \"{io}\"\n{}", &toml[..begin], &toml[begin..])
}

/// The same for a core within the tests.
pub fn wanted(wanted: Wanted) -> Wanted {
    match choice().as_deref().filter(|_| wanted == Wanted::Auto) {
        None | Some("auto") => wanted,
        Some("io_uring") => Wanted::IoUring,
        Some("epoll") => Wanted::Epoll,
        Some(other) => panic!("{CHOICE} is no kind of event loop: {other}"),
    }
}

#[test]
fn the_tests_run_on_the_loop_that_was_chosen() {
    let origin = Origin::named("a");
    let gateway = Gateway::before(&[&origin]);
    let Some(io) = choice().filter(|io| io != "auto") else { return };
    for core in gateway.get_json("/v1/cores")["cores"].as_array().unwrap() {
        assert_eq!(core["io"], io.as_str(), "{core}");
    }
    assert_eq!(gateway.reload(&simple(&[&origin], "", "connections = 7")).status, 200);
    let inside = Inside::start(&simple(&[&origin], "", ""), Wanted::Auto);
    assert_eq!(Raw::connect(inside.addr).get("/").text(), "a");
}
