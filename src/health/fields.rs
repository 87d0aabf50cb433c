//! Fields as HTTP/2 packs them (RFC 7541), as far as one who asks for health needs it: written without a table and without
//! Huffman's code, and read with no table but the fixed one, since the other side is told to keep none. It refuses to know
//! what a field means.

/// Why a block of fields cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Faulty(pub(super) &'static str);

/// The first byte of a block: no table is kept. Whatever the other side allows, this is no more.
pub(super) const NO_TABLE: u8 = 0x20;

/// The first and the last place of the status in the fixed table.
const STATUS: std::ops::RangeInclusive<usize> = 8..=14;
/// The statuses at those places.
const STATUSES: [&[u8]; 7] = [b"200", b"204", b"206", b"304", b"400", b"404", b"500"];
/// Places of the fixed table.
const FIXED: usize = 61;

/// Writes a field whose name stands in the fixed table at `place`; nobody is to remember it.
pub(super) fn put_known(out: &mut Vec<u8>, place: usize, value: &[u8]) {
    put_number(out, 0, 4, place);
    put_text(out, value);
}

/// Writes a field with its name; nobody is to remember it.
pub(super) fn put(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.push(0);
    put_text(out, name);
    put_text(out, value);
}

fn put_text(out: &mut Vec<u8>, text: &[u8]) {
    put_number(out, 0, 7, text.len());
    out.extend_from_slice(text);
}

/// A number behind the upper bits of `first` (RFC 7541 §5.1), `bits` of which are its own.
fn put_number(out: &mut Vec<u8>, first: u8, bits: u32, number: usize) {
    let most = (1_usize << bits) - 1;
    if number < most {
        out.push(first | u8::try_from(number).unwrap_or(0));
        return;
    }
    out.push(first | u8::try_from(most).unwrap_or(0));
    let mut rest = number - most;
    while rest >= 0x80 {
        out.push(0x80 | u8::try_from(rest & 0x7f).unwrap_or(0));
        rest >>= 7;
    }
    out.push(u8::try_from(rest).unwrap_or(0));
}

/// Reads a block, and says each field whose name it can: those of the fixed table are not said but for the status. A value is
/// given as it stands on the wire, for [`Text::plain`].
pub(super) fn each<'a>(block: &'a [u8], mut say: impl FnMut(&[u8], Text<'a>)) -> Result<(), Faulty> {
    let mut rest = block;
    while let Some(first) = rest.first().copied() {
        // One that stands in a table whole, one to be remembered, one not to be, and how large the table is.
        let bits = match first {
            0x80.. => 7,
            0x40.. => 6,
            0x20.. => 5,
            _ => 4,
        };
        let number = number(&mut rest, bits)?;
        if bits == 5 {
            continue;
        }
        if number > FIXED {
            return Err(Faulty("a field is said to be known, and is not"));
        }
        if bits == 7 {
            match number {
                0 => return Err(Faulty("a field has no place")),
                place if STATUS.contains(&place) => {
                    let value = STATUSES.get(place - STATUS.start()).copied().unwrap_or_default();
                    say(b":status", Text { bytes: value, packed: false });
                }
                _ => {}
            }
            continue;
        }
        let name = if number == 0 { Some(text(&mut rest)?) } else { None };
        let value = text(&mut rest)?;
        match name {
            Some(name) => name.plain().into_iter().for_each(|name| say(&name, value)),
            None if STATUS.contains(&number) => say(b":status", value),
            None => {}
        }
    }
    Ok(())
}

/// A text on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Text<'a> {
    bytes: &'a [u8],
    packed: bool,
}

impl Text<'_> {
    /// What it says; nothing if it is packed and has what is no printable letter.
    pub(super) fn plain(self) -> Option<Vec<u8>> {
        if self.packed { unpack(self.bytes) } else { Some(self.bytes.to_vec()) }
    }
}

fn text<'a>(rest: &mut &'a [u8]) -> Result<Text<'a>, Faulty> {
    let packed = rest.first().is_some_and(|first| first & 0x80 != 0);
    let length = number(rest, 7)?;
    let (bytes, after) = rest.split_at_checked(length).ok_or(Faulty("a field ends within itself"))?;
    *rest = after;
    Ok(Text { bytes, packed })
}

fn number(rest: &mut &[u8], bits: u32) -> Result<usize, Faulty> {
    let short = Faulty("a number ends within itself");
    let most = (1_usize << bits) - 1;
    let (first, after) = rest.split_first().ok_or(short)?;
    *rest = after;
    let mut number = usize::from(*first) & most;
    if number < most {
        return Ok(number);
    }
    for shift in [0, 7, 14, 21] {
        let (byte, after) = rest.split_first().ok_or(short)?;
        *rest = after;
        number += usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(Faulty("a number is too large"))
}

/// Huffman's code of RFC 7541, appendix B, as far as it has printable letters: bits, and the letters of that many, in the
/// order of their codes. It is canonical: the first code of a length follows from the last one before it. Of those of 19 bits
/// one is a letter, the first.
const LETTERS: [(u32, &[u8]); 11] = [
    (5, b"012aceiost"),
    (6, b" %-./3456789=A_bdfghlmnpru"),
    (7, b":BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz"),
    (8, b"&*,;XZ"),
    (10, b"!\"()?"),
    (11, b"'+|"),
    (12, b"#>"),
    (13, b"\0$@[]~"),
    (14, b"^}"),
    (15, b"<`{"),
    (19, b"\\"),
];

fn unpack(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut text = Vec::with_capacity(bytes.len() * 8 / 5);
    // Bits that have not been read, at the upper end, and how many.
    let (mut bits, mut count) = (0_u64, 0);
    let mut bytes = bytes.iter();
    loop {
        while count <= 32
            && let Some(byte) = bytes.next()
        {
            bits |= u64::from(*byte) << (56 - count);
            count += 8;
        }
        let Some((length, letter)) = letter(bits).filter(|(length, _)| *length <= count) else {
            // The last byte is filled with ones.
            let filled = count < 8 && bits == !(u64::MAX >> count);
            return filled.then_some(text);
        };
        text.push(letter);
        bits <<= length;
        count -= length;
    }
}

/// The letter that the uppermost bits are, and how many.
fn letter(bits: u64) -> Option<(u32, u8)> {
    let (mut code, mut before) = (0_u64, 0);
    for (length, letters) in LETTERS {
        code <<= length - before;
        before = length;
        let place = (bits >> (64 - length)).wrapping_sub(code);
        if let Some(letter) = usize::try_from(place).ok().and_then(|place| letters.get(place)) {
            return Some((length, *letter));
        }
        code += letters.len() as u64;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(block: &[u8]) -> Result<Vec<(String, Option<String>)>, Faulty> {
        let mut said = Vec::new();
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        each(block, |name, value| said.push((text(name.to_vec()), value.plain().map(text))))?;
        Ok(said)
    }

    fn pair(name: &str, value: &str) -> (String, Option<String>) {
        (name.to_owned(), Some(value.to_owned()))
    }

    #[test]
    fn the_examples_of_the_rfc_are_read() {
        // RFC 7541, appendix C.4.1 and C.6.1, as far as their fields are not of the fixed table's names.
        assert_eq!(
            unpack(&[0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff]).unwrap(),
            b"www.example.com"
        );
        assert_eq!(unpack(&[0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf]).unwrap(), b"no-cache");
        assert_eq!(unpack(&[0x25, 0xa8, 0x49, 0xe9, 0x5b, 0xb8, 0xe8, 0xb4, 0xbf]).unwrap(), b"custom-value");
        let custom = [
            0x40, 0x88, 0x25, 0xa8, 0x49, 0xe9, 0x5b, 0xa9, 0x7d, 0x7f, 0x89, 0x25, 0xa8, 0x49, 0xe9, 0x5b, 0xb8, 0xe8,
            0xb4, 0xbf,
        ];
        assert_eq!(said(&custom).unwrap(), [pair("custom-key", "custom-value")]);
        let redirect = [0x48, 0x82, 0x64, 0x02];
        assert_eq!(said(&redirect).unwrap(), [pair(":status", "302")]);
    }

    #[test]
    fn what_is_written_is_read_back() {
        let long = "x".repeat(300);
        let mut block = vec![NO_TABLE, 0x88];
        put(&mut block, b"grpc-status", b"0");
        put(&mut block, long.as_bytes(), long.as_bytes());
        put_known(&mut block, 8, b"418");
        put_known(&mut block, 31, b"application/grpc");
        let expected = [pair(":status", "200"), pair("grpc-status", "0"), pair(&long, &long), pair(":status", "418")];
        assert_eq!(said(&block).unwrap(), expected);
    }

    #[test]
    fn a_letter_has_the_code_that_the_rfc_gives_it() {
        // The last of each length, by the table of appendix B.
        let cases: [(u64, u32, u8); 12] = [
            (0x0, 5, b'0'),
            (0x9, 5, b't'),
            (0x2d, 6, b'u'),
            (0x7b, 7, b'z'),
            (0xfd, 8, b'Z'),
            (0x3fc, 10, b'?'),
            (0x7fc, 11, b'|'),
            (0xffb, 12, b'>'),
            (0x1ffd, 13, b'~'),
            (0x3ffd, 14, b'}'),
            (0x7ffd, 15, b'`'),
            (0x7fff0, 19, b'\\'),
        ];
        for (code, length, expected) in cases {
            assert_eq!(letter(code << (64 - length)), Some((length, expected)));
        }
        assert_eq!(letter(u64::MAX), None);
    }

    #[test]
    fn what_is_ill_formed_is_refused() {
        for (block, words) in [
            (&[0x80][..], "no place"),
            (&[0xbe], "is not"),
            (&[0x7f, 0x00], "is not"),
            (&[0xff], "within itself"),
            (&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff], "too large"),
            (&[0x00, 0x03, b'a'], "within itself"),
            (&[0x00, 0x01, b'a'], "within itself"),
            (&[0x48, 0x05, b'2'], "within itself"),
        ] {
            assert!(said(block).unwrap_err().0.contains(words), "{block:?}");
        }
        // What cannot be unpacked is nobody's name and no value; more than seven bits of filling are none.
        assert_eq!(unpack(&[0xff, 0xff]), None);
        assert_eq!(unpack(&[0x07]), Some(b"0".to_vec()));
        assert_eq!(unpack(&[0x00]), None);
        assert_eq!(unpack(&[]), Some(Vec::new()));
        assert_eq!(said(&[0x00, 0x82, 0xff, 0xff, 0x01, b'a']).unwrap(), []);
    }
}
