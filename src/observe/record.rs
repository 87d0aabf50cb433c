//! What one exchange leaves behind, as plain values. It refuses to know how it is written.

use crate::address::Peer;
use crate::observe::ended::Ended;

/// One exchange, ended.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// When it began, in microseconds of Unix time.
    pub time_us: u64,
    /// From the first byte of the request to the last of the response.
    pub duration_us: u64,
    /// From the first attempt to the response head; 0 without one.
    pub upstream_us: u64,
    /// Waited for a place at the upstream, in microseconds.
    pub queue_us: u64,
    /// Bytes of the request, head and body, as read.
    pub bytes_in: u64,
    /// Bytes of the response, head and body, as written.
    pub bytes_out: u64,
    /// Why it ended.
    pub ended: Ended,
    /// The status the client was given; 0 for none.
    pub status: u16,
    /// Attempts made.
    pub attempts: u32,
    /// The client's address; port 0 where it is not known.
    pub client: Peer,
    /// The listener's name.
    pub listener: &'a str,
    /// The request's id.
    pub request_id: &'a [u8],
    /// As received; empty if no head was understood.
    pub method: &'a [u8],
    /// As received.
    pub host: &'a [u8],
    /// The request target, as received.
    pub target: &'a [u8],
    /// `HTTP/1.0` or `HTTP/1.1`; empty if no head was understood.
    pub protocol: &'static str,
    /// The route's label; empty for none.
    pub route: &'a str,
    /// The upstream's name; empty for none.
    pub upstream: &'a str,
    /// The endpoint's address; empty for none.
    pub endpoint: &'a str,
    /// As received; empty for none.
    pub user_agent: &'a [u8],
    /// As received; empty for none.
    pub referer: &'a [u8],
    /// The version of TLS; empty: the client came in the open.
    pub tls: &'static str,
    /// Who the client is by its certificate; empty: it has shown none.
    pub certificate: &'a str,
}
