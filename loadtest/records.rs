//! TLS between two buffers, for both ends of a load test: the states of rustls's unbuffered interface, walked through. It
//! refuses to know sockets, and which end it is.

use std::io;

use rustls::unbuffered::{ConnectionState, EncodeError, UnbufferedStatus};

/// Where a connection stands after a step.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// There may be more to do with what is there.
    On,
    /// Nothing can be done before more comes.
    Blocked,
    /// The handshake is over, and nothing can be done before more comes.
    Ready,
    /// The other side says no more.
    Ended,
}

/// Takes one step: what is to be said in answer goes behind `out`, content to `content`. Gives how many bytes of what came
/// are done with, too.
pub fn step<Data>(
    status: UnbufferedStatus<'_, '_, Data>,
    out: &mut Vec<u8>,
    content: &mut impl FnMut(&[u8]),
) -> io::Result<(usize, Step)> {
    let UnbufferedStatus { mut discard, state } = status;
    let step = match state.map_err(io::Error::other)? {
        ConnectionState::ReadTraffic(mut records) => {
            while let Some(record) = records.next_record() {
                let record = record.map_err(io::Error::other)?;
                discard += record.discard;
                content(record.payload);
            }
            Step::On
        }
        ConnectionState::EncodeTlsData(mut message) => {
            if let Err(EncodeError::InsufficientSize(need)) = message.encode(&mut []) {
                let end = out.len();
                out.resize(end + need.required_size, 0);
                message.encode(&mut out[end..]).map_err(io::Error::other)?;
            }
            Step::On
        }
        ConnectionState::TransmitTlsData(message) => {
            // It stands in `out`, which goes before anything else does.
            message.done();
            Step::On
        }
        ConnectionState::WriteTraffic(_) => Step::Ready,
        ConnectionState::PeerClosed => Step::Ended,
        _ => Step::Blocked,
    };
    Ok((discard, step))
}

/// Seals content, or that there is no more of it, behind `out`, once the handshake is over.
pub fn seal<Data>(
    status: UnbufferedStatus<'_, '_, Data>,
    content: Option<&[u8]>,
    out: &mut Vec<u8>,
) -> io::Result<usize> {
    let UnbufferedStatus { discard, state } = status;
    let Ok(ConnectionState::WriteTraffic(mut traffic)) = state else {
        return Err(io::ErrorKind::NotConnected.into());
    };
    let (end, bytes) = (out.len(), content.map_or(0, <[u8]>::len));
    out.resize(end + bytes + ADDED_BYTES * (1 + bytes / RECORD_BYTES), 0);
    let sealed = match content {
        Some(content) => traffic.encrypt(content, &mut out[end..]),
        None => traffic.queue_close_notify(&mut out[end..]),
    };
    out.truncate(end + *sealed.as_ref().unwrap_or(&0));
    sealed.map(|_| discard).map_err(io::Error::other)
}

/// Content of one record at most.
pub const RECORD_BYTES: usize = 16 * 1024;
/// What sealing adds to a record, and more.
const ADDED_BYTES: usize = 64;
