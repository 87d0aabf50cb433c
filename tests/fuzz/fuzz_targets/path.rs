//! A path by every set of rules: what is normal stays so, and what was resolved is gone, however a reader takes slashes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ringway::http::path::Outcome;
use ringway::http::path::Rule;
use ringway::http::path::Rules;
use ringway::http::path::normalise;

fuzz_target!(|bytes: &[u8]| {
    let Some((which, path)) = bytes.split_first() else { return };
    let rule = |n: u8| [Rule::Keep, Rule::Resolve, Rule::Refuse][usize::from(n % 3)];
    let rules = Rules { dots: rule(*which), slashes: rule(which / 3), encoded_slashes: rule(which / 9) };
    let (mut once, mut twice) = (Vec::new(), Vec::new());
    match normalise(path, rules, &mut once) {
        Ok(Outcome::Normal) => {
            assert!(once.is_empty());
            once.extend_from_slice(path);
        }
        Ok(Outcome::Rewritten) => assert_ne!(once, path),
        Err(_) => return,
    }
    assert!(once.first() == Some(&b'/') && once.len() <= path.len().max(1));
    assert_eq!(normalise(&once, rules, &mut twice), Ok(Outcome::Normal), "{:?}", String::from_utf8_lossy(&once));
    let text = String::from_utf8_lossy(&once);
    if rules.dots != Rule::Keep {
        let read = text.replace("%2F", "/").replace("%5C", "/").replace('\\', "/").replace("%3B", ";");
        assert!(read.split('/').all(|part| !matches!(part.split(';').next(), Some("." | ".."))), "{text:?}");
    }
    assert!(rules.slashes == Rule::Keep || !text.contains("//"), "{text:?}");
    assert!(rules.encoded_slashes == Rule::Keep || !(text.contains("%2F") || text.contains("%5C")), "{text:?}");
});
