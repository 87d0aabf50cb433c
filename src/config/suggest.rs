//! "Did you mean": the nearest of the accepted words. It refuses to know what the words are for.

use super::report::quote;
use super::report::tick;

/// For a key: the nearest accepted one, else all of them.
pub(super) fn key_advice(written: &str, keys: &[&str]) -> String {
    match nearest(written, keys) {
        Some(key) => format!("did you mean {}?", tick(key)),
        None => format!("accepted keys: {}", list(keys)),
    }
}

/// For a string: the nearest word, else what `otherwise` makes of the list of them.
pub(super) fn advice(written: &str, words: &[&str], otherwise: impl FnOnce(String) -> String) -> String {
    match nearest(written, words) {
        Some(word) => format!("did you mean {}?", quote(word)),
        None => otherwise(list(words)),
    }
}

/// The word that `written` is a part of, or with the fewest edits to it, if these are at most a third of its length; case
/// aside.
fn nearest<'a>(written: &str, words: &[&'a str]) -> Option<&'a str> {
    if written.len() > WORD_BYTES {
        return None;
    }
    let lower = written.to_lowercase();
    let distance = |word: &str| {
        let word = word.to_lowercase();
        let edits = strsim::osa_distance(&lower, &word);
        let near = edits <= word.chars().count().max(3) / 3;
        let part = lower.len() >= PART_BYTES && word.contains(&lower);
        (near || part).then_some(edits)
    };
    words
        .iter()
        .take(WORDS_COMPARED)
        .filter(|word| word.len() <= WORD_BYTES)
        .filter_map(|word| Some((distance(word)?, *word)))
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, word)| word)
}

fn list(words: &[&str]) -> String {
    let shown: Vec<&str> = words.iter().copied().take(WORDS_LISTED).collect();
    match words.len() - shown.len() {
        0 => shown.join(", "),
        left => format!("{} and {left} more", shown.join(", ")),
    }
}

/// Words compared: the cost of advice stays bounded however many upstreams there are.
const WORDS_COMPARED: usize = 1000;
/// Words listed when none is near.
const WORDS_LISTED: usize = 24;
/// Bytes of a word worth comparing.
const WORD_BYTES: usize = 128;
/// Bytes of a part of a word that can only mean this word.
const PART_BYTES: usize = 4;
