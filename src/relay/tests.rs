//! How long a side is waited for, by a clock of the test's own; and how much room its pieces have.

use super::*;

const IDLE: Duration = Duration::from_secs(30);

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[test]
fn a_side_that_keeps_its_rate_is_waited_for_without_end() {
    let mut pace = Pace::new(IDLE, 100);
    for _ in 0..10_000 {
        assert!(pace.patience() >= limits::RATE_GRACE);
        pace.waited(seconds(1), 100);
        assert!(!pace.is_spent());
    }
}

#[test]
fn a_side_that_drips_has_the_grace_and_what_it_earned() {
    let mut pace = Pace::new(IDLE, 100);
    let mut time = 0;
    while !pace.is_spent() {
        assert!(pace.patience() > Duration::ZERO);
        pace.waited(seconds(1), 50);
        time += 1;
    }
    assert_eq!(time, 20, "half the rate doubles the grace");
}

#[test]
fn what_was_earned_is_waited_for_but_never_longer_than_a_pause_may_be() {
    let mut pace = Pace::new(IDLE, 1);
    assert_eq!(pace.patience(), limits::RATE_GRACE);
    pace.waited(seconds(4), 5);
    assert_eq!(pace.patience(), seconds(11));
    pace.waited(seconds(0), 1_000_000);
    assert_eq!(pace.patience(), IDLE);
    assert_eq!(Pace::new(seconds(2), 1).patience(), seconds(2));
}

#[test]
fn no_rate_is_no_bound() {
    let mut pace = Pace::new(IDLE, 0);
    for _ in 0..1_000 {
        pace.waited(seconds(29), 1);
    }
    assert!(!pace.is_spent());
    assert_eq!(pace.patience(), IDLE);
}

#[test]
fn a_side_that_waits_for_leave_is_not_counted_before_its_first_byte() {
    let mut pace = Pace::new(IDLE, 100).from_first_byte();
    assert_eq!(pace.patience(), IDLE);
    pace.waited(seconds(25), 0);
    pace.waited(seconds(25), 1);
    assert!(!pace.is_spent());
    pace.waited(seconds(9), 0);
    assert!(!pace.is_spent());
    pace.waited(seconds(2), 0);
    assert!(pace.is_spent());
}

/// A write that waits for room while the other side takes `step` bytes a second of what it holds: for how long?
fn stalled(pace: &mut Pace, mut held: u64, step: u64, most: u64) -> u64 {
    let mut look = pace.patience().min(pace.glance());
    let mut time = Duration::ZERO;
    while time.as_secs() < most {
        time += look;
        held = held.saturating_sub(step * u64::try_from(look.as_millis()).unwrap() / 1000);
        match pace.look(time, held) {
            Some(more) => look = more,
            None => break,
        }
    }
    u64::try_from(time.as_millis() + 500).unwrap() / 1000
}

#[test]
fn a_reader_of_what_the_kernel_holds_makes_progress() {
    let mut pace = Pace::new(seconds(40), 240);
    pace.waited(seconds(0), 4_000_000);
    assert_eq!(stalled(&mut pace, 3_000_000, 3_000, 900), 900);
}

#[test]
fn a_reader_that_stops_is_given_up_after_a_pause() {
    let mut pace = Pace::new(seconds(40), 0);
    pace.waited(seconds(0), 3_000_000);
    assert_eq!(stalled(&mut pace, 3_000_000, 0, 900), 40);
    let mut pace = Pace::new(seconds(40), 0);
    pace.waited(seconds(0), 3_000_000);
    assert_eq!(stalled(&mut pace, 2_000_000, 0, 900), 50, "the first look cannot tell when it was that it took some");
}

#[test]
fn a_reader_below_the_rate_is_given_up_however_much_the_kernel_holds_for_it() {
    let mut pace = Pace::new(seconds(40), 240);
    pace.waited(seconds(0), 3_000_000);
    let time = stalled(&mut pace, 3_000_000, 120, 900);
    assert!((20..=30).contains(&time), "{time}");
}

#[test]
fn a_write_that_went_on_begins_a_new_pause() {
    let mut pace = Pace::new(seconds(40), 0);
    for _ in 0..100 {
        pace.waited(seconds(39), 1);
        assert_eq!(pace.look(seconds(39), 100), Some(seconds(1)));
    }
    assert_eq!(pace.look(seconds(40), 100), None);
}

#[test]
fn room_follows_what_comes_and_goes() {
    let rooms = |first: u64, brisk: bool, turns: &[(usize, bool)]| {
        let mut room = Room::after(first);
        turns
            .iter()
            .map(|(read, stalled)| {
                room.adapt(*read, *stalled, brisk);
                room.bytes()
            })
            .collect::<Vec<_>>()
    };
    let run = |first, turns: &[(usize, bool)]| rooms(first, false, turns);
    let [drip, short, long, longest, brisk] = ROOMS;
    assert_eq!(run(0, &[(short, false), (long, false), (longest, false)]), [long, longest, longest]);
    assert_eq!(run(16_000, &[(long, false), (60_000, false)]), [longest, longest]);
    assert_eq!(run(16_000, &[(long, true), (short, true), (short, false)]), [short, short, long]);
    assert_eq!(run(0, &[(5, false), (5, true), (5, false), (drip, false)]), [drip, drip, drip, short]);
    assert_eq!(run(0, &[(5_000, false), (5_000, true)]), [short, short]);
    assert_eq!(rooms(16_000, true, &[(long, false), (longest, false), (brisk, false)]), [longest, brisk, brisk]);
    assert_eq!(rooms(16_000, true, &[(long, true), (short, false), (long, false)]), [short, long, longest]);
    let mut room = Room(ROOMS.len() - 1);
    room.adapt(brisk / 2, false, false);
    assert_eq!(room.bytes(), longest, "whoever is brisk no more gives it back");
}
