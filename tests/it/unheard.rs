//! Nobody takes what the gateway says of itself: its standard error is a pipe that is full. It goes on all the same, and
//! says later that something is missing.

use std::time::Duration;
use std::time::Instant;

use crate::support::Gateway;
use crate::support::Origin;
use crate::support::Raw;
use crate::support::Signal;
use crate::support::get;
use crate::support::simple;

fn toml(origin: &Origin) -> String {
    format!(
        "[process]\ncores = 2\nadmin = \"127.0.0.1:0\"\naccess_log = \"off\"\n\n{}",
        simple(&[origin], "timeout = { response = \"1s\" }", "")
    )
}

/// Makes the gateway say so many bytes and more: each refused reload is told with all its faults.
fn make_it_speak(gateway: &Gateway, origin: &Origin, bytes: usize) {
    let wrong: String = (0..100).map(|n| format!("wrong_{n} = \"{}\"\n", "x".repeat(100))).collect();
    let refused = toml(origin).replace("cores = 2\n", &format!("cores = 2\n{wrong}"));
    let mut said = 0;
    while said <= bytes {
        let answer = gateway.reload(&refused);
        assert_eq!(answer.status, 422);
        // The log has the same words, drawn, and they are no fewer there.
        said += answer.text().matches("unknown key").count() * "error: unknown key `wrong_00` in [process]\n".len();
    }
}

/// What a pipe holds, and what a log that does not block may keep beside it.
const PIPE: usize = 64 << 10;
const ROOM: usize = 256 << 10;

#[test]
fn a_gateway_that_nobody_hears_serves_reloads_and_drains() {
    let origin = Origin::named("a");
    let mut gateway = Gateway::start_unheard(&toml(&origin));
    gateway.expect_error("reload refused");
    make_it_speak(&gateway, &origin, 2 * PIPE);
    assert_eq!(gateway.ask("GET", "/livez").status, 200);
    assert_eq!(get(gateway.http(), "/").text(), "a");
    assert_eq!(gateway.reload(&toml(&origin)).status, 200);
    make_it_speak(&gateway, &origin, 2 * ROOM);
    assert_eq!(gateway.reload(&toml(&origin)).status, 200);
    assert_eq!(get(gateway.http(), "/").text(), "a");
    // A signal is followed, too, and the end does not wait for a reader.
    let mut busy = Raw::connect(gateway.http());
    busy.send("GET / HTTP/1.1\r\nHo");
    gateway.signal(Signal::Term);
    busy.send("st: a\r\n\r\n");
    assert_eq!(busy.read_response().text(), "a");
    let begun = Instant::now();
    assert_eq!(gateway.wait_exit().code(), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
}

#[test]
fn what_nobody_took_is_counted_and_told_to_whoever_reads_again() {
    let origin = Origin::named("a");
    let mut gateway = Gateway::start_unheard(&toml(&origin));
    gateway.expect_error("reload refused");
    make_it_speak(&gateway, &origin, 2 * (PIPE + ROOM));
    gateway.listen();
    let line = gateway.wait_stderr("lines are missing here");
    let (_, dropped) = line.split_once("dropped=").expect("their number");
    assert!(dropped.trim().parse::<u64>().unwrap() > 0, "{line}");
    assert_eq!(gateway.reload(&toml(&origin)).status, 200);
    gateway.wait_stderr("configuration");
}
