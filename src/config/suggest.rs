//! "Did you mean": the nearest of the accepted words. It refuses to know what the words are for.

/// `did you mean …?` when one of the words is near, else the list of what is accepted.
pub(super) fn advice<'a>(written: &str, words: impl Iterator<Item = &'a str> + Clone, accepted: &str) -> String {
    match nearest(written, words.clone().take(WORDS_COMPARED)) {
        Some(word) => format!("did you mean `{word}`?"),
        None => {
            let mut list: Vec<&str> = words.clone().take(WORDS_LISTED).collect();
            let left = words.count() - list.len();
            let more = format!("and {left} more");
            if left > 0 {
                list.push(&more);
            }
            format!("{accepted}: {}", list.join(", "))
        }
    }
}

/// The word with the fewest edits, if that is at most a third of its length, case aside.
pub(super) fn nearest<'a>(written: &str, words: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if written.len() > WORD_BYTES {
        return None;
    }
    let lower = written.to_lowercase();
    words
        .filter(|word| word.len() <= WORD_BYTES)
        .map(|word| (strsim::osa_distance(&lower, &word.to_lowercase()), word))
        .filter(|(edits, word)| *edits <= (word.chars().count().max(3) / 3))
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, word)| word)
}

/// Words compared: the cost of advice stays bounded however many upstreams there are.
const WORDS_COMPARED: usize = 1000;
/// Words listed when none is near.
const WORDS_LISTED: usize = 20;
/// Bytes of a word worth comparing.
const WORD_BYTES: usize = 128;
