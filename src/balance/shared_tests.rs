//! What cores know together, and what follows from it: penalties, ejection, trials, panic, priorities, zones, slow start.

use super::board::Health;
use super::board::Order;
use super::fold::Reason;
use super::plan::Rules;
use super::tests::Stage;
use super::tests::candidates;
use super::*;
use crate::id::EndpointSlot;
use crate::model::Ejection;

const MS: u64 = 1000;
const SECOND: u64 = 1_000_000;

fn slot(place: usize) -> EndpointSlot {
    EndpointSlot(u32::try_from(place).unwrap() + 1)
}

impl Stage {
    /// One good answer after so long, from a core; time passes.
    fn good(&mut self, core: usize, place: usize, took: u64) {
        let flight = self.begin(core, place);
        self.now += took;
        flight.answered(took);
    }

    /// One failure at once.
    fn bad(&mut self, core: usize, place: usize) {
        self.begin(core, place).failed(self.now, None);
    }

    /// Lets time pass, and a core fold.
    fn pass(&mut self, us: u64) {
        self.now += us;
        self.turn(0);
    }

    /// A look that claims no trial.
    fn turn(&mut self, core: usize) {
        let mut tried = Tried::default();
        tried.note(usize::MAX >> 33);
        self.pick_but(core, &tried);
    }

    fn state(&self, place: usize) -> state::State {
        self.ledgers[0].board().state(slot(place), 10 * SECOND, self.now)
    }

    fn shares(&mut self, core: usize, picks: usize, n: usize) -> Vec<usize> {
        let mut counts = vec![0; n];
        (0..picks).for_each(|_| counts[self.pick(core)] += 1);
        counts
    }
}

fn latency(cores: u32, n: usize, rules: Rules) -> Stage {
    let mut stage = Stage::new(cores, rules, candidates(&vec![1; n]), 9);
    for place in 0..n {
        stage.good(0, place, 10 * MS);
    }
    stage.pass(20 * MS);
    stage
}

/// No endpoint is put out.
fn lenient() -> Rules {
    Rules { ejection: Ejection { failures: 0, success_percent: 0, ..Ejection::default() }, ..Rules::default() }
}

#[test]
fn of_equally_fast_ones_each_has_in_flight_what_its_weight_says() {
    let mut stage = Stage::new(1, Rules::default(), candidates(&[1, 3]), 9);
    (0..2).for_each(|place| stage.good(0, place, 10 * MS));
    stage.pass(20 * MS);
    let (mut counts, mut flights) = ([0, 0], Vec::new());
    for _ in 0..80 {
        let place = stage.pick(0);
        flights.push(stage.begin(0, place));
        counts[place] += 1;
    }
    assert_eq!(counts, [20, 60]);
}

#[test]
fn a_core_sees_what_the_others_have_in_flight_after_a_millisecond() {
    let rules = Rules { balance: Balance::LeastRequest, ..Rules::default() };
    let mut stage = Stage::new(2, rules, candidates(&[1, 1]), 4);
    stage.turn(1);
    let _flights: Vec<_> = (0..3).map(|_| stage.begin(0, 0)).collect();
    stage.now += MS + 1;
    assert_eq!(stage.shares(1, 50, 2), [0, 50]);
    let board = stage.ledgers[0].board().clone();
    assert_eq!(board.in_flight(slot(0)), 3);
    board.bury(crate::id::CoreId(0));
    assert_eq!(board.in_flight(slot(0)), 0, "a dead core has nothing in flight");
}

#[test]
fn with_many_cores_and_endpoints_none_is_chosen_on_an_old_word_and_the_rest_is_not_read() {
    let rules = Rules { balance: Balance::LeastRequest, ..Rules::default() };
    let (cores, n) = (64, 33);
    assert_eq!(rules.ages_us(64 * 33), (MS, 2 * MS));
    let mut stage = Stage::new(cores, rules, candidates(&[1; 33]), 4);
    stage.shares(0, 200, n);
    let before = stage.pickers[0].stale_looks();
    assert_eq!(before, 33, "all are known");
    // All but the last get one from another core.
    let _flights: Vec<_> = (0..32).map(|place| stage.begin(1, place)).collect();
    stage.now += MS;
    let last = stage.shares(0, 400, n)[32];
    assert!((150..250).contains(&last), "whenever it is drawn: {last}");
    // Who is known to have more need not be read again while the last is as good as it seems.
    stage.now += MS;
    let before = stage.pickers[0].stale_looks();
    while stage.pick(0) != 32 {}
    assert!(stage.pickers[0].stale_looks() - before < 33);
    stage.now += 2 * MS;
    let before = stage.pickers[0].stale_looks();
    stage.shares(0, 200, n);
    assert_eq!(stage.pickers[0].stale_looks() - before, 33, "but for so long");
}

#[test]
fn what_is_known_is_older_with_more_cores_and_endpoints() {
    let age = |entries| Rules::default().ages_us(entries);
    assert_eq!(age(64 * 20), (MS, MS));
    assert_eq!(age(64 * 32), (MS, MS));
    assert_eq!(age(64 * 100), (MS, 4 * MS));
    assert_eq!(age(64 * 250), (MS, 8 * MS));
    assert_eq!(age(64 * 1000), (4 * MS, 32 * MS));
}

#[test]
fn a_failure_is_seen_by_its_core_at_once_and_by_the_others_within_a_millisecond() {
    let mut stage = latency(2, 4, lenient());
    stage.shares(1, 1, 4);
    stage.now += 2 * MS;
    stage.shares(1, 40, 4);
    stage.bad(0, 2);
    assert_eq!(stage.shares(0, 200, 4)[2], 0);
    stage.now += MS;
    assert_eq!(stage.shares(1, 200, 4)[2], 0);
    let (first, mut before) = (stage.state(2).penalty_us, u64::MAX);
    assert!((4_990_000..=5_001_000).contains(&first), "{first}");
    // It fades: a tenth of it is left after 23 seconds.
    for _ in 0..23 {
        stage.now += SECOND;
        assert!(stage.state(2).penalty_us < before);
        before = stage.state(2).penalty_us;
    }
    assert!((450_000..550_000).contains(&before), "{before}");
}

#[test]
fn a_penalty_of_five_seconds_ends_with_one_request_that_finds_out() {
    let mut stage = latency(1, 2, lenient());
    stage.bad(0, 1);
    stage.now += 4 * SECOND;
    assert_eq!(stage.shares(0, 200, 2)[1], 0, "before its time is over nothing is sent there");
    stage.now += 2 * SECOND;
    // Four wait at the other: the one that is idle now is the better choice, once.
    let busy: Vec<_> = (0..4).map(|_| stage.begin(0, 0)).collect();
    stage.now += MS;
    assert_eq!(stage.pick(0), 1);
    let trial = stage.begin(0, 1);
    drop(busy);
    stage.now += MS;
    assert_eq!(stage.shares(0, 100, 2)[1], 0, "while one finds out no other follows");
    trial.failed(stage.now, None);
    drop(trial);
    stage.now += 4 * SECOND;
    assert_eq!(stage.shares(0, 100, 2)[1], 0, "a failure brings another penalty");
    stage.now += 4 * SECOND;
    stage.good(0, 1, 10 * MS);
    stage.pass(20 * MS);
    stage.good(0, 1, 10 * MS);
    stage.pass(20 * MS);
    let shares = stage.shares(0, 200, 2);
    assert!(shares[1] > 60, "an answer ends it: {shares:?}");
}

#[test]
fn an_endpoint_that_asks_for_time_gets_it_up_to_five_minutes() {
    for (asked, expected) in [(1, 5), (60, 60), (3600, 300)] {
        let stage = latency(1, 2, lenient());
        stage.begin(0, 0).failed(stage.now, Some(std::time::Duration::from_secs(asked)));
        let penalty = stage.state(0).penalty_us;
        assert!(penalty.abs_diff(expected * SECOND) <= expected * MS, "{asked}: {penalty}");
    }
}

#[test]
fn what_its_client_breaks_off_is_neither_good_nor_bad() {
    let stage = latency(1, 2, lenient());
    let before = stage.state(0);
    drop(stage.begin(0, 0));
    let untimed = stage.begin(0, 0);
    untimed.untimed();
    drop(untimed);
    assert_eq!(stage.state(0), before);
}

#[test]
fn a_slow_answer_counts_for_three_means_at_the_most() {
    let mut stage = latency(1, 3, lenient());
    assert_eq!(stage.state(0).mean_us, Some(10_000));
    stage.good(0, 0, 1_000_000);
    stage.pass(11 * MS);
    // After a second the sample weighs 1 - exp(-1.04 / 3): 0.29 of 3 times the mean.
    let mean = stage.state(0).mean_us.unwrap();
    assert!((15_000..17_000).contains(&mean), "{mean}");
}

#[test]
fn who_is_outrun_is_as_slow_as_it_was_waited_for_and_neither_good_nor_bad() {
    let mut stage = latency(1, 3, Rules::default());
    let before = stage.state(0);
    let outrun = |stage: &mut Stage, waited: u64| {
        let (flight, sent) = (stage.begin(0, 0), stage.now);
        stage.now += waited;
        stage.ledgers[0].outrun(slot(0), sent, stage.now);
        drop(flight);
        stage.pass(11 * MS);
        stage.state(0)
    };
    assert_eq!(outrun(&mut stage, 9 * MS), before, "it may still have been as fast as ever");
    (0..4).for_each(|_| stage.bad(0, 0));
    stage.pass(11 * MS);
    let after = outrun(&mut stage, 100 * MS);
    assert!(after.mean_us > Some(10_500) && after.mean_us < Some(30_000), "as an answer of three means: {after:?}");
    assert_eq!((after.failures_in_row, after.bad), (4, before.bad + 4));
    stage.bad(0, 0);
    stage.pass(11 * MS);
    assert!(!stage.state(0).is_eligible(), "the fifth failure in a row");
}

#[test]
fn a_slow_endpoint_is_left_within_half_a_second_and_comes_back_when_idle() {
    let mut stage = latency(1, 4, lenient());
    for _ in 0..40 {
        stage.good(0, 0, 10 * MS);
        for place in 1..4 {
            stage.good(0, place, 2 * MS);
        }
    }
    stage.pass(11 * MS);
    assert_eq!(stage.shares(0, 400, 4)[0], 0, "it is slower");
    // Nobody asks it; its cost comes to the median with time, and then it is as good as any.
    stage.now += 30 * SECOND;
    let shares = stage.shares(0, 400, 4);
    assert!(shares[0] > 60, "{shares:?}");
}

#[test]
fn what_waits_for_long_makes_its_endpoint_dear() {
    let mut stage = latency(1, 2, lenient());
    let waits = [stage.begin(0, 0), stage.begin(0, 1), stage.begin(0, 1)];
    stage.now += 2 * MS;
    assert_eq!(stage.shares(0, 20, 2), [20, 0], "one in flight is less than two");
    drop(waits);
    let stopped = stage.begin(0, 0);
    stage.now += 300 * MS;
    let (fresh, other) = (stage.begin(0, 1), stage.begin(0, 1));
    // (1 + 1) * 0.5 * 300 ms against (2 + 1) * 10 ms.
    assert_eq!(stage.shares(0, 20, 2), [0, 20]);
    // What has its answer's head waits no more: a stream says nothing of how slow its endpoint is.
    stopped.answered(10 * MS);
    stage.now += MS + 1;
    assert_eq!(stage.shares(0, 20, 2), [20, 0]);
    drop((fresh, other));
}

#[test]
fn five_failures_in_a_row_put_an_endpoint_out_and_one_request_brings_it_back() {
    let mut stage = latency(4, 4, Rules::default());
    (0..4).for_each(|core| stage.bad(core, 1));
    stage.pass(11 * MS);
    assert!(stage.state(1).is_eligible(), "four are not enough");
    stage.bad(2, 1);
    stage.pass(11 * MS);
    let state = stage.state(1);
    assert_eq!((state.is_eligible(), state.reason, state.ejections), (false, Some(Reason::Failures), 1));
    let until = state.out_until.unwrap() - stage.now;
    assert!((790 * MS..=1200 * MS).contains(&until), "{until}");
    for core in 0..4 {
        assert_eq!(stage.shares(core, 100, 4)[1], 0);
    }
    stage.now += 1300 * MS;
    // Exactly one of all cores' requests tries it.
    let tries: usize = (0..4).map(|core| stage.shares(core, 100, 4)[1]).sum();
    assert_eq!((tries, stage.state(1).on_trial), (1, true));
    stage.good(3, 1, 10 * MS);
    stage.pass(11 * MS);
    let state = stage.state(1);
    assert!(state.is_eligible() && !state.on_trial && state.penalty_us == 0, "{state:?}");
    assert_eq!(state.share_percent, 10, "it begins slowly");
    stage.pass(5 * SECOND);
    assert!((49..=51).contains(&stage.state(1).share_percent));
}

#[test]
fn a_failed_trial_doubles_the_time_up_to_its_bound() {
    let mut stage = latency(1, 4, Rules::default());
    (0..5).for_each(|_| stage.bad(0, 1));
    stage.pass(11 * MS);
    let mut times = Vec::new();
    for _ in 0..9 {
        let until = stage.state(1).out_until.unwrap();
        times.push(until - stage.now);
        stage.now = until;
        assert_eq!(stage.pick(0), 1);
        stage.bad(0, 1);
        stage.pass(11 * MS);
        assert_eq!(stage.state(1).reason, Some(Reason::Trial));
    }
    for (n, time) in times.iter().enumerate() {
        let middle = (SECOND << n).min(60 * SECOND);
        assert!((middle * 79 / 100..=middle * 12 / 10).contains(time), "{n}: {time}");
    }
}

#[test]
fn a_trial_that_says_nothing_is_made_again() {
    let mut stage = latency(2, 4, Rules::default());
    (0..5).for_each(|_| stage.bad(0, 1));
    stage.pass(11 * MS);
    stage.now += 1300 * MS;
    assert_eq!(stage.pick(0), 1);
    let trial = stage.begin(0, 1);
    assert!((0..50).all(|_| stage.pick(1) != 1));
    drop(trial);
    assert_eq!(stage.pick(1), 1);
}

#[test]
fn a_low_share_of_good_answers_puts_an_endpoint_out() {
    let mut stage = latency(1, 4, Rules::default());
    for n in 0..18 {
        if n % 3 == 0 {
            stage.good(0, 1, MS);
        } else {
            stage.bad(0, 1);
        }
        stage.pass(11 * MS);
    }
    assert!(stage.state(1).is_eligible(), "19 with the first: {:?}", stage.state(1));
    stage.bad(0, 1);
    stage.pass(11 * MS);
    assert_eq!((stage.state(1).is_eligible(), stage.state(1).reason), (false, Some(Reason::Share)));
}

#[test]
fn failures_older_than_ten_seconds_are_forgotten() {
    let mut stage = latency(1, 4, Rules::default());
    for _ in 0..2 {
        for _ in 0..4 {
            (0..3).for_each(|_| stage.bad(0, 1));
            stage.pass(11 * MS);
            stage.good(0, 1, MS);
            stage.pass(11 * MS);
        }
        stage.pass(13 * SECOND);
    }
    assert!(stage.state(1).is_eligible());
}

#[test]
fn no_more_than_half_are_put_out() {
    for (n, most) in [(1, 0), (2, 1), (5, 2), (8, 4)] {
        let mut stage = latency(1, n, Rules::default());
        for place in 0..n {
            (0..5).for_each(|_| stage.bad(0, place));
        }
        stage.pass(11 * MS);
        let out = (0..n).filter(|place| !stage.state(*place).is_eligible()).count();
        assert_eq!(out, most, "of {n}");
    }
}

#[test]
fn with_fewer_than_half_eligible_all_are_taken_but_what_an_operator_took_out() {
    let mut stage = Stage::plain(Balance::LeastRequest, &[1; 6], 8);
    let board = stage.ledgers[0].board().clone();
    (1..4).for_each(|place| board.standing(slot(place)).set_health(Health::Down));
    let shares = stage.shares(0, 600, 6);
    assert_eq!((shares[1..4].iter().sum::<usize>(), board.panics(tests::FLEET)), (0, 0), "half are enough");
    board.standing(slot(4)).set_health(Health::Down);
    board.standing(slot(5)).set_order(Order::Drain);
    board.standing(slot(3)).set_order(Order::Down);
    let shares = stage.shares(0, 600, 6);
    assert!([0, 1, 2, 4].iter().all(|place| shares[*place] > 100), "{shares:?}");
    assert_eq!((shares[3] + shares[5], board.panics(tests::FLEET)), (0, 600));
    board.standing(slot(1)).set_health(Health::Up);
    board.standing(slot(2)).set_health(Health::Up);
    let shares = stage.shares(0, 600, 6);
    assert_eq!((shares[3] + shares[4] + shares[5], board.panics(tests::FLEET)), (0, 600), "{shares:?}");
}

#[test]
fn panic_is_what_the_rules_say_it_is() {
    for (percent, down, panic) in
        [(90, 1, false), (90, 2, true), (72, 2, false), (72, 3, true), (100, 1, true), (50, 5, false)]
    {
        let rules = Rules { balance: Balance::LeastRequest, panic_percent: percent, ..Rules::default() };
        let mut stage = Stage::new(1, rules, candidates(&[1; 10]), 8);
        let board = stage.ledgers[0].board().clone();
        (0..down).for_each(|place| board.standing(slot(place)).set_health(Health::Down));
        let shares = stage.shares(0, 1000, 10);
        assert_eq!(shares[..down].iter().any(|share| *share > 0), panic, "{percent}, {down}: {shares:?}");
        assert_eq!(board.panics(tests::FLEET) > 0, panic);
        assert_eq!(board.in_panic(&stage.pickers[0].plan), if panic { vec![0] } else { vec![] });
    }
}

#[test]
fn where_another_priority_makes_up_for_it_there_is_no_panic() {
    // Percent, how many of the ten of each of two priorities are down, and which of these are in panic.
    for (percent, down, panic) in [
        (90, [2, 0], vec![]),
        (50, [10, 0], vec![]),
        (50, [6, 4], vec![]),
        (50, [6, 6], vec![0, 1]),
        (90, [2, 10], vec![0]),
    ] {
        let mut members = candidates(&[1; 20]);
        members[10..].iter_mut().for_each(|backup| backup.priority = 1);
        let rules = Rules { balance: Balance::LeastRequest, panic_percent: percent, ..Rules::default() };
        let stage = Stage::new(1, rules, members, 8);
        let board = stage.ledgers[0].board();
        let places = (0..down[0]).chain(10..10 + down[1]);
        places.for_each(|place| board.standing(slot(place)).set_health(Health::Down));
        assert_eq!(board.in_panic(&stage.pickers[0].plan), panic, "{percent}, {down:?}");
    }
}

#[test]
fn without_panic_nobody_is_nobody() {
    let rules = Rules { panic_percent: 0, ..Rules::default() };
    let mut stage = Stage::new(1, rules, candidates(&[1, 1]), 8);
    let board = stage.ledgers[0].board().clone();
    (0..2).for_each(|place| board.standing(slot(place)).set_health(Health::Down));
    assert_eq!(stage.pick_but(0, &Tried::default()), None);
    board.standing(slot(1)).set_health(Health::Up);
    assert_eq!(stage.pick(0), 1);
}

#[test]
fn backups_take_what_the_first_cannot_carry() {
    let mut members = candidates(&[1; 20]);
    members[10..].iter_mut().for_each(|backup| backup.priority = 1);
    let rules = Rules { balance: Balance::LeastRequest, ..Rules::default() };
    let mut stage = Stage::new(1, rules, members, 8);
    let board = stage.ledgers[0].board().clone();
    let backups = |stage: &mut Stage, down: usize| {
        (0..10).for_each(|place| {
            let health = if place < down { Health::Down } else { Health::Up };
            board.standing(slot(place)).set_health(health);
        });
        let shares = stage.shares(0, 10_000, 20);
        assert_eq!(shares[..down].iter().sum::<usize>(), 0, "{down}: {shares:?}");
        shares[10..].iter().sum::<usize>()
    };
    assert_eq!(backups(&mut stage, 0), 0);
    assert_eq!(backups(&mut stage, 2), 0, "eight of ten are 1.12 of what is needed");
    let spilt = backups(&mut stage, 5);
    assert!((2700..3300).contains(&spilt), "5 * 1.4 leaves 30 %: {spilt}");
    assert_eq!(backups(&mut stage, 10), 10_000);
    assert_eq!(board.panics(tests::FLEET), 0);
}

#[test]
fn the_own_zone_is_preferred_while_it_is_no_busier() {
    let mut members = candidates(&[1; 8]);
    members[..4].iter_mut().for_each(|near| near.near = true);
    let rules = Rules { balance: Balance::LeastRequest, ..Rules::default() };
    let mut stage = Stage::new(1, rules, members, 8);
    let far = |shares: &[usize]| shares[4..].iter().sum::<usize>();
    let shares = stage.shares(0, 10_000, 8);
    assert!((220..380).contains(&far(&shares)), "3 %: {shares:?}");
    let mut flights: Vec<_> =
        (4..8).flat_map(|place| (0..10).map(move |_| place)).map(|place| stage.begin(0, place)).collect();
    // 11 at each of the own against 10: just within.
    flights.extend((0..4).flat_map(|place| (0..11).map(move |_| place)).map(|place| stage.begin(0, place)));
    stage.now += 2 * MS;
    let shares = stage.shares(0, 10_000, 8);
    assert!((220..380).contains(&far(&shares)), "{shares:?}");
    flights.push(stage.begin(0, 0));
    stage.now += 2 * MS;
    let shares = stage.shares(0, 1000, 8);
    assert!(far(&shares) > 900, "they are less busy: {shares:?}");
}

#[test]
fn who_joins_begins_with_a_tenth_unless_most_are_new() {
    let rules = || Rules { balance: Balance::Random, ..Rules::default() };
    let mut stage = Stage::new(1, rules(), candidates(&[1; 4]), 8);
    stage.pass(20 * MS);
    let shares = stage.shares(0, 4000, 4);
    assert!(shares.iter().all(|share| (800..1200).contains(share)), "the process's start is no joining: {shares:?}");
    let join = |stage: &mut Stage, n: usize| {
        let plan = Arc::new(Plan::new(rules(), candidates(&vec![1; n])));
        let picker = Picker::bind(&stage.ledgers[0], tests::FLEET, &plan, Some(&stage.pickers[0]), &stage.rng);
        stage.pickers[0] = picker;
        stage.pass(20 * MS);
        stage.pass(20 * MS);
    };
    join(&mut stage, 6);
    let shares = stage.shares(0, 42_000, 6);
    assert!(shares[4..].iter().all(|share| (800..1200).contains(share)), "a tenth each: {shares:?}");
    stage.pass(5 * SECOND);
    let shares = stage.shares(0, 50_000, 6);
    assert!(shares[4..].iter().all(|share| (4500..5500).contains(share)), "half of it after half the time: {shares:?}");
    stage.pass(6 * SECOND);
    join(&mut stage, 20);
    let shares = stage.shares(0, 20_000, 20);
    assert!(shares.iter().all(|share| (800..1200).contains(share)), "most are new: {shares:?}");
}

#[test]
fn an_operators_weight_stands_for_the_configurations() {
    let mut stage = Stage::plain(Balance::Random, &[1, 1, 2], 8);
    let shares = stage.shares(0, 4000, 3);
    assert!(shares[2].abs_diff(2000) < 200, "{shares:?}");
    stage.ledgers[0].board().standing(slot(0)).set_weight(Some(5));
    let shares = stage.shares(0, 8000, 3);
    assert!(shares[0].abs_diff(5000) < 300 && shares[2].abs_diff(2000) < 300, "{shares:?}");
    stage.ledgers[0].board().standing(slot(0)).set_weight(None);
    let shares = stage.shares(0, 4000, 3);
    assert!(shares[0].abs_diff(1000) < 200, "{shares:?}");
}

#[test]
fn a_client_stays_where_its_cookie_says_until_that_is_down() {
    let mut stage = Stage::plain(Balance::LeastRequest, &[1; 3], 8);
    let board = stage.ledgers[0].board().clone();
    let _busy = stage.begin(0, 1);
    let stays = |stage: &mut Stage, tried: &Tried| {
        let ask = Ask { tried, key: None, sticky: Some(1) };
        (0..20).all(|_| stage.pickers[0].pick(&ask, stage.now, &stage.rng) == Some(1))
    };
    assert!(stays(&mut stage, &Tried::default()));
    board.standing(slot(1)).set_order(Order::Drain);
    assert!(stays(&mut stage, &Tried::default()), "who is there may stay");
    let mut tried = Tried::default();
    tried.note(1);
    assert!(!stays(&mut stage, &tried));
    board.standing(slot(1)).set_order(Order::Down);
    assert!(!stays(&mut stage, &Tried::default()));
    board.standing(slot(1)).set_order(Order::Ready);
    board.standing(slot(1)).set_health(Health::Down);
    assert!(!stays(&mut stage, &Tried::default()));
}

#[test]
fn who_reports_itself_busy_is_left_alone() {
    let mut stage = latency(1, 3, Rules { reports: true, ..Rules::default() });
    for (place, strain) in [(0, 0.9_f32), (1, 0.3), (2, 0.3)] {
        let report = orca::Report { cpu_utilization: strain, ..orca::Report::default() };
        stage.ledgers[0].reported(slot(place), &report, stage.now);
    }
    stage.pass(11 * MS);
    stage.pass(11 * MS);
    assert_eq!(stage.shares(0, 100, 3)[0], 0);
    stage.pass(11 * SECOND);
    stage.pass(11 * MS);
    assert!(stage.shares(0, 300, 3)[0] > 50, "a report is believed for ten seconds");
}
