//! Kernels that refuse io_uring, as the seccomp profiles of containers do, or parts of it, as older ones do: the gateway
//! serves on the best that is left, and says on what and why. Where it may not, it says so and does not start.

use crate::support::Gateway;
use crate::support::Origin;
use crate::support::Raw;
use crate::support::Rings;
use crate::support::ok;
use crate::support::pattern;
use crate::support::rings::COOP_TASKRUN;
use crate::support::rings::DEFER_TASKRUN;
use crate::support::rings::SINGLE_ISSUER;
use crate::support::rings::SUBMIT_ALL;
use crate::support::run_on;
use crate::support::simple;

const DEFER: &str = "single_issuer defer_taskrun";
const COOP: &str = "single_issuer coop_taskrun";

fn toml(process: &str, origin: &Origin) -> String {
    format!(
        "[process]\ncores = 2\nadmin = \"127.0.0.1:0\"\naccess_log = \"off\"\n{process}\n{}",
        simple(&[origin], "", "")
    )
}

/// Every core runs on this, says so everywhere, names these refusals and no others, and serves.
#[track_caller]
fn runs_on(rings: Rings, io: &str, flags: &str, refusals: &[&str], error: &str) {
    let origin = Origin::answer(|request| ok(&request.body.len().to_string()));
    let gateway = Gateway::start_on(rings, &toml("", &origin));
    let reason: Vec<_> = refusals.iter().map(|refused| format!("{refused}: {error}")).collect();
    let reason = reason.join("; ");
    let cores = gateway.get_json("/v1/cores")["cores"].as_array().unwrap().clone();
    assert_eq!(cores.len(), 2);
    for core in &cores {
        let said = [&core["io"], &core["flags"], &core["reason"]].map(|part| part.as_str().unwrap());
        assert_eq!(said, [io, flags, &reason], "{rings:?}");
    }
    let metrics = gateway.metrics();
    for core in ["0", "1"] {
        let labels = [("core", core), ("io", io), ("flags", flags)];
        assert!(metrics.get("ringway_io_backend", &labels) > 0.5, "{rings:?}: core {core}");
    }
    assert_eq!(metrics.labels("ringway_io_backend", "io"), [io; 2]);
    for core in 0..2 {
        let line = gateway.wait_stderr(&format!("a core runs core={core}"));
        let told = [format!("io=\"{io}\""), format!("flags=\"{flags}\""), format!("reason=\"{reason}\"")];
        assert!(told.iter().all(|part| line.contains(part)), "{rings:?}: {line}");
    }
    // Both cores take part, on connections that stay.
    let mut clients: Vec<_> = (0..32).map(|_| Raw::connect(gateway.http())).collect();
    for length in [0, 1, 300_000] {
        for raw in &mut clients {
            raw.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n"));
            raw.send(pattern(length));
            let response = raw.read_response();
            assert_eq!((response.status, response.text()), (200, length.to_string().as_str()));
        }
    }
    assert_eq!(gateway.stop().code(), Some(0));
}

#[test]
fn where_io_uring_is_refused_the_gateway_serves_on_epoll_and_says_why() {
    let all = [DEFER, COOP, "plain", "plain, small ring"];
    runs_on(Rings::Refused(libc::ENOSYS), "epoll", "", &all, "Function not implemented (os error 38)");
    runs_on(Rings::Refused(libc::EPERM), "epoll", "", &all, "Operation not permitted (os error 1)");
}

#[test]
fn where_a_large_ring_is_refused_a_small_one_serves() {
    let large = [DEFER, COOP, "plain"];
    let error = "Cannot allocate memory (os error 12)";
    runs_on(Rings::UpTo(256), "io_uring", "plain, small ring", &large, error);
    runs_on(Rings::UpTo(255), "epoll", "", &[DEFER, COOP, "plain", "plain, small ring"], error);
}

#[test]
fn where_a_kernel_does_not_know_the_best_flags_the_next_best_serve() {
    let error = "Invalid argument (os error 22)";
    runs_on(Rings::Without(DEFER_TASKRUN), "io_uring", COOP, &[DEFER], error);
    let old = DEFER_TASKRUN | SINGLE_ISSUER;
    runs_on(Rings::Without(old), "io_uring", "plain", &[DEFER, COOP], error);
    runs_on(Rings::Without(old | COOP_TASKRUN | SUBMIT_ALL), "io_uring", "plain", &[DEFER, COOP], error);
}

#[test]
fn where_a_kernel_refuses_nothing_the_best_serves_and_there_is_no_reason() {
    runs_on(Rings::Without(0), "io_uring", DEFER, &[], "");
}

#[test]
fn where_io_uring_is_all_that_may_be_used_and_is_refused_the_start_fails_in_words() {
    let origin = Origin::named("a");
    let exit = run_on(Rings::Refused(libc::EPERM), &toml("io = \"io_uring\"", &origin));
    assert_eq!(exit.code, 1, "{exit:?}");
    assert!(!exit.stdout.contains("READY"), "{}", exit.stdout);
    let errors: Vec<_> = exit.stderr.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(errors.len(), 1, "{}", exit.stderr);
    assert!(errors[0].contains("no event loop can be built") && errors[0].contains("Operation not permitted"));
}
