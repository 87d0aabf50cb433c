//! Every bound of the gateway that is not configured per listener or upstream, named with its unit and related to its
//! neighbours by assertions that the compiler checks. It refuses to know where a bound is used.

use std::time::Duration;

/// Bytes of a request head before 431, unless the listener says otherwise.
pub const REQUEST_HEAD_BYTES: usize = 16 * 1024;
/// Bytes of a request target before 414, unless the listener says otherwise.
pub const REQUEST_TARGET_BYTES: usize = 8 * 1024;
/// Fields of a request head before 431, unless the listener says otherwise.
pub const REQUEST_FIELDS: usize = 100;
/// Bytes of a response head before 502.
pub const RESPONSE_HEAD_BYTES: usize = 32 * 1024;
/// Fields of a response head before 502; also the most that any head may be configured to hold.
pub const RESPONSE_FIELDS: usize = 200;
/// Interim (1xx) responses to one request before 502.
pub const INTERIM_RESPONSES: u32 = 32;
/// Bytes of one chunk-size line, extensions included, CRLF not.
pub const CHUNK_LINE_BYTES: usize = 256;
/// Bytes of chunk extensions in one message.
pub const CHUNK_EXTENSION_BYTES: usize = 16 * 1024;
/// Bytes of a kept `X-Request-Id`; a longer one is replaced.
pub const REQUEST_ID_BYTES: usize = 128;
/// How long one side of a body may be waited for in all, beyond what its bytes are worth at its minimum rate.
pub const RATE_GRACE: Duration = Duration::from_secs(10);
/// How long a tunnel may carry nothing, unless the listener or the route says otherwise.
pub const TUNNEL_IDLE: Duration = Duration::from_mins(5);
/// How long a client that was told the end of its connection is heard out while it goes on sending.
pub const LINGER_TIME: Duration = Duration::from_secs(30);
/// How long it is heard out while it is silent.
pub const LINGER_PAUSE: Duration = Duration::from_secs(2);
/// How long a side of a tunnel that was told the end is heard out while it goes on sending.
pub const TUNNEL_LAST_TIME: Duration = Duration::from_secs(5);
/// How long it is heard out while it is silent.
pub const TUNNEL_LAST_PAUSE: Duration = Duration::from_secs(2);
/// Bytes of a PROXY protocol header of version 2.
pub const PROXY_BYTES: usize = 4096;
/// Elements of `X-Forwarded-For` that are looked at for the client.
pub const FORWARDED_FOR: usize = 100;
/// Labels of one kind (routes, upstreams, endpoints, listeners) that metrics keep apart; the rest share slot 0.
pub const LABELS: usize = 65_536;

const _: () = assert!(REQUEST_TARGET_BYTES < REQUEST_HEAD_BYTES);
const _: () = assert!(REQUEST_FIELDS <= RESPONSE_FIELDS);
const _: () = assert!(CHUNK_LINE_BYTES < CHUNK_EXTENSION_BYTES);
