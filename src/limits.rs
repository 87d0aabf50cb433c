//! Every bound of the gateway that is not configured per listener or upstream, named with its unit and related to its
//! neighbours by assertions that the compiler checks. It refuses to know where a bound is used.

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
/// Bytes of a trailer section.
pub const TRAILER_BYTES: usize = 16 * 1024;
/// Fields of a trailer section.
pub const TRAILER_FIELDS: usize = 100;
/// Bytes of a kept `X-Request-Id`; a longer one is replaced.
pub const REQUEST_ID_BYTES: usize = 128;
/// Bytes of a PROXY protocol header of version 2.
pub const PROXY_BYTES: usize = 4096;
/// Elements of `X-Forwarded-For` that are looked at for the client.
pub const FORWARDED_FOR: usize = 100;
/// Labels of one kind (routes, upstreams, endpoints, listeners) that metrics keep apart; the rest share slot 0.
pub const LABELS: usize = 65_536;

const _: () = assert!(REQUEST_TARGET_BYTES < REQUEST_HEAD_BYTES);
const _: () = assert!(REQUEST_FIELDS <= RESPONSE_FIELDS);
const _: () = assert!(CHUNK_LINE_BYTES < CHUNK_EXTENSION_BYTES);
