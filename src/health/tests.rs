//! Checks as configurations come and go, over real sockets.

use std::net::SocketAddr;
use std::sync::mpsc;

use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use super::*;
use crate::model::Probe;
use crate::model::fixture as plain;
use crate::snapshot::slots::Slots;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

fn settings() -> model::Health {
    let quick = Duration::from_millis(20);
    model::Health { interval: quick, doubt: quick, timeout: Duration::from_secs(20), ..fixture::settings() }
}

fn snapshot(slots: &mut Slots, upstreams: &[(&str, &[SocketAddr], Option<model::Health>)]) -> Snapshot {
    let upstreams = upstreams.iter().map(|(name, addresses, health)| {
        let addresses: Vec<_> = addresses.iter().map(|address| Address::Ip(*address)).collect();
        model::Upstream { health: health.clone(), ..plain::upstream(name, &addresses) }
    });
    let upstreams = upstreams.collect();
    Snapshot::compile(model::Model { upstreams, ..plain::empty() }, slots)
}

async fn answering() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                drop(stream.read(&mut [0; 1024]).await);
                drop(stream.write_all(ANSWER).await);
            });
        }
    });
    address
}

/// Takes connections and never says anything.
async fn hanging() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok(accepted) = listener.accept().await {
            held.push(accepted);
        }
    });
    address
}

#[expect(clippy::disallowed_methods, reason = "a test collects what it is told, which ends")]
fn start(snapshot: &Snapshot) -> (Checks, mpsc::Receiver<Transition>) {
    let (tell, told) = mpsc::channel();
    let checks = Checks::start(snapshot.board.clone(), 100, Box::new(move |transition| drop(tell.send(transition))));
    (checks, told)
}

async fn until(what: &str, mut is: impl FnMut() -> bool) {
    let began = std::time::Instant::now();
    while !is() {
        assert!(began.elapsed() < Duration::from_secs(20), "{what} never came");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_state_outlives_a_reload_and_a_newcomer_begins_anew() {
    let (good, dead) = (answering().await, "127.0.0.1:1".parse().unwrap());
    let mut slots = Slots::default();
    let first = snapshot(&mut slots, &[("app", &[good, dead], Some(settings()))]);
    let (mut checks, told) = start(&first);
    checks.adopt(&first);
    let slot = |place: usize| first.upstreams[0].endpoints[place].slot;
    let board = first.board.clone();
    let health = |place| board.standing(slot(place)).health();
    assert_eq!((health(0), health(1)), (Health::Unknown, Health::Unknown));
    until("both states", || health(0) == Health::Up && health(1) == Health::Down).await;
    let told: HashMap<_, _> = told.try_iter().map(|t| (t.endpoint.clone(), t)).collect();
    assert_eq!(told[&good.to_string()].reason, "a check was good: status 200");
    assert_eq!(told[&dead.to_string()].reason, "3 checks in a row were bad: no connection: refused");
    // A reload that changes the check, and one that changes nothing.
    let other = model::Health { rise: 1, timeout: Duration::from_secs(19), ..settings() };
    for health_settings in [other.clone(), other] {
        checks.adopt(&snapshot(&mut slots, &[("app", &[good, dead], Some(health_settings))]));
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!((health(0), health(1)), (Health::Up, Health::Down));
    }
    // Gone, and back: nothing is known of it.
    checks.adopt(&snapshot(&mut slots, &[("app", &[good], Some(settings()))]));
    let careful = model::Health { initially_up: false, ..settings() };
    checks.adopt(&snapshot(&mut slots, &[("app", &[good, dead], Some(careful))]));
    assert_eq!(health(1), Health::Down);
    until("its entry", || checks.found().borrow().contains_key(&slot(1))).await;
    // No check any more: nothing is said of it.
    checks.adopt(&snapshot(&mut slots, &[("app", &[good, dead], None)]));
    assert_eq!((health(0), health(1)), (Health::Unknown, Health::Unknown));
    until("an empty table", || checks.found().borrow().is_empty()).await;
    assert_eq!((health(0), health(1)), (Health::Unknown, Health::Unknown));
}

#[tokio::test(flavor = "current_thread")]
async fn those_that_hang_do_not_hold_up_those_that_answer() {
    let (good, hung) = (answering().await, hanging().await);
    let mut slots = Slots::default();
    let names: Vec<_> = (0..300).map(|n| format!("hung{n}")).collect();
    let hung = [hung];
    let good = [good];
    let mut upstreams: Vec<(&str, &[SocketAddr], _)> =
        names.iter().map(|name| (name.as_str(), &hung[..], Some(settings()))).collect();
    let late = model::Health { initially_up: false, ..settings() };
    upstreams.push(("good", &good, Some(late)));
    let snapshot = snapshot(&mut slots, &upstreams);
    let (mut checks, _told) = start(&snapshot);
    checks.adopt(&snapshot);
    let slot = snapshot.upstreams.last().unwrap().endpoints[0].slot;
    let checked = |found: &Table| found.get(&slot).and_then(|found| found.last.as_ref()).map(|last| last.at);
    until("the good one", || snapshot.board.standing(slot).health() == Health::Up).await;
    let first = checked(&checks.found().borrow());
    until("another check", || checked(&checks.found().borrow()) > first).await;
    let hung = snapshot.upstreams[0].endpoints[0].slot;
    assert_eq!(snapshot.board.standing(hung).health(), Health::Unknown);
}

#[tokio::test(flavor = "current_thread")]
async fn a_check_has_its_time_and_not_more() {
    let hung = hanging().await;
    let mut slots = Slots::default();
    let short = model::Health { timeout: Duration::from_millis(50), fall: 1, ..settings() };
    let snapshot = snapshot(&mut slots, &[("app", &[hung], Some(short))]);
    let (mut checks, told) = start(&snapshot);
    checks.adopt(&snapshot);
    let slot = snapshot.upstreams[0].endpoints[0].slot;
    until("its fall", || snapshot.board.standing(slot).health() == Health::Down).await;
    assert_eq!(told.recv().unwrap().reason, "a check was bad: nothing that settles it within 50ms");
}

#[tokio::test(flavor = "current_thread")]
async fn a_probe_of_another_port_goes_there_and_a_connection_may_be_enough() {
    let good = answering().await;
    let mut slots = Slots::default();
    let elsewhere = model::Health { port: Some(good.port()), initially_up: false, ..settings() };
    let bare = model::Health { probe: Probe::Tcp, initially_up: false, ..settings() };
    let dead = "127.0.0.1:1".parse().unwrap();
    let snapshot =
        snapshot(&mut slots, &[("a", &[dead], Some(elsewhere)), ("b", &[good], Some(bare)), ("c", &[dead], None)]);
    prepare(&snapshot);
    let health = |place: usize| snapshot.board.standing(snapshot.upstreams[place].endpoints[0].slot).health();
    assert_eq!([health(0), health(1), health(2)], [Health::Down, Health::Down, Health::Unknown]);
    let (mut checks, _told) = start(&snapshot);
    checks.adopt(&snapshot);
    until("both", || health(0) == Health::Up && health(1) == Health::Up).await;
}
