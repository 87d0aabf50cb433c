//! A client's hello, read for the name that it asks for, before anything is made of its connection: whether that is passed
//! on as it is or TLS is settled here, by rustls, which reads it again. Pure: bytes in, a name out. It refuses to know what
//! becomes of it, and believes nothing: a hello may come in any pieces, in any number of records, and without end.
//!
//! RFC 8446 §4.1.2 and §5.1, RFC 5246 §7.4.1.2, RFC 6066 §3.

/// A hello that is read as its bytes come.
#[derive(Debug)]
pub struct Hello {
    most: usize,
    /// Where in the bytes the next record begins.
    next: usize,
    /// What the records before it hold of the message.
    message: Vec<u8>,
    name: Vec<u8>,
}

/// Why there is no hello.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// What came does not begin as TLS does.
    NotTls,
    /// It is longer than it may be.
    TooLong,
    /// It breaks the rules of TLS: how, in words.
    Malformed(&'static str),
}

/// The alert by which a connection is refused whose name nobody serves (RFC 6066 §3).
pub const UNRECOGNIZED_NAME: u8 = 112;
/// The alert by which a hello is refused that cannot be read.
pub const DECODE_ERROR: u8 = 50;
/// The alert by which a connection is refused that cannot be passed on.
pub const INTERNAL_ERROR: u8 = 80;

/// The record of a fatal alert, in the open.
#[must_use]
pub fn alert(description: u8) -> [u8; 7] {
    [ALERT, 3, 3, 0, 2, 2, description]
}

/// The type of a record that begins a handshake.
pub const HANDSHAKE: u8 = 22;
/// The type of the record of an alert.
const ALERT: u8 = 21;
/// Bytes of a record before what it holds.
const RECORD_HEAD: usize = 5;
/// Most bytes that a record in the open holds.
const RECORD_BYTES: usize = 1 << 14;
/// The type of the message.
const CLIENT_HELLO: u8 = 1;
/// Bytes of a message before what it holds.
const MESSAGE_HEAD: usize = 4;
/// The number of the extension that names the host, and of the kind of name that is a host's.
const SERVER_NAME: u16 = 0;
const HOST_NAME: u8 = 0;
/// Longest name of a host (RFC 1035 §2.3.4), a dot at its end included.
const NAME_BYTES: usize = 254;

impl Hello {
    /// None yet; of `most` bytes with its records' heads.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { most, next: 0, message: Vec::new(), name: Vec::new() }
    }

    /// Reads on, given all bytes that have come so far. True: it is whole, and more need not be given.
    ///
    /// # Errors
    /// [`Fault`]: the same one however the bytes were cut, as soon as it can be seen.
    pub fn read(&mut self, bytes: &[u8]) -> Result<bool, Fault> {
        loop {
            let Some(left) = bytes.get(self.next..) else { return Ok(false) };
            let (&[kind, major, _, high, low], rest) = match left.split_first_chunk::<RECORD_HEAD>() {
                Some(split) => split,
                None if self.next == 0 && left.first().is_some_and(|kind| *kind != HANDSHAKE) => {
                    return Err(Fault::NotTls);
                }
                None => return Ok(false),
            };
            if kind != HANDSHAKE || major != 3 {
                return Err(if self.next == 0 { Fault::NotTls } else { Fault::Malformed("a record of another kind") });
            }
            let length = usize::from(u16::from_be_bytes([high, low]));
            if length == 0 || length > RECORD_BYTES {
                return Err(Fault::Malformed("a record that holds nothing, or too much"));
            }
            let end = self.next + RECORD_HEAD + length;
            if end > self.most {
                return Err(Fault::TooLong);
            }
            let Some(held) = rest.get(..length) else { return Ok(false) };
            self.message.extend_from_slice(held);
            self.next = end;
            if self.is_whole()? {
                self.name = server_name(self.message.get(MESSAGE_HEAD..).unwrap_or(&[]))?.to_ascii_lowercase();
                self.message = Vec::new();
                return Ok(true);
            }
        }
    }

    /// The host that is asked for, in lower case and without a dot at its end; empty: none is. Known once it is whole.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    fn is_whole(&self) -> Result<bool, Fault> {
        let Some((&[kind, high, middle, low], rest)) = self.message.split_first_chunk::<MESSAGE_HEAD>() else {
            return Ok(false);
        };
        if kind != CLIENT_HELLO {
            return Err(Fault::Malformed("a message that is no hello"));
        }
        let length = usize::try_from(u32::from_be_bytes([0, high, middle, low])).unwrap_or(usize::MAX);
        if length > self.most {
            return Err(Fault::TooLong);
        }
        // Nothing may follow before it has been answered.
        if rest.len() > length { Err(Fault::Malformed("more than a hello")) } else { Ok(rest.len() == length) }
    }
}

/// The name in the body of the message; empty: there is none.
fn server_name(body: &[u8]) -> Result<&[u8], Fault> {
    let cut = Fault::Malformed("a part that is longer than the whole");
    let mut all = Cursor { rest: body };
    all.take(2 + 32).ok_or(cut)?;
    let id = all.short().ok_or(cut)?;
    let suites = all.long().ok_or(cut)?;
    let compressions = all.short().ok_or(cut)?;
    if id.len() > 32 || suites.is_empty() || suites.len() % 2 != 0 || compressions.is_empty() {
        return Err(Fault::Malformed("a list of a length that it cannot have"));
    }
    // A hello without extensions ends here.
    if all.rest.is_empty() {
        return Ok(&[]);
    }
    let mut extensions = Cursor { rest: all.long().ok_or(cut)? };
    if !all.rest.is_empty() {
        return Err(Fault::Malformed("bytes behind the extensions"));
    }
    let mut found = None;
    while !extensions.rest.is_empty() {
        let number = extensions.number().ok_or(cut)?;
        let extension = extensions.long().ok_or(cut)?;
        if number == SERVER_NAME && found.replace(extension).is_some() {
            return Err(Fault::Malformed("two lists of names"));
        }
    }
    found.map_or(Ok(&[]), host_name)
}

/// The one name of the list that the extension holds.
fn host_name(extension: &[u8]) -> Result<&[u8], Fault> {
    let cut = Fault::Malformed("a name that is longer than its list");
    let mut outer = Cursor { rest: extension };
    let mut list = Cursor { rest: outer.long().ok_or(cut)? };
    let kind = list.take(1).ok_or(cut)?;
    let name = list.long().ok_or(cut)?;
    if kind != [HOST_NAME] || !list.rest.is_empty() || !outer.rest.is_empty() {
        return Err(Fault::Malformed("a list of more than the name of a host"));
    }
    let letter = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':');
    let bare = name.strip_suffix(b".").unwrap_or(name);
    // The root alone is no host: without its dot it would look like no name at all.
    if bare.is_empty() || name.len() > NAME_BYTES || !name.iter().all(letter) {
        return Err(Fault::Malformed("a name that no host has"));
    }
    Ok(bare)
}

/// Bytes being taken from their front.
struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u16> {
        let (number, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(u16::from_be_bytes(*number))
    }

    /// A part with its length in one byte before it.
    fn short(&mut self) -> Option<&'a [u8]> {
        let length = *self.take(1)?.first()?;
        self.take(length.into())
    }

    /// A part with its length in two bytes before it.
    fn long(&mut self) -> Option<&'a [u8]> {
        let length = self.number()?;
        self.take(length.into())
    }
}

#[cfg(test)]
mod tests;
