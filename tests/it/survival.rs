//! Faults of endpoints, with endpoints that are real processes under load that does not pause: what clients notice of
//! them is bounded and counted, the others go on, and who recovers comes back by itself.

use std::time::Duration;
use std::time::Instant;

use crate::support::Endpoint;
use crate::support::Gateway;
use crate::support::Load;
use crate::support::Mood;
use crate::support::eventually;
use crate::support::serve;

const MAIN: &str = "survival::an_endpoint_is_this_binary_with_a_port_in_its_environment";
const CLIENTS: usize = 6;
const ENDPOINTS: usize = 4;

#[test]
fn an_endpoint_is_this_binary_with_a_port_in_its_environment() {
    serve();
}

/// A policy that knows no penalty for a failure: all that keeps requests from who fails is that it is put out.
const EVEN: &str = "balance = \"least_request\"\nslow_start = \"1s\"";

/// A gateway before so many endpoints, all of which have answered, with the policy that nobody has to ask for.
fn fleet(app: &str) -> (Vec<Endpoint>, Gateway, Load) {
    fleet_by("", app)
}

fn fleet_by(policy: &str, app: &str) -> (Vec<Endpoint>, Gateway, Load) {
    let endpoints: Vec<_> = (0..ENDPOINTS).map(|_| Endpoint::start(MAIN)).collect();
    let list: Vec<_> = endpoints.iter().map(|endpoint| format!("\"{}\"", endpoint.name())).collect();
    let toml = format!(
        "[process]\ncores = 2\nadmin = \"127.0.0.1:0\"\naccess_log = \"off\"\noverload.lag = [\"30s\", \"30s\", \"30s\"]\n\n\
         [listen.http]\nbind = \"127.0.0.1:0\"\n\n[upstream.app]\nendpoints = [{}]\n{policy}\n{app}\n\n\
         [host.\"*\"]\nroutes = [{{ path = \"/*\", upstream = \"app\" }}]\n",
        list.join(", ")
    );
    let gateway = Gateway::start(&toml);
    let load = Load::start(gateway.http(), CLIENTS);
    endpoints.iter().for_each(|endpoint| load.wait_for(endpoint, 20));
    (endpoints, gateway, load)
}

/// What is tried again may be, and an answer may take as long as it does on a machine that has other things to do.
const PATIENT: &str = "retry = { attempts = 3, on = [\"connect\", \"reset\", \"timeout\", \"500-504\"], \
                       budget = { percent = 50, per_second = 100 } }";

/// The same where an endpoint does not answer at all: three seconds are enough to know, and more than one that is well takes.
const HASTY: &str = "timeout = { response = \"3s\" }\nretry = { attempts = 3, on = [\"connect\", \"reset\", \"timeout\", \
                     \"500-504\"], budget = { percent = 50, per_second = 100 } }";

/// After so many more answers an endpoint is back: more than its first ones, which only find out whether it is well.
const BACK: usize = 20;

/// The policies that faults are survived with.
const WAYS: [&str; 2] = ["", EVEN];

/// Attempts at an endpoint that failed.
fn failures(gateway: &Gateway, endpoint: &Endpoint) -> usize {
    gateway.metrics().get("ringway_endpoint_failures_total", &[("endpoint", &endpoint.name())]) as usize
}

/// Good answers of the others while an endpoint is not well; enough to tell, and not too many to wait for.
const SPELL: usize = 400;

/// No request may be lost to what can be tried again.
fn nothing_lost(load: Load) {
    let told = load.stop();
    assert!(told.bad.is_empty(), "{} of {}: {:?}", told.bad.len(), told.good.values().sum::<usize>(), told.bad);
}

#[test]
fn one_that_is_killed_is_missed_by_nobody_and_is_back_once_it_is_started() {
    for policy in WAYS {
        let (mut endpoints, _gateway, load) = fleet_by(policy, PATIENT);
        for _ in 0..3 {
            endpoints[0].kill();
            let before = load.of(&endpoints[0]);
            load.go_on(SPELL);
            assert!(load.of(&endpoints[0]) <= before + CLIENTS, "a dead process answers");
            endpoints[0].restart(MAIN);
            load.wait_for(&endpoints[0], BACK);
        }
        nothing_lost(load);
    }
}

#[test]
fn one_that_stands_still_costs_some_a_wait_and_goes_on_where_it_stopped() {
    for policy in WAYS {
        let (endpoints, gateway, load) = fleet_by(policy, HASTY);
        endpoints[0].signal("STOP");
        eventually("somebody has waited", || failures(&gateway, &endpoints[0]) > 0);
        load.go_on(2 * SPELL);
        let waited = failures(&gateway, &endpoints[0]);
        endpoints[0].signal("CONT");
        load.wait_for(&endpoints[0], BACK);
        // Of each client one may have been there as it stopped, and a few more until it was left out, or on its trials.
        assert!(waited <= 5 * CLIENTS, "{waited} waited");
        nothing_lost(load);
    }
}

#[test]
fn one_that_never_answers_is_left_out_and_comes_back() {
    for policy in WAYS {
        let (mut endpoints, gateway, load) = fleet_by(policy, HASTY);
        endpoints[0].set(Mood::Silent);
        eventually("somebody has waited", || failures(&gateway, &endpoints[0]) > 0);
        load.go_on(2 * SPELL);
        let waited = failures(&gateway, &endpoints[0]);
        endpoints[0].set(Mood::Well);
        load.wait_for(&endpoints[0], BACK);
        assert!(waited <= 5 * CLIENTS, "{waited} waited");
        nothing_lost(load);
    }
}

#[test]
fn one_that_fails_at_once_does_not_draw_the_requests_and_comes_back() {
    // Without retries: what a client sees is what the choice of endpoints makes of it.
    for (policy, most) in WAYS.into_iter().zip([4 * CLIENTS, 10 * CLIENTS]) {
        let (mut endpoints, gateway, load) = fleet_by(policy, "retry = { attempts = 1 }");
        endpoints[0].set(Mood::Failing);
        load.go_on(3 * SPELL);
        let told = load.told();
        assert!(!told.bad.is_empty(), "nobody has met it");
        assert!(told.bad.len() <= most, "{} failed, beside {} good ones", told.bad.len(), 3 * SPELL);
        if policy == EVEN {
            assert!(gateway.metrics().sum("ringway_endpoint_changes_total", &[("to", "ejected")]) > 0.5);
        }
        endpoints[0].set(Mood::Well);
        load.wait_for(&endpoints[0], BACK);
        drop(load.stop());
    }
}

#[test]
fn one_that_fails_at_once_is_seen_by_nobody_where_it_may_be_tried_again() {
    for policy in WAYS {
        let (mut endpoints, _gateway, load) = fleet_by(policy, PATIENT);
        endpoints[0].set(Mood::Failing);
        load.go_on(2 * SPELL);
        endpoints[0].set(Mood::Well);
        load.wait_for(&endpoints[0], BACK);
        nothing_lost(load);
    }
}

#[test]
fn one_that_is_ten_times_as_slow_gets_little_to_do_and_its_share_again_when_it_is_well() {
    let (mut endpoints, _gateway, load) = fleet("");
    endpoints[0].set(Mood::Slow);
    // Once it is known.
    load.go_on(SPELL);
    let (all, its) = (load.all(), load.of(&endpoints[0]));
    load.go_on(2 * SPELL);
    let (all, its) = (load.all() - all, load.of(&endpoints[0]) - its);
    assert!(its * ENDPOINTS * 2 < all, "{its} of {all}: more than half of its share");
    endpoints[0].set(Mood::Well);
    eventually("it has its share again", || {
        let (all, its) = (load.all(), load.of(&endpoints[0]));
        load.go_on(200);
        (load.of(&endpoints[0]) - its) * ENDPOINTS * 2 > load.all() - all
    });
    nothing_lost(load);
}

#[test]
fn one_that_resets_within_its_answers_is_left_out_and_comes_back() {
    for policy in WAYS {
        let (mut endpoints, gateway, load) = fleet_by(policy, PATIENT);
        endpoints[0].set(Mood::Cutting);
        load.go_on(3 * SPELL);
        let told = load.told();
        assert!(!told.bad.is_empty(), "what is cut after its first byte cannot be made good");
        assert!(told.bad.len() <= 60, "{} were cut, beside {} good ones", told.bad.len(), 3 * SPELL);
        assert!(told.bad.iter().all(|bad| !bad.starts_with('5')), "{:?}", told.bad);
        assert!(gateway.metrics().sum("ringway_request_errors_total", &[("cause", "upstream_truncated")]) > 0.5);
        endpoints[0].set(Mood::Well);
        load.wait_for(&endpoints[0], BACK);
        drop(load.stop());
    }
}

#[test]
fn one_that_refuses_from_the_start_harms_nobody() {
    for policy in WAYS {
        let (mut endpoints, gateway, load) = fleet_by(policy, PATIENT);
        // Down before the gateway knows anything of it: as a new one that has not started yet.
        endpoints[0].kill();
        let list: Vec<_> = endpoints.iter().map(|endpoint| format!("\"{}\"", endpoint.name())).collect();
        let toml = format!(
            "[listen.http]\nbind = \"127.0.0.1:0\"\n\n[upstream.other]\nendpoints = [{}]\n{policy}\n{PATIENT}\n\n\
             [host.\"*\"]\nroutes = [{{ path = \"/*\", upstream = \"other\" }}]\n",
            list.join(", ")
        );
        assert_eq!(gateway.reload(&toml).status, 200);
        load.go_on(2 * SPELL);
        endpoints[0].restart(MAIN);
        load.wait_for(&endpoints[0], BACK);
        nothing_lost(load);
    }
}

#[test]
fn one_that_flaps_every_second_harms_nobody() {
    for policy in WAYS {
        let (mut endpoints, _gateway, load) = fleet_by(policy, PATIENT);
        for _ in 0..4 {
            for up in [false, true] {
                let begun = Instant::now();
                if up {
                    endpoints[0].restart(MAIN);
                } else {
                    endpoints[0].kill();
                }
                load.go_on(100);
                // The second is what is tested.
                std::thread::sleep(Duration::from_secs(1).saturating_sub(begun.elapsed()));
            }
        }
        load.wait_for(&endpoints[0], BACK);
        nothing_lost(load);
    }
}

/// One failure is enough for the policy that nobody has to ask for, and nobody else meets what one has met.
#[test]
fn by_default_each_fault_is_met_by_few_and_lost_on_nobody() {
    for (fault, most) in [("KILL", CLIENTS), ("STOP", CLIENTS), ("failing", 2 * CLIENTS), ("silent", CLIENTS)] {
        let (mut endpoints, gateway, load) = fleet(HASTY);
        assert_eq!(failures(&gateway, &endpoints[0]), 0);
        let begun = Instant::now();
        match fault {
            "KILL" => endpoints[0].kill(),
            "STOP" => endpoints[0].signal("STOP"),
            "failing" => endpoints[0].set(Mood::Failing),
            _ => endpoints[0].set(Mood::Silent),
        }
        load.go_on(2 * SPELL);
        let met = failures(&gateway, &endpoints[0]);
        // Now and then somebody looks whether it is well again.
        let most = most + begun.elapsed().as_secs() as usize / 2;
        assert!(met <= most, "{fault}: {met} attempts failed");
        nothing_lost(load);
    }
}

#[test]
fn all_may_be_down_and_all_come_back() {
    for policy in WAYS {
        let (mut endpoints, _gateway, load) = fleet_by(policy, PATIENT);
        endpoints.iter_mut().for_each(Endpoint::kill);
        eventually("it is said that there is nobody", || load.told().bad.len() >= 10 * CLIENTS);
        let told = load.told();
        assert!(told.bad.iter().all(|bad| bad.starts_with("502") || bad.starts_with("503")), "{:?}", told.bad);
        endpoints.iter_mut().for_each(|endpoint| endpoint.restart(MAIN));
        endpoints.iter().for_each(|endpoint| load.wait_for(endpoint, BACK));
        let before = load.told().bad.len();
        load.go_on(SPELL);
        assert_eq!(load.told().bad.len(), before, "{:?}", &load.told().bad[before..]);
    }
}

/// All endpoints of an upstream are killed and started again, one by one, so many times.
fn restarted(rounds: usize, retry: &str) {
    for policy in WAYS {
        let (mut endpoints, gateway, load) = fleet_by(policy, retry);
        for _ in 0..rounds {
            for endpoint in &mut endpoints {
                endpoint.kill();
                load.go_on(100);
                endpoint.restart(MAIN);
                load.wait_for(endpoint, BACK);
            }
        }
        assert!(gateway.metrics().sum("ringway_retries_total", &[]) > 0.5, "nobody has met one that was down");
        nothing_lost(load);
    }
}

#[test]
fn a_whole_upstream_is_restarted_one_by_one_without_one_request_lost() {
    restarted(2, PATIENT);
}

#[test]
fn neither_is_one_lost_by_the_retries_that_nobody_has_to_ask_for() {
    restarted(1, "");
}
