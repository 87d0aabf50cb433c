//! Why an exchange ended, and THE table that turns it into a status, a log word, a metric label and a sentence.
//!
//! The set is closed: every way out of `serve` ends in one [`Cause`], and the compiler asks for its row here. The module
//! refuses to know how an answer is written.

/// How an exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Why.
    pub cause: Cause,
    /// How far the exchange had come.
    pub phase: Phase,
}

/// Whose doing it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// The client's, or the way to it.
    Client,
    /// Ours.
    Gateway,
    /// The upstream's, or the way to it.
    Upstream,
}

/// How far an exchange had come when it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The request head was being read.
    Request,
    /// A route and an endpoint were being chosen.
    Route,
    /// A connection to an endpoint was being opened.
    Connect,
    /// The request was sent and the response head awaited.
    Wait,
    /// The response was on its way to the client.
    Response,
    /// Bytes went both ways through a tunnel.
    Tunnel,
    /// Everything had been sent.
    Done,
}

/// Why an exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Cause {
    /// A whole response was relayed, or a tunnel until both its sides had closed.
    Ok,
    /// The client ended a connection that was carried as it is, and everything was carried.
    ClientClosed,
    /// The client went away.
    ClientAbort,
    /// The client took too long over its request head.
    ClientTimeoutHead,
    /// The client paused too long within its request body, or in taking the response; or it was too slow over either.
    ClientTimeoutBody,
    /// The client took too long over its TLS hello.
    ClientTimeoutHello,
    /// The client speaks no TLS where its hello is waited for, or its hello breaks the rules or is too long.
    BadHello,
    /// The client asks by TLS for a name that is carried nowhere.
    UnknownName,
    /// The request breaks the rules of HTTP.
    BadRequest,
    /// The request head is over its bounds.
    HeadTooLarge,
    /// The request target is over its bound.
    TargetTooLong,
    /// The request body is over the route's bound.
    BodyTooLarge,
    /// The request asks for what the gateway does not do: CONNECT where no route takes it, or an expectation it does not know.
    NotImplemented,
    /// The request speaks a version of HTTP other than 1.0 and 1.1.
    BadVersion,
    /// The request's host is not the one that its TLS connection was made for.
    Misdirected,
    /// The listener sends every request on to where TLS is spoken.
    Redirected,
    /// An authority has looked, by ACME, whether a name is ours, and was answered.
    AcmeChallenge,
    /// No route takes the request.
    NoRoute,
    /// No endpoint could be tried: all connections of the upstream are taken.
    NoEndpoint,
    /// As many requests as the upstream may have are under way, and as many wait as may.
    UpstreamOverloaded,
    /// No place at the upstream became free within `limit.queue_time`.
    QueueTimeout,
    /// The gateway itself is short of something, and requests of the route's class are refused first.
    Overloaded,
    /// The time that the request's client gives it was over before anything went to an endpoint.
    DeadlineExpired,
    /// No response head within `timeout.total`, or within what the request's client gives it.
    UpstreamTimeoutTotal,
    /// Nobody listens at the endpoint, or no way leads there.
    UpstreamRefused,
    /// No connection to the endpoint within `timeout.connect`.
    UpstreamTimeoutConnect,
    /// The endpoint and the gateway could not agree on TLS, or the endpoint is not who it must be.
    UpstreamTls,
    /// No response head within `timeout.response`.
    UpstreamTimeoutHeaders,
    /// A pause within the response body longer than `timeout.body`, or a response body below the minimum rate.
    UpstreamTimeoutBody,
    /// The endpoint closed the connection before a response head.
    UpstreamClosed,
    /// The endpoint reset the connection before a response head, or one that was carried as it is.
    UpstreamReset,
    /// The response breaks the rules of HTTP.
    UpstreamBadResponse,
    /// The response body ended before its end.
    UpstreamTruncated,
    /// Nothing went through a tunnel, either way, for `timeout.tunnel`, or a connection that is carried as it is for
    /// `timeout.carried`.
    TunnelIdle,
    /// The drain's time was over, or a tunnel's place in it had come.
    Drain,
    /// A fault of the gateway's own.
    Panic,
}

/// What the table says of a cause.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The word of log and metrics.
    pub word: &'static str,
    /// Whose doing it was.
    pub who: Who,
    /// The status the client is given, or would have been; 0: the upstream's own.
    pub status: u16,
    /// One sentence for the client and the operator.
    pub words: &'static str,
}

impl Cause {
    /// Every cause, in the order of their numbers.
    pub const ALL: [Cause; 36] = [
        Cause::Ok,
        Cause::ClientClosed,
        Cause::ClientAbort,
        Cause::ClientTimeoutHead,
        Cause::ClientTimeoutBody,
        Cause::ClientTimeoutHello,
        Cause::BadHello,
        Cause::UnknownName,
        Cause::BadRequest,
        Cause::HeadTooLarge,
        Cause::TargetTooLong,
        Cause::BodyTooLarge,
        Cause::NotImplemented,
        Cause::BadVersion,
        Cause::Misdirected,
        Cause::Redirected,
        Cause::AcmeChallenge,
        Cause::NoRoute,
        Cause::NoEndpoint,
        Cause::UpstreamOverloaded,
        Cause::QueueTimeout,
        Cause::Overloaded,
        Cause::DeadlineExpired,
        Cause::UpstreamTimeoutTotal,
        Cause::UpstreamRefused,
        Cause::UpstreamTimeoutConnect,
        Cause::UpstreamTls,
        Cause::UpstreamTimeoutHeaders,
        Cause::UpstreamTimeoutBody,
        Cause::UpstreamClosed,
        Cause::UpstreamReset,
        Cause::UpstreamBadResponse,
        Cause::UpstreamTruncated,
        Cause::TunnelIdle,
        Cause::Drain,
        Cause::Panic,
    ];

    /// The number of causes.
    pub const COUNT: usize = Self::ALL.len();

    /// Whether something went wrong.
    #[must_use]
    pub const fn is_error(self) -> bool {
        !matches!(self, Self::Ok | Self::ClientClosed | Self::Redirected | Self::AcmeChallenge)
    }

    /// The table's row.
    #[must_use]
    pub const fn row(self) -> Row {
        use Who::{Client, Gateway, Upstream};
        let (word, who, status, words) = match self {
            Self::Ok => ("ok", Upstream, 0, "the response was relayed whole"),
            Self::ClientClosed => ("client_closed", Client, 0, "the client ended the connection, and all was carried"),
            Self::ClientAbort => ("client_abort", Client, 499, "the client went away"),
            Self::ClientTimeoutHead => ("client_timeout_head", Client, 408, "the request head did not arrive in time"),
            Self::ClientTimeoutBody => {
                ("client_timeout_body", Client, 408, "the client took too long over a request's body, or a response")
            }
            Self::ClientTimeoutHello => ("client_timeout_hello", Client, 0, "the TLS hello did not arrive in time"),
            Self::BadHello => ("bad_hello", Client, 0, "the client's TLS hello is none, or breaks the rules"),
            Self::UnknownName => ("unknown_name", Client, 0, "the name that the client asks for is carried nowhere"),
            Self::BadRequest => ("bad_request", Client, 400, "the request breaks the rules of HTTP"),
            Self::HeadTooLarge => ("head_too_large", Client, 431, "the request head is too large"),
            Self::TargetTooLong => ("target_too_long", Client, 414, "the request target is too long"),
            Self::BodyTooLarge => ("body_too_large", Client, 413, "the request body is larger than this route takes"),
            Self::NotImplemented => {
                ("not_implemented", Client, 501, "the gateway does not do what the request asks for")
            }
            Self::BadVersion => ("bad_version", Client, 505, "the gateway speaks HTTP/1.0 and HTTP/1.1 here"),
            Self::Misdirected => ("misdirected", Client, 421, "the connection is for another host than the request's"),
            Self::Redirected => ("redirected", Gateway, 308, "this host is to be asked by TLS"),
            Self::AcmeChallenge => ("acme_challenge", Gateway, 200, "the answer to a challenge of ACME"),
            Self::NoRoute => ("no_route", Gateway, 404, "no route takes this host and path"),
            Self::NoEndpoint => ("no_endpoint", Gateway, 503, "no endpoint of the service can take the request now"),
            Self::UpstreamOverloaded => (
                "upstream_overloaded",
                Gateway,
                503,
                "the service has as many requests as it may, and so has the queue",
            ),
            Self::QueueTimeout => ("queue_timeout", Gateway, 503, "the service had no room for the request in time"),
            Self::Overloaded => {
                ("overloaded", Gateway, 503, "the gateway is overloaded and refuses such requests first")
            }
            Self::DeadlineExpired => {
                ("deadline_expired", Client, 504, "the time that the client gave the request was over at once")
            }
            Self::UpstreamTimeoutTotal => {
                ("upstream_timeout_total", Upstream, 504, "the service did not answer within all the time there was")
            }
            Self::UpstreamRefused => ("upstream_refused", Upstream, 502, "the service refused the connection"),
            Self::UpstreamTimeoutConnect => {
                ("upstream_timeout_connect", Upstream, 504, "the service did not accept a connection in time")
            }
            Self::UpstreamTls => ("upstream_tls", Upstream, 502, "no secure connection to the service could be made"),
            Self::UpstreamTimeoutHeaders => {
                ("upstream_timeout_headers", Upstream, 504, "the service did not answer in time")
            }
            Self::UpstreamTimeoutBody => {
                ("upstream_timeout_body", Upstream, 504, "the service took too long over its response")
            }
            Self::UpstreamClosed => {
                ("upstream_closed", Upstream, 502, "the service closed the connection before it answered")
            }
            Self::UpstreamReset => {
                ("upstream_reset", Upstream, 502, "the service reset the connection before it answered")
            }
            Self::UpstreamBadResponse => {
                ("upstream_bad_response", Upstream, 502, "the response of the service breaks the rules of HTTP")
            }
            Self::UpstreamTruncated => {
                ("upstream_truncated", Upstream, 502, "the response of the service ended before its end")
            }
            Self::TunnelIdle => ("tunnel_idle", Gateway, 504, "nothing went through the tunnel for too long"),
            Self::Drain => ("drain", Gateway, 503, "the gateway is shutting down"),
            Self::Panic => ("panic", Gateway, 500, "a fault of the gateway's own"),
        };
        Row { word, who, status, words }
    }
}

impl Who {
    /// The word of the log.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Gateway => "gateway",
            Self::Upstream => "upstream",
        }
    }
}

impl Phase {
    /// The word of the log.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Route => "route",
            Self::Connect => "connect",
            Self::Wait => "wait",
            Self::Response => "response",
            Self::Tunnel => "tunnel",
            Self::Done => "done",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_stands_at_its_own_number_and_has_its_own_word() {
        let mut words = std::collections::BTreeSet::new();
        for (number, cause) in Cause::ALL.into_iter().enumerate() {
            assert_eq!(cause as usize, number);
            assert!(words.insert(cause.row().word), "{cause:?} shares its word");
        }
    }
}
