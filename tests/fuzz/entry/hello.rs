//! What must hold of a client's hello: however it is cut the outcome is the same, a second reading that was written from the
//! RFCs alone finds the same name, and nothing is taken that this refuses.

use ringway::tls::hello::Fault;
use ringway::tls::hello::Hello;

/// The first byte says how long a hello may be; the rest is what a client sends.
pub fn hello(bytes: &[u8]) {
    let Some((bound, bytes)) = bytes.split_first() else { return };
    let most = 64 * (1 + usize::from(*bound));
    let whole = read(bytes, &[bytes.len()], most);
    for at in super::cuts(bytes) {
        assert_eq!(read(bytes, &[at, bytes.len()], most), whole, "cut at {at}");
    }
    if bytes.len() < 200 {
        let each: Vec<_> = (1..=bytes.len()).collect();
        assert_eq!(read(bytes, &each, most), whole, "byte by byte");
    }
    match (&whole, naive(bytes)) {
        (Ok(Some(name)), Naive::Hello(found, end)) => {
            assert_eq!(*name, found);
            assert!(end <= most, "{end} bytes, of which {most} were allowed");
        }
        (Ok(Some(name)), naive) => panic!("taken, with the name {:?}, but {naive:?}", String::from_utf8_lossy(name)),
        // The end of it may be out of sight.
        (Ok(None), naive) => assert_eq!(naive, Naive::More),
        (Err(Fault::NotTls), naive) => assert_eq!(naive, Naive::Never),
        (Err(Fault::Malformed(why)), naive) => assert_eq!(naive, Naive::Never, "{why}"),
        (Err(Fault::TooLong), Naive::Hello(_, end)) => assert!(end > most, "{end} bytes are not too long for {most}"),
        (Err(Fault::TooLong), Naive::More | Naive::Never) => {}
    }
}

/// The name, once there is a whole hello, of bytes of which so many have come at each look.
fn read(bytes: &[u8], ends: &[usize], most: usize) -> Result<Option<Vec<u8>>, Fault> {
    let mut hello = Hello::new(most);
    for end in ends {
        if hello.read(&bytes[..*end])? {
            return Ok(Some(hello.name().to_vec()));
        }
    }
    Ok(None)
}

/// What another reader makes of it.
#[derive(Debug, PartialEq, Eq)]
enum Naive {
    /// A hello with that name, or none, which ends there.
    Hello(Vec<u8>, usize),
    /// It may become one.
    More,
    /// It cannot become one.
    Never,
}

/// Reads records until their fragments hold a message, and then the message from its front.
fn naive(bytes: &[u8]) -> Naive {
    let (mut message, mut at) = (Vec::new(), 0);
    loop {
        // RFC 8446 §4: the type is a hello's, the length is that of all fragments together.
        if message.len() >= 4 {
            if message[0] != 1 {
                return Naive::Never;
            }
            let length = usize::from(message[1]) << 16 | usize::from(message[2]) << 8 | usize::from(message[3]);
            if message.len() > 4 + length {
                return Naive::Never;
            }
            if message.len() == 4 + length {
                return body(&message[4..]).map_or(Naive::Never, |name| Naive::Hello(name, at));
            }
        }
        // RFC 8446 §5.1: 22 is a handshake; a fragment of it holds 1 to 2^14 bytes.
        let record = &bytes[at..];
        if record.first().is_some_and(|kind| *kind != 22) && (at == 0 || record.len() >= 5) {
            return Naive::Never;
        }
        if record.len() < 5 {
            return Naive::More;
        }
        let length = usize::from(record[3]) << 8 | usize::from(record[4]);
        if record[1] != 3 || length == 0 || length > 16_384 {
            return Naive::Never;
        }
        if record.len() < 5 + length {
            return Naive::More;
        }
        message.extend_from_slice(&record[5..5 + length]);
        at += 5 + length;
    }
}

/// RFC 8446 §4.1.2, and RFC 6066 §3 for the name; nothing: it breaks them.
fn body(body: &[u8]) -> Option<Vec<u8>> {
    let part = |at: usize, wide: usize| {
        let length = body.get(at..at + wide)?.iter().fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte));
        body.get(at + wide..at + wide + length).map(|held| (held, at + wide + length))
    };
    let (id, at) = part(34, 1)?;
    let (suites, at) = part(at, 2)?;
    let (compressions, at) = part(at, 1)?;
    if id.len() > 32 || suites.len() < 2 || suites.len() % 2 == 1 || compressions.is_empty() {
        return None;
    }
    if at == body.len() {
        return Some(Vec::new());
    }
    let (extensions, end) = part(at, 2)?;
    if end != body.len() {
        return None;
    }
    let (mut rest, mut names) = (extensions, Vec::new());
    while !rest.is_empty() {
        let length = usize::from(*rest.get(2)?) << 8 | usize::from(*rest.get(3)?);
        let held = rest.get(4..4 + length)?;
        if rest[..2] == [0, 0] {
            names.push(held);
        }
        rest = &rest[4 + length..];
    }
    match names.as_slice() {
        [] => Some(Vec::new()),
        // The length of the list, that it is a host's, the length of the name.
        [[a, b, 0, c, d, name @ ..]] => {
            let (list, length) = (usize::from(*a) << 8 | usize::from(*b), usize::from(*c) << 8 | usize::from(*d));
            let text = String::from_utf8(name.to_vec()).ok()?.to_ascii_lowercase();
            let fits = length == name.len() && list == length + 3 && (1..=254).contains(&length);
            let fits = fits && text.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_.:".contains(letter));
            (fits && text != ".").then(|| text.strip_suffix('.').unwrap_or(&text).as_bytes().to_vec())
        }
        _ => None,
    }
}
