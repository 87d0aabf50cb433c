//! Where a message ends: the one place that reads Content-Length and Transfer-Encoding, and gives one answer or a
//! refusal. RFC 9112 §6.3, item by item.

use crate::http::Fault;
use crate::http::Refusal;
use crate::http::head::Known;
use crate::http::head::Method;
use crate::http::head::Request;
use crate::http::head::Response;
use crate::http::head::Version;

/// How the content of a message is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is none.
    None,
    /// That many bytes.
    Length(u64),
    /// Chunks, until the last.
    Chunked,
    /// Until the connection ends; responses only.
    UntilClose,
}

/// What the two fields say together.
enum Fields {
    Neither,
    Length(u64),
    Chunked,
}

/// What is wrong with them.
#[derive(Clone, Copy)]
enum Wrong {
    BadLength,
    SeveralLengths,
    Both,
    Coding,
}

/// The framing of a request.
///
/// # Errors
/// Whatever another reader could understand otherwise.
pub fn request(request: Request<'_>) -> Result<Framing, Refusal> {
    // What others may read behind a CONNECT is not its content.
    if request.method_kind() == Method::Connect && request.framing_fields().any(|(known, _)| frames(known)) {
        return Err(Refusal::ContentInConnect);
    }
    let fields = read(request.framing_fields()).map_err(|wrong| match wrong {
        Wrong::BadLength => Refusal::BadLength,
        Wrong::SeveralLengths => Refusal::SeveralLengths,
        Wrong::Both => Refusal::LengthAndCoding,
        Wrong::Coding => Refusal::UnknownCoding,
    })?;
    match fields {
        // §6.1: a 1.0 message with a coding has faulty framing, whatever the coding.
        Fields::Chunked if request.version() == Version::Http10 => Err(Refusal::CodingInOld),
        Fields::Chunked => Ok(Framing::Chunked),
        Fields::Length(length) => Ok(Framing::Length(length)),
        // §6.3 item 7: a request without either has no content. Items 1, 2 and 8 are for responses.
        Fields::Neither => Ok(Framing::None),
    }
}

/// The framing of a response to a request of `method`.
///
/// # Errors
/// Whatever another reader could understand otherwise.
pub fn response(response: Response<'_>, method: Method) -> Result<Framing, Fault> {
    // Item 2: what follows is a tunnel, whatever the fields say; they are not passed on.
    if method == Method::Connect && (200..=299).contains(&response.status()) {
        return Ok(Framing::UntilClose);
    }
    let fields = read(response.framing_fields()).map_err(|wrong| match wrong {
        Wrong::BadLength => Fault::BadLength,
        Wrong::SeveralLengths => Fault::SeveralLengths,
        Wrong::Both => Fault::LengthAndCoding,
        Wrong::Coding => Fault::UnknownCoding,
    })?;
    if matches!(fields, Fields::Chunked) && response.version() == Version::Http10 {
        return Err(Fault::UnknownCoding);
    }
    match response.status() {
        // §6.1, RFC 9110 §8.6: an interim response has neither field; one that has may be followed by anything.
        100..=199 if !matches!(fields, Fields::Neither) => Err(Fault::ContentInInterim),
        // Item 1: no content, whatever the fields say.
        100..=199 | 204 | 304 => Ok(Framing::None),
        _ if method == Method::Head => Ok(Framing::None),
        _ => Ok(match fields {
            Fields::Chunked => Framing::Chunked,
            Fields::Length(length) => Framing::Length(length),
            // Item 8.
            Fields::Neither => Framing::UntilClose,
        }),
    }
}

fn frames(known: Known) -> bool {
    matches!(known, Known::ContentLength | Known::TransferEncoding)
}

fn read<'a>(fields: impl Iterator<Item = (Known, &'a [u8])>) -> Result<Fields, Wrong> {
    let (mut lengths, mut codings) = (None, None);
    for (known, value) in fields {
        match known {
            Known::ContentLength if lengths.is_some() => return Err(Wrong::SeveralLengths),
            Known::ContentLength => lengths = Some(value),
            // Two fields are one list, and only `chunked` alone is taken.
            Known::TransferEncoding if codings.is_some() => return Err(Wrong::Coding),
            Known::TransferEncoding => codings = Some(value),
            _ => {}
        }
    }
    match (lengths, codings) {
        (Some(_), Some(_)) => Err(Wrong::Both),
        (None, None) => Ok(Fields::Neither),
        (None, Some(coding)) if coding.eq_ignore_ascii_case(b"chunked") => Ok(Fields::Chunked),
        (None, Some(_)) => Err(Wrong::Coding),
        (Some(length), None) => number(length).map(Fields::Length).ok_or(Wrong::BadLength),
    }
}

/// `1*DIGIT`, below 2^64; no sign, no list, no space.
fn number(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

#[cfg(test)]
mod tests;
