//! The protocol of turns (`src/balance/turn.rs`) under loom: all orders in which threads may run, and all that the rules of
//! memory let them see, up to a bound of preemptions. The file itself is taken in, with loom's words in the place of the
//! standard library's.

#[allow(dead_code, reason = "the protocol's file is whole here, and not all of it is called")]
#[path = "../../src/balance/turn.rs"]
mod turn;

/// What `src/balance/word.rs` is in the product.
mod word {
    pub(super) use loom::sync::atomic::AtomicU64;
    pub(super) use loom::sync::atomic::Ordering;
}

use loom::model::Builder;
use loom::sync::Arc;
use loom::thread;

use turn::Taken;
use turn::Turn;
use turn::Words;

const BEAT: u64 = 1024;
const PERIOD: u64 = 10 * BEAT;

#[derive(Default)]
struct Fleet {
    turn: Turn,
    words: Words<2>,
}

fn check(bound: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(bound);
    builder.check(model);
}

/// One turn of a core: both words go up by one.
fn fold(fleet: &Fleet, now: u64) -> Option<Taken> {
    let taken = fleet.turn.take(now, PERIOD)?;
    let (words, _) = fleet.words.read::<2>().expect("the turn before was whole");
    fleet.words.write(taken, &[words[0] + 1, words[1] + 1]);
    assert!(fleet.turn.end(taken), "nobody was silent for long");
    Some(taken)
}

#[test]
fn a_turn_sees_all_that_the_turns_before_it_wrote() {
    check(3, || {
        let fleet = Arc::new(Fleet::default());
        let cores: Vec<_> = [1, 2]
            .map(|n| {
                let fleet = fleet.clone();
                thread::spawn(move || usize::from(fold(&fleet, n * 20 * BEAT).is_some()))
            })
            .into_iter()
            .collect();
        let turns: usize = cores.into_iter().map(|core| core.join().unwrap()).sum();
        let (words, _) = fleet.words.read::<2>().unwrap();
        assert_eq!(words, [turns as u64; 2], "a turn was lost");
        assert!(turns >= 1);
    });
}

#[test]
fn a_reader_that_sees_the_end_of_a_turn_has_its_words_whole_or_newer() {
    check(3, || {
        let fleet = Arc::new(Fleet::default());
        let writer = {
            let fleet = fleet.clone();
            thread::spawn(move || {
                fold(&fleet, 20 * BEAT).unwrap();
                fold(&fleet, 40 * BEAT).unwrap();
            })
        };
        let mut seen = 0;
        for _ in 0..2 {
            if let Some(news) = fleet.turn.news(seen) {
                seen = news;
                let turn = news >> 1 & 0xffff;
                // Words of two turns are not taken: then the next look will have them.
                if let Some((words, tag)) = fleet.words.read::<2>() {
                    assert_eq!(words[0], words[1]);
                    assert_eq!(words[0], tag, "a word has the number of another turn");
                    assert!(tag >= turn, "turn {turn} was over, and the words of {tag} are read");
                }
            }
        }
        writer.join().unwrap();
        let news = fleet.turn.news(seen).unwrap_or(seen);
        assert_eq!((news >> 1 & 0xffff, fleet.words.read::<2>()), (2, Some(([2, 2], 2))));
    });
}

#[test]
fn a_reader_that_sees_the_end_of_a_turn_sees_its_words() {
    check(3, || {
        let fleet = Arc::new(Fleet::default());
        let reader = {
            let fleet = fleet.clone();
            thread::spawn(move || {
                let news = fleet.turn.news(0)?;
                Some((news, fleet.words.read::<2>()))
            })
        };
        let taken = fleet.turn.take(20 * BEAT, PERIOD).unwrap();
        fleet.words.write(taken, &[1, 1]);
        assert!(fleet.turn.end(taken));
        if let Some((_, words)) = reader.join().unwrap() {
            assert_eq!(words, Some(([1, 1], 1)), "the turn was over");
        }
    });
}

#[test]
fn one_of_two_takes_a_turn() {
    check(3, || {
        let fleet = Arc::new(Fleet::default());
        let other = {
            let fleet = fleet.clone();
            thread::spawn(move || fleet.turn.take(20 * BEAT, PERIOD).is_some())
        };
        let own = fleet.turn.take(20 * BEAT, PERIOD).is_some();
        assert!(own != other.join().unwrap(), "both or none");
    });
}

#[test]
fn what_a_core_writes_that_was_stopped_and_lost_its_turn_is_never_taken_in_part() {
    check(3, || {
        let fleet = Arc::new(Fleet::default());
        let stopped = fleet.turn.take(20 * BEAT, PERIOD).unwrap();
        let stopped = {
            let fleet = fleet.clone();
            thread::spawn(move || {
                if fleet.turn.holds(stopped) {
                    fleet.words.write(stopped, &[71, 72]);
                }
                fleet.turn.end(stopped)
            })
        };
        let other = {
            let fleet = fleet.clone();
            thread::spawn(move || {
                let taken = fleet.turn.take(20 * BEAT + 60_000, PERIOD)?;
                fleet.words.write(taken, &[81, 82]);
                fleet.turn.end(taken).then_some(())
            })
        };
        if let Some((words, tag)) = fleet.words.read::<2>() {
            assert!([([0, 0], 0), ([71, 72], 1), ([81, 82], 2)].contains(&(words, tag)), "{words:?} of {tag}");
        }
        let ended = stopped.join().unwrap();
        let taken = other.join().unwrap();
        // The second took over, or came when the first was over: in both cases the last word on the turn is its own.
        assert!(ended || taken.is_some(), "nobody ended a turn");
        if let Some((words, tag)) = fleet.words.read::<2>() {
            assert!([([71, 72], 1), ([81, 82], 2)].contains(&(words, tag)), "{words:?} of {tag}");
        }
        assert!(fleet.turn.news(0).is_some(), "a turn stays taken");
    });
}
