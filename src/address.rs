//! Addresses: networks by prefix, and who is at the other end of a connection. It refuses to know sockets and names that
//! would have to be looked up.

use std::fmt;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::str::FromStr;

use ipnet::IpNet;

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
