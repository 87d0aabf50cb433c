//! Forms that things have on the wire of ACME: base64url, DER, times. As little of each as the tests need.

use std::collections::HashMap;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use ringway::http::date;

/// A value of DER with its head, and what stands behind it.
pub fn value(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (head, length) = lengths(der)?;
    der.split_at_checked(head + length)
}

/// What is in a value of DER.
pub fn content(der: &[u8]) -> Option<&[u8]> {
    let (head, length) = lengths(der)?;
    der.get(head..head + length)
}

fn lengths(der: &[u8]) -> Option<(usize, usize)> {
    let first = usize::from(*der.get(1)?);
    if first < 0x80 {
        return Some((2, first));
    }
    let more = der.get(2..2 + first - 0x80)?;
    Some((2 + more.len(), more.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte))))
}

/// So many seconds from now.
pub fn rfc3339(from_now: i64) -> String {
    let now = SystemTime::now();
    let shift = Duration::from_secs(from_now.unsigned_abs());
    let at = if from_now < 0 { now - shift } else { now + shift };
    let line = date::line(at.duration_since(UNIX_EPOCH).unwrap().as_secs());
    let line = std::str::from_utf8(&line).unwrap();
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let months: HashMap<_, _> = months.into_iter().zip(1..).collect();
    format!("{}-{:02}-{}T{}Z", &line[12..16], months[&line[8..11]], &line[5..7], &line[17..25])
}

const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// base64url without padding (RFC 4648 §5).
pub fn base64(bytes: &[u8]) -> String {
    let mut text = String::new();
    for part in bytes.chunks(3) {
        let bits = part.iter().chain([&0, &0]).take(3).fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte));
        for n in 0..=part.len() {
            text.push(char::from(LETTERS[(bits >> (18 - 6 * n) & 63) as usize]));
        }
    }
    text
}

pub fn unbase64(text: &str) -> Vec<u8> {
    let (mut bytes, mut bits, mut held) = (Vec::new(), 0_u32, 0);
    for letter in text.bytes().filter_map(|letter| LETTERS.iter().position(|known| *known == letter)) {
        (bits, held) = (bits << 6 | letter as u32, held + 6);
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
        }
    }
    bytes
}
