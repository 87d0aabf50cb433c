//! HTTP/1 on the wire: heads ([`parse`]) and chunks ([`chunked`]).

pub mod chunked;
pub(super) mod parse;
