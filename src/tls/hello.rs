//! The first words of a TLS client, looked at before anything is made of them: whether all of them have come, and which name
//! they ask for (RFC 8446 §4.1.2, RFC 6066 §3). It refuses to know what is settled: that is rustls's, which reads them again.

/// What is known of a hello that has begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hello {
    /// The rest of it has not come.
    Partial,
    /// All of it has.
    Whole {
        /// The name that it asks for, as it is written.
        name: Option<Box<str>>,
    },
    /// It is none.
    Garbage,
}

/// The type of a record that begins a handshake.
pub const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const SERVER_NAME: usize = 0;
const HOST_NAME: u8 = 0;
/// Bytes of a record's header, and the most behind it.
const HEADER: usize = 5;
const RECORD: usize = 16_384;
/// Bytes of the header of a message of the handshake.
const MESSAGE: usize = 4;
/// Longest name of a host.
const NAME: usize = 255;

/// Looks at what has come of a client.
#[must_use]
pub fn look(wire: &[u8]) -> Hello {
    let mut message = Vec::new();
    let mut rest = wire;
    loop {
        match rest {
            [HANDSHAKE, 3, _, high, low, behind @ ..] => {
                let len = usize::from(*high) << 8 | usize::from(*low);
                if len == 0 || len > RECORD {
                    return Hello::Garbage;
                }
                message.extend_from_slice(behind.get(..len).unwrap_or(behind));
                rest = behind.get(len..).unwrap_or(&[]);
            }
            [HANDSHAKE, 3, ..] | [HANDSHAKE] | [] if rest.len() < HEADER => return Hello::Partial,
            _ => return Hello::Garbage,
        }
        match message.as_slice() {
            [CLIENT_HELLO, sizes @ ..] => {
                let mut sizes = Rest(sizes);
                if let Some(body) = sizes.number(MESSAGE - 1).and_then(|len| sizes.take(len)) {
                    return name(body).map_or(Hello::Garbage, |name| Hello::Whole { name });
                }
            }
            [] => {}
            _ => return Hello::Garbage,
        }
    }
}

/// The name that a hello asks for, if it asks for one; nothing if it is none.
fn name(body: &[u8]) -> Option<Option<Box<str>>> {
    let mut body = Rest(body);
    // The version and the random bytes; then the last handshake, the suites and the compressions.
    body.take(2 + 32)?;
    for size in [1, 2, 1] {
        body.sized(size)?;
    }
    if body.0.is_empty() {
        return Some(None);
    }
    let mut extensions = Rest(body.sized(2)?);
    while !extensions.0.is_empty() {
        let (kind, extension) = (extensions.number(2)?, extensions.sized(2)?);
        if kind != SERVER_NAME {
            continue;
        }
        let mut names = Rest(Rest(extension).sized(2)?);
        while let Some((kind, rest)) = names.0.split_first() {
            names.0 = rest;
            let name = names.sized(2)?;
            if *kind == HOST_NAME {
                return std::str::from_utf8(name).ok().filter(|name| name.len() <= NAME).map(|name| Some(name.into()));
            }
        }
    }
    Some(None)
}

/// Bytes not looked at yet.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    /// A number of so many bytes.
    fn number(&mut self, bytes: usize) -> Option<usize> {
        Some(self.take(bytes)?.iter().fold(0, |number, byte| number << 8 | usize::from(*byte)))
    }

    /// What stands behind its length, which has so many bytes.
    fn sized(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let len = self.number(bytes)?;
        self.take(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buf::Block;
    use crate::io::veil::Cipher;
    use crate::tls;
    use crate::tls::engine::tests::configs;
    use crate::tls::engine::tests::engines;

    fn hello() -> Vec<u8> {
        let [_, mut client] = engines(&configs(tls::INTERMEDIATE));
        let mut out = Block::none();
        client.open(&mut Block::none(), &mut Block::none(), &mut out).unwrap();
        out.bytes().to_vec()
    }

    /// The same in records of so many bytes.
    fn cut(hello: &[u8], size: usize) -> Vec<u8> {
        let record = |piece: &[u8]| [&[HANDSHAKE, 3, 1], &(piece.len() as u16).to_be_bytes()[..], piece].concat();
        hello[HEADER..].chunks(size).flat_map(record).collect()
    }

    #[test]
    fn a_hello_is_whole_when_its_last_byte_has_come_however_it_is_cut() {
        let hello = hello();
        for size in [1, 2, 3, 50, 1000, 16_000] {
            let wire = cut(&hello, size);
            for end in 0..wire.len() {
                assert_eq!(look(&wire[..end]), Hello::Partial, "{end} of {} in records of {size}", wire.len());
            }
            assert_eq!(look(&wire), Hello::Whole { name: Some("test.example".into()) });
            let more = [&wire[..], b"\x14\x03\x03\x00\x01\x01"].concat();
            assert_eq!(
                look(&more),
                Hello::Whole { name: Some("test.example".into()) },
                "what follows is not looked at"
            );
        }
    }

    #[test]
    fn what_is_none_is_told_and_nothing_panics() {
        for garbage in [
            &b"GET / HTTP/1.1\r\n"[..],
            b"\x16\x02\x00\x00\x05",
            b"\x16\x03\x01\xff\xff",
            b"\x16\x03\x01\x00\x00",
            b"\x16\x03\x01\x00\x02\x02\x00",
        ] {
            assert_eq!(look(garbage), Hello::Garbage, "{garbage:?}");
        }
        let hello = hello();
        for at in 0..hello.len() {
            for byte in [0, 1, 0x7f, 0xff] {
                let mut other = hello.clone();
                other[at] = byte;
                drop(look(&other));
            }
        }
    }
}
