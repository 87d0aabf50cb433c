//! Cores: how many, on which CPU, with which kind of event loop, and that they share the work.

use crate::support::Gateway;
use crate::support::Origin;
use crate::support::Raw;
use crate::support::pattern;
use crate::support::simple;

fn gateway(process: &str, origin: &Origin) -> Gateway {
    let process = format!("[process]\nadmin = \"127.0.0.1:0\"\naccess_log = \"stdout\"\n{process}\n");
    Gateway::start(&(process + &simple(&[origin], "", "")))
}

/// What the admin interface says of each core.
fn cores(gateway: &Gateway) -> Vec<serde_json::Value> {
    gateway.get_json("/v1/cores")["cores"].as_array().expect("a list of cores").clone()
}

#[test]
fn each_core_says_where_and_how_it_runs() {
    let origin = Origin::named("a");
    let gateway = gateway("cores = 2", &origin);
    let cores = cores(&gateway);
    assert_eq!(cores.len(), 2);
    for (number, core) in cores.iter().enumerate() {
        assert_eq!(core["core"], number);
        assert!(core["cpu"].is_u64(), "{core}");
        assert!(matches!(core["io"].as_str(), Some("io_uring" | "epoll")), "{core}");
        assert!(core.get("flags").is_some() && core["reason"].is_string(), "{core}");
        assert_eq!((core["restarts"].as_u64(), core["panics"].as_u64()), (Some(0), Some(0)), "{core}");
    }
    if std::thread::available_parallelism().is_ok_and(|cpus| cpus.get() >= 2) {
        assert_ne!(cores[0]["cpu"], cores[1]["cpu"]);
    }
}

#[test]
fn a_count_of_cores_is_that_many_threads_pinned_to_their_cpu() {
    let origin = Origin::named("a");
    let gateway = gateway("cores = 1", &origin);
    let cores = cores(&gateway);
    assert_eq!(cores.len(), 1);
    let cpu = cores[0]["cpu"].to_string();
    let tasks = std::fs::read_dir(format!("/proc/{}/task", gateway.pid())).unwrap();
    let allowed = tasks.map(|task| std::fs::read_to_string(task.unwrap().path().join("status")).unwrap());
    let pinned =
        allowed.filter(|status| status.lines().any(|line| line == format!("Cpus_allowed_list:\t{cpu}"))).count();
    assert!(pinned >= 1, "no thread is pinned to CPU {cpu} alone");
}

#[test]
fn nothing_lies_on_huge_pages() {
    let origin = Origin::named("a");
    let gateway = gateway("cores = 1", &origin);
    let sums = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", gateway.pid())).unwrap();
    let huge: Vec<_> = sums.lines().filter(|line| line.starts_with("AnonHugePages:")).collect();
    let kib: Vec<_> = huge.iter().filter_map(|line| line.split_whitespace().nth(1)).collect();
    assert_eq!(kib, ["0"], "{sums}");
}

#[test]
fn connections_are_spread_over_the_cores() {
    let origin = Origin::named("a");
    let gateway = gateway("cores = 2", &origin);
    let mut raws: Vec<_> = (0..64).map(|_| Raw::connect(gateway.http())).collect();
    for raw in &mut raws {
        assert_eq!(raw.get("/").status, 200);
    }
    let cores = cores(&gateway);
    let shares: Vec<_> = cores.iter().map(|core| core["connections"].as_u64().unwrap()).collect();
    assert_eq!(shares.iter().sum::<u64>(), 64);
    assert!(shares.iter().all(|share| *share > 0), "{shares:?}");
}

#[test]
fn the_gateway_works_the_same_without_io_uring() {
    let origin = Origin::answer(|request| {
        let mut bytes = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        bytes.extend(format!("{:x}\r\n", request.body.len().max(1)).bytes());
        bytes.extend(if request.body.is_empty() { b"-" } else { request.body.as_slice() });
        bytes.extend(b"\r\n0\r\n\r\n");
        bytes
    });
    let gateway = gateway("cores = 2\nio = \"epoll\"", &origin);
    for core in cores(&gateway) {
        assert_eq!(core["io"], "epoll");
    }
    assert_eq!(gateway.metrics().labels("ringway_io_backend", "io"), ["epoll", "epoll"]);
    let mut raw = Raw::connect(gateway.http());
    for length in [1, 1_000, 1_000_000] {
        raw.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n"));
        raw.send(pattern(length));
        assert!(raw.read_response().body == pattern(length));
    }
    assert_eq!(gateway.reload(&simple(&[&origin], "", "")).status, 200);
    assert_eq!(raw.get("/").text(), "-");
    assert_eq!(gateway.stop().code(), Some(0));
}

#[test]
fn the_chosen_event_loop_is_told_at_start() {
    let origin = Origin::named("a");
    let gateway = gateway("cores = 1\nio = \"epoll\"", &origin);
    gateway.wait_stderr("epoll");
}

#[test]
fn connections_that_are_idle_on_one_core_are_no_others_bound() {
    let origin = Origin::named("a");
    let toml =
        "[process]\ncores = 2\nadmin = \"127.0.0.1:0\"\n".to_owned() + &simple(&[&origin], "connections = 1", "");
    let gateway = Gateway::start(&toml);
    let mut clients: Vec<_> = (0..24).map(|_| Raw::connect(gateway.http())).collect();
    for raw in &mut clients {
        assert_eq!(raw.get("/").text(), "a");
    }
    let cores = gateway.get_json("/v1/cores");
    let served = |core: usize| cores["cores"][core]["exchanges"].as_u64().unwrap();
    assert!(served(0) > 0 && served(1) > 0, "one core served them all: {cores}");
    assert!(origin.connections() > 1, "and the connection went from core to core");
    assert!(origin.open_connections() <= 1);
}
