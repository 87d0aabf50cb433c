//! Addresses: where something listens, networks by prefix, and who is at the other end of a connection. It refuses to know
//! sockets and names that would have to be looked up.

use std::fmt;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use ipnet::IpNet;

/// Where something listens: a listener of ours, or an endpoint. As text `127.0.0.1:80`, `[::1]:80` or `unix:/run/app.sock`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// An IP address and a port.
    Ip(SocketAddr),
    /// A Unix socket, by its path: absolute, UTF-8 without control characters, at most [`PATH_BYTES`]. Paths that differ
    /// in doubled slashes alone are the same.
    Unix(Arc<Path>),
}

/// Bytes of a Unix socket's path: what the kernel has room for (unix(7)), without the NUL behind it.
pub const PATH_BYTES: usize = 107;

/// Why a text is no [`Address`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// Neither an IP address with a port nor `unix:` and a path.
    Form,
    /// The path after `unix:` is not absolute, or names a directory.
    Path,
    /// The path has more than [`PATH_BYTES`].
    Long,
    /// The path has control characters.
    Control,
}

/// Who is at the other end of a client's connection, or said to be by those who are trusted to say so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Somebody on a network.
    Ip(SocketAddr),
    /// Somebody on this machine, over a Unix socket, which has no address of its own.
    Unix,
}

/// Sets of addresses, by prefix.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks {
    /// Each as it was written, an address alone as a network of one.
    pub list: Vec<IpNet>,
    /// Whether everybody on this machine's Unix sockets belongs to them.
    pub unix: bool,
}

impl Address {
    /// The IP address and port, if it has them.
    #[must_use]
    pub fn ip(&self) -> Option<SocketAddr> {
        match self {
            Self::Ip(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }

    /// The socket's path, if it is a Unix socket.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Ip(_) => None,
            Self::Unix(path) => Some(path),
        }
    }

    /// Whether the kernel is to choose its port.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.ip().is_some_and(|address| address.port() == 0)
    }
}

impl FromStr for Address {
    type Err = Unfit;

    fn from_str(text: &str) -> Result<Self, Unfit> {
        let Some(path) = text.strip_prefix("unix:") else {
            return text.parse().map(Self::Ip).map_err(|_| Unfit::Form);
        };
        let directory = path.ends_with('/') || path.ends_with("/.") || Path::new(path).file_name().is_none();
        if directory || !path.starts_with('/') {
            return Err(Unfit::Path);
        }
        if path.chars().any(char::is_control) {
            return Err(Unfit::Control);
        }
        if path.len() > PATH_BYTES {
            return Err(Unfit::Long);
        }
        Ok(Self::Unix(Path::new(path).into()))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self::Ip(address)
    }
}

impl Peer {
    /// Its IP address, if it has one.
    #[must_use]
    pub fn ip(self) -> Option<IpAddr> {
        match self {
            Self::Ip(address) => Some(address.ip().to_canonical()),
            Self::Unix => None,
        }
    }
}

impl From<SocketAddr> for Peer {
    fn from(address: SocketAddr) -> Self {
        Self::Ip(address)
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) if address.port() == 0 => address.ip().fmt(f),
            Self::Ip(address) => address.fmt(f),
            Self::Unix => f.write_str("unix:"),
        }
    }
}

impl Networks {
    /// Whether nobody belongs to them.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty() && !self.unix
    }

    /// Whether a peer belongs to them. An IPv4 address written as IPv6 is what it means.
    #[must_use]
    pub fn holds(&self, peer: Peer) -> bool {
        peer.ip().map_or(self.unix, |ip| self.holds_ip(ip))
    }

    /// Whether an IP address belongs to them. The cost grows with their number.
    #[must_use]
    pub fn holds_ip(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.list.iter().any(|network| network.contains(&ip))
    }
}

/// A network, or an address as a network of one; bits behind the prefix are not looked at.
///
/// # Errors
/// When the text is neither.
pub fn network(text: &str) -> Option<IpNet> {
    IpNet::from_str(text).ok().or_else(|| IpAddr::from_str(text).ok().map(IpNet::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_and_shown() {
        let longest = format!("unix:/{}", "a".repeat(PATH_BYTES - 1));
        let shown =
            ["127.0.0.1:0", "0.0.0.0:80", "[::1]:8080", "[::]:80", "unix:/a", "unix:/run/my app/http.sock", &longest];
        for text in shown {
            assert_eq!(text.parse::<Address>().map(|address| address.to_string()).as_deref(), Ok(text));
        }
        for (text, unfit) in [
            ("", Unfit::Form),
            (":80", Unfit::Form),
            ("localhost:80", Unfit::Form),
            ("/run/app.sock", Unfit::Form),
            ("unix:", Unfit::Path),
            ("unix:app.sock", Unfit::Path),
            ("unix:@app", Unfit::Path),
            ("unix:/", Unfit::Path),
            ("unix:/run/", Unfit::Path),
            ("unix:/run/.", Unfit::Path),
            ("unix:/run/..", Unfit::Path),
            ("unix:/run/a\nREADY", Unfit::Control),
            ("unix:/run/a\0", Unfit::Control),
            (&format!("{longest}a"), Unfit::Long),
        ] {
            assert_eq!(text.parse::<Address>(), Err(unfit), "{text:?}");
        }
        let same = ["unix:/run//a", "unix:/run/./a", "unix:/run/a"].map(|text| text.parse::<Address>().unwrap());
        assert!(same[0] == same[2] && same[1] == same[2]);
        let open = ["127.0.0.1:0", "[::1]:0", "127.0.0.1:1", "unix:/a"].map(|text| text.parse::<Address>().unwrap());
        assert_eq!(open.each_ref().map(Address::is_open), [true, true, false, false]);
    }

    #[test]
    fn networks_hold_what_their_prefix_says() {
        let list = ["10.0.0.0/8", "192.168.1.7", "fd00::/8", "::1"].map(|text| network(text).unwrap());
        let networks = Networks { list: list.into(), unix: false };
        for (ip, held) in [
            ("10.1.2.3", true),
            ("11.0.0.1", false),
            ("192.168.1.7", true),
            ("192.168.1.8", false),
            ("fd12::1", true),
            ("fe80::1", false),
            ("::1", true),
            ("::ffff:10.9.9.9", true),
            ("::ffff:11.9.9.9", false),
        ] {
            let peer = Peer::Ip(SocketAddr::new(ip.parse().unwrap(), 9));
            assert_eq!(networks.holds(peer), held, "{ip}");
        }
        assert!(!networks.holds(Peer::Unix));
        assert!(Networks { list: Vec::new(), unix: true }.holds(Peer::Unix));
        assert!(Networks::default().is_empty() && !networks.is_empty());
        assert_eq!((network("10.0.0.0/33"), network("a"), network("10.0.0")), (None, None, None));
    }
}
