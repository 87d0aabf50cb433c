//! A core that is behind gets the newest of everything and no socket is lost or stale.

use std::net::SocketAddr;
use std::net::TcpListener;
use std::time::Duration;

use super::*;
use crate::admin::fixture;
use crate::id::CoreId;
use crate::model::Model;
use crate::shard::mailbox::Drill;
use crate::shard::mailbox::Inbox;
use crate::shard::mailbox::MESSAGES;
use crate::shard::mailbox::Mailbox;
use crate::snapshot::slots::Slots;

fn full() -> (Post, Inbox) {
    let (mailbox, inbox) = Mailbox::open().unwrap();
    for _ in 0..MESSAGES {
        mailbox.post(Message::Drill(Drill::Core)).unwrap();
    }
    (Post::new(CoreLink { id: CoreId(0), mailbox, slab: Arc::default() }), inbox)
}

/// The names that listen in a model, and a socket for one of them.
fn step(slots: &mut Slots, names: &[&str], opened: &str) -> (Arc<Snapshot>, Vec<Opened>) {
    let listeners = names.iter().map(|name| fixture::listener(name, "127.0.0.1:0")).collect();
    let snapshot = Arc::new(Snapshot::compile(Model { listeners, ..fixture::model() }, slots));
    let slot = snapshot.listeners.iter().find(|listener| listener.settings.name == opened).unwrap().slot;
    let socket = TcpListener::bind("127.0.0.1:0").unwrap().into();
    (snapshot, vec![Opened { slot, address: "127.0.0.1:0".parse().unwrap(), socket }])
}

fn local(own: &Opened) -> SocketAddr {
    TcpListener::from(own.socket.try_clone().unwrap()).local_addr().unwrap()
}

#[test]
fn a_full_core_gets_the_newest_snapshot_with_every_socket_that_is_still_meant() {
    let mut slots = Slots::default();
    let (mut post, inbox) = full();
    let (first, opened) = step(&mut slots, &["a", "b", "c"], "a");
    let stays = local(&opened[0]);
    post.publish(first, opened);
    let (second, opened) = step(&mut slots, &["a", "b", "c"], "b");
    post.publish(second, opened);
    let (third, opened) = step(&mut slots, &["a", "c"], "c");
    post.publish(third, opened);
    let (fourth, opened) = step(&mut slots, &["a", "c"], "c");
    let newest = local(&opened[0]);
    post.publish(fourth.clone(), opened);
    post.drain(Instant::now() + Duration::from_secs(9));
    post.stop();
    assert!(post.owes());
    for _ in 0..MESSAGES {
        assert!(matches!(inbox.take(), Some(Message::Drill(_))));
    }
    assert!(inbox.take().is_none());
    post.flush();
    assert!(!post.owes());
    let Some(Message::Publish { snapshot, opened }) = inbox.take() else { panic!("no snapshot") };
    assert_eq!(snapshot.sequence, 4);
    let slots: Vec<_> = opened.iter().map(|own| (own.slot, local(own))).collect();
    assert_eq!(slots, [(fourth.listeners[0].slot, stays), (fourth.listeners[1].slot, newest)]);
    assert!(matches!(inbox.take(), Some(Message::Drain { .. })));
    assert!(matches!(inbox.take(), Some(Message::Stop)));
    assert!(inbox.take().is_none());
}

#[test]
fn a_start_succeeds_waits_or_fails_with_a_reason() {
    let (mailbox, inbox) = Mailbox::open().unwrap();
    let post = Post::new(CoreLink { id: CoreId(3), mailbox, slab: Arc::default() });
    assert_eq!(post.started(1), Ok(false));
    inbox.set_stage(Stage::Serving);
    assert_eq!(post.started(1), Ok(false));
    inbox.acknowledge(1);
    assert_eq!(post.started(1), Ok(true));
    // What it says of an earlier death is no fault of this start.
    inbox.set_report(|report| report.fault = "no ring".into());
    assert_eq!(post.started(1), Ok(true));
    assert!(!post.ended());
    inbox.set_stage(Stage::Starting);
    assert_eq!(post.started(1), Err("core 3 could not start: no ring".into()));
    assert!(post.ended());
    inbox.set_stage(Stage::Ended);
    inbox.set_report(|report| report.fault.clear());
    assert_eq!(post.started(1), Err("core 3 ended before it served".into()));
    assert!(post.ended());
}
