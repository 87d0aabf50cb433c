//! Just enough of an HTTP/1 response to read one answer off a connection that is closed after it. It refuses to know
//! the connection, and it is no part of the gateway's own reading: it believes whom it asked.

use std::io;

/// Fields of a response head that are read.
const FIELDS: usize = 64;
/// Bytes of a whole answer that are read.
pub(super) const ANSWER_BYTES: usize = 1 << 20;

/// One answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// The status code.
    pub(super) status: u16,
    /// The body, whole.
    pub(super) body: Vec<u8>,
}

/// How the length of a body is known.
enum Length {
    Known(usize),
    Chunked,
    UntilClosed,
}

/// Reads an answer. `None`: more has to come. `closed` says that nothing more will.
///
/// # Errors
/// When it is no answer, or was cut short.
pub(super) fn read(bytes: &[u8], closed: bool) -> io::Result<Option<Answer>> {
    let answer = parse(bytes, closed)?;
    if answer.is_none() && closed {
        return Err(fault("the answer was cut short"));
    }
    if answer.is_none() && bytes.len() > ANSWER_BYTES {
        return Err(fault("the answer is too long"));
    }
    Ok(answer)
}

fn parse(bytes: &[u8], closed: bool) -> io::Result<Option<Answer>> {
    let mut rest = bytes;
    loop {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS];
        let mut head = httparse::Response::new(&mut fields);
        let Ok(parsed) = head.parse(rest) else { return Err(fault("the answer is no HTTP")) };
        let (httparse::Status::Complete(length), Some(status)) = (parsed, head.code) else { return Ok(None) };
        rest = rest.get(length..).unwrap_or_default();
        if (100..200).contains(&status) {
            continue;
        }
        let body = match body_length(status, head.headers)? {
            Length::Known(length) => rest.get(..length).map(<[u8]>::to_vec),
            Length::Chunked => unchunk(rest)?,
            Length::UntilClosed => closed.then(|| rest.to_vec()),
        };
        return Ok(body.map(|body| Answer { status, body }));
    }
}

fn body_length(status: u16, fields: &[httparse::Header<'_>]) -> io::Result<Length> {
    let value = |name: &str| fields.iter().find(|field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value);
    if matches!(status, 204 | 304) {
        return Ok(Length::Known(0));
    }
    if value("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case(b"chunked")) {
        return Ok(Length::Chunked);
    }
    let Some(length) = value("content-length") else { return Ok(Length::UntilClosed) };
    let length = std::str::from_utf8(length).ok().and_then(|text| text.trim().parse().ok());
    length.map(Length::Known).ok_or_else(|| fault("the answer's length is no number"))
}

/// The content of a chunked body; `None`: more has to come.
fn unchunk(mut rest: &[u8]) -> io::Result<Option<Vec<u8>>> {
    let mut body = Vec::new();
    loop {
        match httparse::parse_chunk_size(rest) {
            Ok(httparse::Status::Partial) => return Ok(None),
            // The trailers, if any, are of no interest, nor is what follows.
            Ok(httparse::Status::Complete((_, 0))) => return Ok(Some(body)),
            Ok(httparse::Status::Complete((line, size))) => {
                let size = usize::try_from(size).ok().filter(|size| *size <= ANSWER_BYTES);
                let Some(size) = size else { return Err(fault("the answer is too long")) };
                let Some(chunk) = rest.get(line..line + size) else { return Ok(None) };
                body.extend_from_slice(chunk);
                // The line end after a chunk.
                let Some(after) = rest.get(line + size + 2..) else { return Ok(None) };
                rest = after;
            }
            Err(_) => return Err(fault("the answer's chunks are broken")),
        }
    }
}

fn fault(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_however_they_are_framed_and_cut() {
        for (text, until_closed) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", false),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n", false),
            ("HTTP/1.0 200 OK\r\n\r\nhello", true),
            ("HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello", false),
        ] {
            let expected = Answer { status: 200, body: b"hello".to_vec() };
            assert_eq!(read(text.as_bytes(), true).unwrap(), Some(expected));
            assert_eq!(read(text.as_bytes(), false).unwrap().is_none(), until_closed, "{text}");
            let needed = text.find("hello").map_or(text.len() - 6, |at| at + 5);
            for cut in 0..needed {
                assert_eq!(read(&text.as_bytes()[..cut], false).unwrap(), None, "{text} cut at {cut}");
            }
        }
        let nothing = read(b"HTTP/1.1 204 No Content\r\n\r\n", false).unwrap().unwrap();
        assert_eq!((nothing.status, nothing.body.len()), (204, 0));
    }

    #[test]
    fn what_is_no_answer_is_a_fault() {
        for text in [
            "",
            "SSH-2.0-x\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
            "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n",
        ] {
            assert!(read(text.as_bytes(), true).is_err(), "{text}");
        }
        assert!(read(&vec![b'a'; ANSWER_BYTES + 1], false).is_err());
    }
}
