//! `tcp` and `passthrough` of a listener: whose bytes it carries instead of reading requests. Plain data; it refuses to
//! know how any of it is done.

use std::time::Duration;

use crate::id::UpstreamIndex;
use crate::model::HostPattern;

/// What a listener carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relay {
    /// Where to.
    pub way: Way,
    /// A connection that carries nothing, either way, ends after this.
    pub idle: Duration,
}

/// Where the connections of a listener are carried to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// All to one upstream.
    Tcp(UpstreamIndex),
    /// Each by the name in its client's TLS hello.
    Passthrough(Passthrough),
}

/// `passthrough`, with what of `handshake` concerns it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passthrough {
    /// At least one, in the order of their texts; no pattern twice.
    pub names: Vec<(HostPattern, UpstreamIndex)>,
    /// Bytes of a client's hello before the connection is refused.
    pub hello_bytes: usize,
    /// From accept to the whole hello.
    pub timeout: Duration,
}

impl Relay {
    /// Bytes of a client's hello before the connection is refused; 0: none is waited for.
    #[must_use]
    pub fn hello_bytes(&self) -> usize {
        match &self.way {
            Way::Tcp(_) => 0,
            Way::Passthrough(passthrough) => passthrough.hello_bytes,
        }
    }

    /// From accept to the whole hello, if one is waited for.
    #[must_use]
    pub fn hello_timeout(&self) -> Option<Duration> {
        match &self.way {
            Way::Tcp(_) => None,
            Way::Passthrough(passthrough) => Some(passthrough.timeout),
        }
    }

    /// The upstreams that are carried to; one may come more than once.
    pub fn upstreams(&self) -> impl Iterator<Item = UpstreamIndex> {
        let (one, many) = match &self.way {
            Way::Tcp(upstream) => (Some(*upstream), &[][..]),
            Way::Passthrough(passthrough) => (None, passthrough.names.as_slice()),
        };
        one.into_iter().chain(many.iter().map(|(_, upstream)| *upstream))
    }
}
