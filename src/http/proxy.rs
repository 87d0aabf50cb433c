//! The PROXY protocol, version 1 (a line) and 2 (binary): what a proxy says at the beginning of a connection of those at
//! the two ends of the one that it relays. Read strictly, since whoever may write it names the client; it refuses to know
//! who may. The rules: <https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt>.

use std::io::Write;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;

use crate::limits;

/// Whom a header names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ends {
    /// A connection from the first address to the second. IPv4 within IPv6 is read as what it means.
    Between(SocketAddr, SocketAddr),
    /// Somebody on a Unix socket of the proxy's machine.
    Unix,
    /// Nobody: the connection speaks for itself (LOCAL, UNKNOWN, an unspecified family).
    Own,
}

/// Why a header is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyFault {
    /// The first bytes are those of neither version.
    Missing,
    /// A line of more than 107 bytes, or with a line feed that no carriage return precedes.
    BadLine,
    /// A family other than TCP4, TCP6 and UNKNOWN, or other than unspecified, INET, INET6 and UNIX over a stream.
    BadFamily,
    /// An address that is none of its family.
    BadAddress,
    /// A port that is not 0 to 65535, without leading zeros.
    BadPort,
    /// A second version of something else than 2.
    BadVersion,
    /// A command other than LOCAL and PROXY.
    BadCommand,
    /// More than `limits::PROXY_BYTES`, or fewer than the addresses take.
    BadLength,
    /// Additions that do not end where the header does.
    BadAddition,
}

impl ProxyFault {
    /// The fault in words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Missing => "there is no PROXY protocol header",
            Self::BadLine => "the line is too long or does not end in CRLF",
            Self::BadFamily => "the family is not one of a stream",
            Self::BadAddress => "an address is not of its family",
            Self::BadPort => "a port is not a number from 0 to 65535",
            Self::BadVersion => "the version is not 2",
            Self::BadCommand => "the command is neither LOCAL nor PROXY",
            Self::BadLength => "the header is too long, or shorter than its addresses",
            Self::BadAddition => "the additions do not end where the header does",
        }
    }
}

/// What a line of version 1 begins with.
const WORD: &[u8] = b"PROXY ";
/// Bytes of the longest line, its CRLF included.
const LINE_BYTES: usize = 107;
/// What version 2 begins with.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Bytes of version 2 before its addresses.
const FIXED_BYTES: usize = 16;
/// Bytes that two paths of Unix sockets take.
const UNIX_BYTES: usize = 216;

/// Reads the header at the front of what a connection has brought so far: its bytes, and whom it names; `None` when more
/// bytes are needed. However the bytes come in pieces, the answer is the same.
///
/// # Errors
/// [`ProxyFault`], mostly as soon as it can be seen.
pub fn parse(bytes: &[u8]) -> Result<Option<(usize, Ends)>, ProxyFault> {
    if begins(bytes, SIGNATURE) {
        binary(bytes)
    } else if begins(bytes, WORD) {
        line(bytes)
    } else {
        Err(ProxyFault::Missing)
    }
}

/// Whether the bytes are the beginning of something that begins so.
fn begins(bytes: &[u8], start: &[u8]) -> bool {
    bytes.iter().zip(start).all(|(one, other)| one == other)
}

fn line(bytes: &[u8]) -> Result<Option<(usize, Ends)>, ProxyFault> {
    let window = bytes.get(..LINE_BYTES).unwrap_or(bytes);
    let Some(end) = memchr::memchr(b'\n', window) else {
        return if window.len() < LINE_BYTES { Ok(None) } else { Err(ProxyFault::BadLine) };
    };
    let rest = window.get(WORD.len()..end).and_then(|rest| rest.strip_suffix(b"\r")).ok_or(ProxyFault::BadLine)?;
    let mut words = rest.split(|byte| *byte == b' ');
    let ends = match words.next() {
        Some(b"TCP4") => between(words, |text| text.parse::<Ipv4Addr>().ok().map(IpAddr::V4))?,
        Some(b"TCP6") => between(words, |text| text.parse::<Ipv6Addr>().ok().map(IpAddr::V6))?,
        // Whatever else it says is to be ignored.
        Some(b"UNKNOWN") => Ends::Own,
        _ => return Err(ProxyFault::BadFamily),
    };
    Ok(Some((end + 1, ends)))
}

/// `SOURCE SP DESTINATION SP PORT SP PORT`, and nothing behind.
fn between<'a>(
    mut words: impl Iterator<Item = &'a [u8]>,
    ip: impl Fn(&str) -> Option<IpAddr>,
) -> Result<Ends, ProxyFault> {
    let mut address = || {
        let text = std::str::from_utf8(words.next()?).ok()?;
        ip(text).map(|ip| ip.to_canonical())
    };
    let ips = address().zip(address()).ok_or(ProxyFault::BadAddress)?;
    let mut port = || {
        let digits = words.next()?;
        let plain = digits.iter().all(u8::is_ascii_digit) && (digits.len() == 1 || digits.first() != Some(&b'0'));
        std::str::from_utf8(digits).ok().filter(|_| plain)?.parse::<u16>().ok()
    };
    let ports = port().zip(port()).filter(|_| words.next().is_none()).ok_or(ProxyFault::BadPort)?;
    Ok(Ends::Between(SocketAddr::new(ips.0, ports.0), SocketAddr::new(ips.1, ports.1)))
}

fn binary(bytes: &[u8]) -> Result<Option<(usize, Ends)>, ProxyFault> {
    let at = |place: usize| bytes.get(place).copied();
    let command = at(12).map(|byte| (byte >> 4, byte & 0x0f));
    let local = match command {
        None => return Ok(None),
        Some((2, 0)) => true,
        Some((2, 1)) => false,
        Some((2, _)) => return Err(ProxyFault::BadCommand),
        Some(_) => return Err(ProxyFault::BadVersion),
    };
    // Whatever a proxy says beside LOCAL is to be ignored.
    let addresses = match at(13) {
        None => return Ok(None),
        Some(_) if local => 0,
        Some(0x00) => 0,
        Some(0x11) => 12,
        Some(0x21) => 36,
        Some(0x31) => UNIX_BYTES,
        Some(_) => return Err(ProxyFault::BadFamily),
    };
    let Some(length) = at(14).zip(at(15)).map(|(high, low)| usize::from(u16::from_be_bytes([high, low]))) else {
        return Ok(None);
    };
    let end = FIXED_BYTES + length;
    if end > limits::PROXY_BYTES || length < addresses {
        return Err(ProxyFault::BadLength);
    }
    let Some(body) = bytes.get(FIXED_BYTES..end) else { return Ok(None) };
    let (body, additions) = body.split_at_checked(addresses).ok_or(ProxyFault::BadLength)?;
    let ends = match addresses {
        // Without addresses nobody says where the additions begin.
        0 => return Ok(Some((end, Ends::Own))),
        12 => pair::<4>(body),
        36 => pair::<16>(body),
        _ => Some(Ends::Unix),
    };
    skip(additions)?;
    Ok(Some((end, ends.ok_or(ProxyFault::BadLength)?)))
}

/// Two addresses of `N` bytes, then two ports.
fn pair<const N: usize>(body: &[u8]) -> Option<Ends>
where
    IpAddr: From<[u8; N]>,
{
    let (from, rest) = body.split_first_chunk::<N>()?;
    let (to, ports) = rest.split_first_chunk::<N>()?;
    let (from_port, to_port) = ports.split_first_chunk::<2>()?;
    let address =
        |ip: &[u8; N], port: [u8; 2]| SocketAddr::new(IpAddr::from(*ip).to_canonical(), u16::from_be_bytes(port));
    Some(Ends::Between(address(from, *from_port), address(to, to_port.first_chunk::<2>().copied()?)))
}

/// Walks over additions, each of a type, a length and so many bytes.
fn skip(mut additions: &[u8]) -> Result<(), ProxyFault> {
    while let Some(([_, high, low], rest)) = additions.split_first_chunk::<3>() {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        additions = rest.get(length..).ok_or(ProxyFault::BadAddition)?;
    }
    if additions.is_empty() { Ok(()) } else { Err(ProxyFault::BadAddition) }
}

/// Appends a line of version 1. Whoever has no address there is UNKNOWN.
pub fn write_line(out: &mut Vec<u8>, ends: Ends) {
    match of_one_family(ends) {
        // The protocol's IPv6 addresses are groups of hexadecimal digits, with nothing of IPv4 in them.
        Some((SocketAddr::V6(from), SocketAddr::V6(to))) => {
            out.extend_from_slice(b"PROXY TCP6 ");
            groups(out, *from.ip());
            out.push(b' ');
            groups(out, *to.ip());
            let _ = write!(out, " {} {}\r\n", from.port(), to.port());
        }
        Some((from, to)) => {
            let _ = write!(out, "PROXY TCP4 {} {} {} {}\r\n", from.ip(), to.ip(), from.port(), to.port());
        }
        None => out.extend_from_slice(b"PROXY UNKNOWN\r\n"),
    }
}

/// Appends a header of version 2. Whoever has no address there is LOCAL.
pub fn write_binary(out: &mut Vec<u8>, ends: Ends) {
    out.extend_from_slice(SIGNATURE);
    match of_one_family(ends) {
        Some((SocketAddr::V4(from), SocketAddr::V4(to))) => {
            out.extend_from_slice(&[0x21, 0x11, 0, 12]);
            out.extend_from_slice(&from.ip().octets());
            out.extend_from_slice(&to.ip().octets());
            out.extend_from_slice(&from.port().to_be_bytes());
            out.extend_from_slice(&to.port().to_be_bytes());
        }
        Some((from, to)) => {
            out.extend_from_slice(&[0x21, 0x21, 0, 36]);
            out.extend_from_slice(&widened(from).octets());
            out.extend_from_slice(&widened(to).octets());
            out.extend_from_slice(&from.port().to_be_bytes());
            out.extend_from_slice(&to.port().to_be_bytes());
        }
        None => out.extend_from_slice(&[0x20, 0x00, 0, 0]),
    }
}

/// The two addresses in one family: IPv6 if either needs it.
fn of_one_family(ends: Ends) -> Option<(SocketAddr, SocketAddr)> {
    let Ends::Between(from, to) = ends else { return None };
    let plain = |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
    let (from, to) = (plain(from), plain(to));
    if from.is_ipv4() && to.is_ipv4() {
        return Some((from, to));
    }
    let wide = |address: SocketAddr| SocketAddr::new(widened(address).into(), address.port());
    Some((wide(from), wide(to)))
}

fn widened(address: SocketAddr) -> Ipv6Addr {
    match address.ip() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    }
}

fn groups(out: &mut Vec<u8>, ip: Ipv6Addr) {
    if ip.to_ipv4_mapped().is_none() {
        let _ = write!(out, "{ip}");
        return;
    }
    let [.., high, low] = ip.segments();
    let _ = write!(out, "::ffff:{high:x}:{low:x}");
}

#[cfg(test)]
mod tests;
