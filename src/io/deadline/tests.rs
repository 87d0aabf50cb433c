//! The wheel against a clock of its own: never early, never more than three ticks late, whatever is armed in between.

use std::io::Read;
use std::net::Shutdown;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;
use std::time::Instant;

use proptest::prelude::*;

use super::*;

fn wheel() -> (Rc<Wheel>, Instant) {
    let start = Instant::now();
    (Rc::new(Wheel::new(start)), start)
}

#[test]
fn a_deadline_ends_reads_of_its_socket() {
    let (wheel, start) = wheel();
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let deadline = Deadline::of(&wheel, ours.as_raw_fd());
    deadline.arm(Duration::from_millis(200), Cut::Read);
    wheel.advance(start + Duration::from_millis(190));
    assert!(!deadline.fired());
    wheel.advance(start + Duration::from_millis(320));
    assert!(deadline.fired());
    assert_eq!(ours.read(&mut [0; 8]).unwrap(), 0, "the read sees the end");
    drop(theirs);
}

#[test]
fn a_disarmed_deadline_does_nothing() {
    let (wheel, start) = wheel();
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let deadline = Deadline::of(&wheel, ours.as_raw_fd());
    deadline.arm(Duration::from_millis(200), Cut::Both);
    deadline.disarm();
    wheel.advance(start + Duration::from_secs(60));
    assert!(!deadline.fired());
    std::io::Write::write_all(&mut &theirs, b"x").unwrap();
    theirs.shutdown(Shutdown::Write).unwrap();
    assert_eq!(ours.read(&mut [0; 8]).unwrap(), 1);
}

#[test]
fn draining_cuts_only_what_waits_idly() {
    let (wheel, _) = wheel();
    let (idle, _a) = UnixStream::pair().unwrap();
    let (busy, _b) = UnixStream::pair().unwrap();
    let (other, _c) = UnixStream::pair().unwrap();
    let [first, second, third] = [&idle, &busy, &other].map(|socket| Deadline::of(&wheel, socket.as_raw_fd()));
    first.is_of(7);
    second.is_of(7);
    first.arm_idle(Duration::from_secs(60));
    second.arm(Duration::from_secs(60), Cut::Read);
    third.arm_idle(Duration::from_secs(60));
    wheel.cut_idle(|kin| kin == 7);
    let waits = |mut socket: &UnixStream| {
        socket.set_nonblocking(true).unwrap();
        socket.read(&mut [0; 8]).is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
    };
    assert_eq!([waits(&idle), waits(&busy), waits(&other)], [false, true, true]);
    assert_eq!([&first, &second, &third].map(Deadline::cut_short), [true, false, false]);
    wheel.cut_idle(|_| true);
    assert_eq!([waits(&busy), waits(&other)], [true, false]);
}

#[test]
fn a_place_is_given_back_and_its_old_deadline_does_not_fire_for_the_new_owner() {
    let (wheel, start) = wheel();
    let (socket, _other) = UnixStream::pair().unwrap();
    let old = Deadline::of(&wheel, socket.as_raw_fd());
    old.arm(Duration::from_millis(100), Cut::Both);
    drop(old);
    let new = Deadline::of(&wheel, socket.as_raw_fd());
    new.arm(Duration::from_secs(10), Cut::Both);
    assert_eq!(wheel.len(), 1);
    wheel.advance(start + Duration::from_secs(1));
    assert!(!new.fired());
    drop(new);
    assert!(wheel.is_empty());
}

/// What is done with one of many.
#[derive(Clone, Copy, Debug)]
enum Act {
    Arm(u64),
    Disarm,
    Drop,
}

fn acts() -> impl Strategy<Value = Vec<(usize, Act, u64)>> {
    let act = prop_oneof![4 => (0_u64..40_000).prop_map(Act::Arm), 1 => Just(Act::Disarm), 1 => Just(Act::Drop)];
    prop::collection::vec((0..5_usize, act, 0_u64..200), 1..60)
}

proptest! {
    #[test]
    fn of_many_each_fires_in_its_time_and_stands_in_one_slot_whatever_the_others_do(acts in acts()) {
        let (wheel, start) = wheel();
        let (socket, _other) = UnixStream::pair().unwrap();
        let fresh = || Deadline::of(&wheel, socket.as_raw_fd());
        let mut all: Vec<_> = (0..5).map(|_| (fresh(), None)).collect();
        let mut now = start;
        for (one, act, ticks) in acts {
            let (deadline, armed) = &mut all[one];
            match act {
                Act::Arm(after) => {
                    let after = Duration::from_millis(after);
                    deadline.arm(after, Cut::Read);
                    *armed = Some((now, after));
                }
                Act::Disarm => {
                    deadline.disarm();
                    *armed = None;
                }
                Act::Drop => (*deadline, *armed) = (fresh(), None),
            }
            for _ in 0..ticks {
                now += TICK;
                wheel.advance(now);
            }
            prop_assert!(wheel.standing() <= all.len(), "{} stand in slots", wheel.standing());
            for (deadline, armed) in &all {
                let Some((since, after)) = armed else { continue };
                let passed = now - *since;
                let in_time = if deadline.fired() { passed >= *after } else { passed <= *after + 3 * TICK };
                prop_assert!(in_time, "{passed:?} of {after:?}");
            }
        }
        drop(all);
        prop_assert_eq!(wheel.standing(), 0);
    }

    #[test]
    fn never_early_and_at_most_three_ticks_late(
        steps in prop::collection::vec((0_u64..90_000, 1_u64..400, 0_u64..50), 1..40)
    ) {
        let (wheel, start) = wheel();
        let (socket, _other) = UnixStream::pair().unwrap();
        let deadline = Deadline::of(&wheel, socket.as_raw_fd());
        let mut now = start;
        for (after, step, since) in steps {
            // Armed between two looks of the wheel, which come a tick apart.
            now += Duration::from_millis(since);
            let armed = now;
            deadline.arm(Duration::from_millis(after), Cut::Read);
            // Look on for a few steps, then arm anew, earlier or later.
            for _ in 0..3 {
                now += Duration::from_millis(step * 3);
                wheel.advance(now);
                // The wheel knows the time by ticks: an arming counts from the tick that was under way.
                let passed = now - armed;
                if deadline.fired() {
                    prop_assert!(passed >= Duration::from_millis(after), "{passed:?} before {after} ms");
                } else {
                    prop_assert!(passed <= Duration::from_millis(after) + 3 * TICK, "{passed:?} without {after} ms");
                }
            }
        }
    }
}

#[test]
fn what_is_armed_at_the_end_of_a_tick_that_was_looked_at_late_is_not_early() {
    for (looked, after) in [(0, 100), (49, 100), (49, 120), (50, 50), (99, 1000)] {
        let (wheel, start) = wheel();
        let deadline = Deadline::lasting(&wheel, 0);
        let at = |ms| start + Duration::from_millis(ms);
        wheel.advance(at(looked));
        // The next look would come a tick later: the moment before that.
        let armed = looked + 49;
        deadline.arm_look(Duration::from_millis(after));
        let fired = (armed..armed + after + 200).find(|ms| {
            wheel.advance(at(*ms));
            deadline.fired()
        });
        assert!(fired.is_some_and(|ms| (after..=after + 150).contains(&(ms - armed))), "{looked} {after}: {fired:?}");
    }
}

#[test]
fn an_end_that_a_deadline_made_stays_its_own_when_it_is_armed_again() {
    let (ours, _theirs) = UnixStream::pair().unwrap();
    let (wheel, start) = wheel();
    let deadline = Deadline::of(&wheel, ours.as_raw_fd());
    deadline.arm(TICK, Cut::Read);
    wheel.advance(start + TICK * 10);
    assert!(deadline.fired());
    // Bytes had come in that moment; the next read is armed anew, and sees the end that was made here.
    deadline.arm(TICK, Cut::Read);
    assert!(deadline.severed(), "our own end is taken for the other side's");
}

/// Turns the wheel tick by tick until the deadline fires, at most `most` milliseconds after `start`; says when it did.
fn fires(wheel: &Wheel, deadline: &Deadline, (start, from): (Instant, u64), most: u64) -> Option<u64> {
    (from..=most).step_by(50).find(|at| {
        wheel.advance(start + Duration::from_millis(*at));
        deadline.fired()
    })
}

#[test]
fn what_lasts_ends_at_its_place_within_a_drain_however_busy_it_is() {
    for (lot, at) in [(1, 1000), (1 << 30, 3500), (1 << 31, 6000), (u32::MAX, 10_950)] {
        let (wheel, start) = wheel();
        let busy = Deadline::lasting(&wheel, lot);
        let other = Deadline::lasting(&wheel, u32::MAX);
        let idle = Deadline::lasting(&wheel, u32::MAX);
        let plain = Deadline::of(&wheel, 0);
        idle.postpone(Duration::from_secs(2));
        busy.postpone(Duration::from_secs(300));
        plain.arm_wake(Duration::from_secs(300));
        wheel.advance(start + Duration::from_secs(1));
        wheel.drain(start + Duration::from_secs(11));
        // Begun within the drain: it has its place in it all the same.
        other.postpone(Duration::from_secs(300));
        let mut fired = None;
        for now in (1000..=12_000).step_by(50) {
            wheel.advance(start + Duration::from_millis(now));
            if fired.is_none() && busy.fired() {
                fired = Some(now);
            }
            busy.postpone(Duration::from_secs(300));
            assert!(!idle.fired() || now >= 2000, "a drain makes no haste with what ends by itself");
        }
        let fired = fired.expect("an end within the drain");
        assert!((at..=at + 100).contains(&fired), "{lot}: {fired}, not {at}");
        assert!(busy.drained() && other.drained() && other.fired());
        assert!(idle.fired() && !plain.fired() && !plain.drained());
    }
}

#[test]
fn what_lasts_fires_like_any_other_without_a_drain() {
    let (wheel, start) = wheel();
    let deadline = Deadline::lasting(&wheel, 7);
    deadline.postpone(Duration::from_secs(2));
    assert_eq!(fires(&wheel, &deadline, (start, 0), 1900), None);
    deadline.postpone(Duration::from_secs(2));
    let fired = fires(&wheel, &deadline, (start, 1900), 10_000).unwrap();
    assert!((3900..=4100).contains(&fired), "{fired}");
    assert!(!deadline.drained());
}

#[test]
fn whoever_waits_is_woken_however_often_the_deadline_was_postponed() {
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;
    use std::sync::atomic::Ordering::Relaxed;
    struct Flag(AtomicBool);
    impl std::task::Wake for Flag {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Relaxed);
        }
    }
    let (wheel, start) = wheel();
    let deadline = Deadline::lasting(&wheel, 7);
    deadline.postpone(Duration::from_millis(500));
    let flag = Arc::new(Flag(AtomicBool::new(false)));
    let waker = Waker::from(flag.clone());
    let mut wait = pin!(deadline.wait());
    assert!(wait.as_mut().poll(&mut std::task::Context::from_waker(&waker)).is_pending());
    for at in 1..=10 {
        wheel.advance(start + Duration::from_millis(at * 100));
        deadline.postpone(Duration::from_millis(500));
    }
    assert!(!flag.0.load(Relaxed));
    wheel.advance(start + Duration::from_secs(2));
    assert!(flag.0.load(Relaxed), "the waker is gone");
    assert!(wait.as_mut().poll(&mut std::task::Context::from_waker(&waker)).is_ready());
}
