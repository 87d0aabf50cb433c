//! The way of a record from a core's buffer to its line, with places that take everything, block, and fail.
#![allow(clippy::disallowed_methods, reason = "a test may wait for files and threads")]

use std::fs;
use std::io::Read as _;
use std::net::SocketAddr;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use super::*;
use crate::model::AccessLog;
use crate::model::LogFormat;
use crate::model::LogTarget;
use crate::observe::ended::Cause;
use crate::observe::ended::Ended;
use crate::observe::ended::Phase;

pub(super) fn record(target: &[u8]) -> Record<'_> {
    Record {
        time_us: 1_795_560_606_000_001,
        duration_us: 2,
        upstream_us: 3,
        queue_us: 9,
        bytes_in: 4,
        bytes_out: 5,
        ended: Ended { cause: Cause::Ok, phase: Phase::Done },
        status: 206,
        attempts: 7,
        client: "192.0.2.1:8".parse::<SocketAddr>().unwrap().into(),
        listener: "http",
        request_id: b"0123456789abcdef0123456789abcdef",
        method: b"GET",
        host: b"shop.example.com",
        target,
        protocol: "HTTP/1.1",
        route: "*/orders/*",
        upstream: "orders",
        endpoint: "10.0.0.1:8080",
        user_agent: b"curl/8",
        referer: b"http://shop.example.com/",
        tls: "TLSv1.3",
        certificate: "Hash=00",
    }
}

/// A directory of one test, gone with it.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("ringway-access-log-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("access.log")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

fn to_file(path: &Path) -> AccessLog {
    AccessLog { to: LogTarget::File(path.into()), format: LogFormat::Json }
}

/// The targets in the lines of a file, in their order.
fn targets(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap_or_default();
    assert!(text.is_empty() || text.ends_with('\n'));
    text.lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["path"].as_str().unwrap().into())
        .collect()
}

/// Waits until something is so, and fails if that takes absurdly long.
fn until(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..20_000 {
        if is_so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("waited in vain: {what}");
}

#[test]
fn off_starts_nothing_and_keeps_nothing() {
    let settings = AccessLog { to: LogTarget::Off, format: LogFormat::Json };
    let (writer, mut buffers) = open(&settings, 3).unwrap();
    assert!(writer.is_none());
    assert_eq!(buffers.len(), 3);
    assert_eq!(buffers[0].push(&record(b"/")) + buffers[0].flush() + buffers[0].successor().push(&record(b"/")), 0);
    assert!(buffers[0].bytes.is_empty());
}

#[test]
fn a_file_that_cannot_be_opened_is_named() {
    let fault = open(&to_file(Path::new("/nowhere/at/all.log")), 1).unwrap_err();
    assert!(fault.to_string().contains("/nowhere/at/all.log"), "{fault}");
}

#[test]
fn every_line_arrives_and_each_cores_stay_in_order() {
    let place = Place::new("order");
    let (writer, buffers) = open(&to_file(&place.file()), 4).unwrap();
    let writer = writer.unwrap();
    let lanes: Vec<_> = buffers.iter().filter_map(|buffer| buffer.lane.clone()).collect();
    let cores: Vec<_> = buffers
        .into_iter()
        .enumerate()
        .map(|(core, mut buffer)| {
            std::thread::spawn(move || {
                let mut dropped = 0;
                for number in 0..5_000 {
                    dropped += buffer.push(&record(format!("/{core}/{number}").as_bytes()));
                    if number % 700 == 0 {
                        dropped += buffer.flush();
                    }
                }
                dropped
            })
        })
        .collect();
    let dropped: u64 = cores.into_iter().map(|core| core.join().unwrap()).sum();
    assert_eq!(dropped, 0);
    // The end bounds the time that what is left may take, so a slow machine is waited for here.
    until("everything is taken", || lanes.iter().all(|lane| lane.queues.filled.is_empty()));
    assert_eq!(writer.close(), 0);
    let targets = targets(&place.file());
    for core in 0..4 {
        let of_core: Vec<_> = targets.iter().filter(|target| target.starts_with(&format!("/{core}/"))).collect();
        assert_eq!(
            of_core,
            (0..5_000).map(|number| format!("/{core}/{number}")).collect::<Vec<_>>().iter().collect::<Vec<_>>()
        );
    }
    assert_eq!(fs::metadata(place.file()).unwrap().permissions().mode() & 0o137, 0);
}

#[test]
fn a_buffer_is_reused_and_does_not_grow() {
    let place = Place::new("reuse");
    let (writer, mut buffers) = open(&to_file(&place.file()), 1).unwrap();
    let long = [b'x'; 3_000];
    let large = Record { user_agent: &long, referer: &long, host: &long, ..record(&long) };
    for _ in 0..2_000 {
        let _ = buffers[0].push(&large);
        assert_eq!(buffers[0].bytes.capacity(), BUFFER_BYTES);
    }
    let lane = buffers[0].lane.clone().unwrap();
    until("a buffer comes back", || !lane.queues.empty.is_empty());
    writer.unwrap().close();
}

#[test]
fn lines_are_written_without_an_end_and_after_a_death() {
    let place = Place::new("death");
    let (writer, mut buffers) = open(&to_file(&place.file()), 1).unwrap();
    assert_eq!(buffers[0].push(&record(b"/1")) + buffers[0].flush(), 0);
    until("the first line", || targets(&place.file()) == ["/1"]);
    let mut successor = buffers[0].successor();
    assert_eq!(buffers[0].push(&record(b"/2")), 0);
    drop(buffers);
    assert_eq!(successor.push(&record(b"/3")) + successor.flush(), 0);
    assert_eq!(writer.unwrap().close(), 0);
    assert_eq!(targets(&place.file()), ["/1", "/2", "/3"]);
}

#[test]
fn a_renamed_file_is_left_for_a_new_one() {
    let place = Place::new("reopen");
    let (writer, mut buffers) = open(&to_file(&place.file()), 1).unwrap();
    let writer = writer.unwrap();
    assert_eq!(buffers[0].push(&record(b"/before")) + buffers[0].flush(), 0);
    until("the first line", || targets(&place.file()) == ["/before"]);
    let old = place.0.join("access.log.1");
    fs::rename(place.file(), &old).unwrap();
    writer.remote().reopen();
    assert_eq!(buffers[0].push(&record(b"/after")) + buffers[0].flush(), 0);
    assert_eq!(writer.close(), 0);
    assert_eq!(targets(&old), ["/before"]);
    assert_eq!(targets(&place.file()), ["/after"]);
}

#[test]
fn a_file_that_cannot_be_reopened_is_written_on() {
    let place = Place::new("keep");
    let directory = place.0.join("logs");
    fs::create_dir_all(&directory).unwrap();
    let (writer, mut buffers) = open(&to_file(&directory.join("access.log")), 1).unwrap();
    let writer = writer.unwrap();
    let moved = place.0.join("moved");
    fs::rename(&directory, &moved).unwrap();
    writer.remote().reopen();
    assert_eq!(buffers[0].push(&record(b"/on")) + buffers[0].flush(), 0);
    assert_eq!(writer.close(), 0);
    assert_eq!(targets(&moved.join("access.log")), ["/on"]);
}

/// A log that goes into a pipe, under the name by which a process may open its own descriptors.
fn into_pipe() -> (io::PipeReader, io::PipeWriter, AccessLog) {
    let (reader, writer) = io::pipe().unwrap();
    let settings = to_file(Path::new(&format!("/proc/self/fd/{}", writer.as_raw_fd())));
    (reader, writer, settings)
}

#[test]
fn a_blocked_writer_costs_lines_which_are_counted() {
    let (mut reader, ours, settings) = into_pipe();
    let (writer, mut buffers) = open(&settings, 1).unwrap();
    drop(ours);
    let mut pushed = 0_u64;
    let mut dropped = 0;
    // Nobody reads: the pipe fills, then the queue, then lines must go.
    while dropped == 0 {
        dropped += buffers[0].push(&record(format!("/{pushed}").as_bytes()));
        pushed += 1;
        assert!(pushed < 1_000_000, "a blocked writer took everything");
    }
    assert!(buffers[0].bytes.is_empty());
    let taken = std::thread::spawn(move || {
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        text
    });
    let lane = buffers[0].lane.clone().unwrap();
    drop(buffers);
    // The end bounds the time that what is left may take, so a slow machine is waited for here.
    until("everything is taken", || lane.queues.filled.is_empty());
    assert_eq!(writer.unwrap().close(), 0);
    let text = taken.join().unwrap();
    assert_eq!(text.lines().count() as u64 + dropped, pushed);
    let first: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!(first["path"], "/0");
}

#[test]
fn a_place_that_never_takes_anything_does_not_hold_the_end_up() {
    let (reader, ours, settings) = into_pipe();
    let (writer, mut buffers) = open(&settings, 1).unwrap();
    drop(ours);
    while buffers[0].push(&record(b"/")) == 0 {}
    // Returns, though the pipe stays full as long as its other end is open.
    writer.unwrap().close();
    drop(reader);
}

#[test]
fn a_reader_that_went_away_costs_lines_and_not_the_process() {
    let (reader, ours, settings) = into_pipe();
    let (writer, mut buffers) = open(&settings, 1).unwrap();
    let writer = writer.unwrap();
    drop((reader, ours));
    for number in 1..=3 {
        assert_eq!(buffers[0].push(&record(b"/")) + buffers[0].flush(), 0);
        until("a lost line is counted", || writer.remote().dropped() == number);
    }
    assert_eq!(writer.close(), 3);
}

#[test]
fn a_full_disk_costs_lines_and_is_tried_again() {
    let (writer, mut buffers) = open(&to_file(Path::new("/dev/full")), 2).unwrap();
    for buffer in &mut buffers {
        assert_eq!(buffer.push(&record(b"/1")) + buffer.push(&record(b"/2")) + buffer.flush(), 0);
    }
    assert_eq!(writer.unwrap().close(), 4);
}
