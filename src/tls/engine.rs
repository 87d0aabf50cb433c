//! rustls behind a line's [`Cipher`]: its unbuffered interface, which keeps no buffer of its own between two calls. It
//! refuses to know sockets; blocks come in, and blocks go out.

use std::cell::Cell;
use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::ProtocolVersion;
use rustls::ServerConfig;
use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::ServerName;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::ConnectionState;
use rustls::unbuffered::EncodeError;
use rustls::unbuffered::EncryptError;
use rustls::unbuffered::UnbufferedStatus;

use crate::buf::Block;
use crate::io::veil::Cipher;
use crate::io::veil::Facts;
use crate::io::veil::Fault;
use crate::io::veil::Stage;
use crate::tls::challenge;
use crate::tls::client;

/// One side of one connection.
pub struct Engine {
    side: Side,
    /// The name that a client asked for.
    name: Option<Box<str>>,
    ended: Ends,
    /// Whether something was wrong: nothing is asked of rustls after that.
    failed: bool,
    /// Until when what is settled may be taken up again.
    until: i64,
}

/// Whose end was said.
#[derive(Default)]
struct Ends {
    theirs: bool,
    ours: bool,
}

enum Side {
    Server(Box<UnbufferedServerConnection>),
    Client(Box<UnbufferedClientConnection>),
}

thread_local! {
    /// The name that the client whose hello is being taken asks for: rustls tells it to the resolver of certificates alone.
    static NAMED: RefCell<Option<Box<str>>> = const { RefCell::new(None) };
    /// Until when what is being settled may be taken up again: what looks at a client's certificate and what makes tickets
    /// know nothing of each other.
    static UNTIL: Cell<i64> = const { Cell::new(i64::MAX) };
}

/// Notes until when what is being settled on this thread may be taken up again, in seconds since 1970.
pub(super) fn note_end(until: i64) {
    UNTIL.set(until);
}

/// What was noted so.
pub(super) fn end() -> i64 {
    UNTIL.get()
}

/// Notes the name that the client asks for whose hello is being taken on this thread.
pub(super) fn note_name(name: Option<&str>) {
    NAMED.with_borrow_mut(|named| *named = name.map(Into::into));
}

/// What a step wants of the state that rustls is in.
enum Want<'a> {
    /// Nothing: whatever has come is to be opened.
    Open,
    /// This to be sealed.
    Seal(&'a [u8]),
    /// The end to be said.
    End,
}

/// How a step ended.
enum Step {
    /// Something was done; there may be more.
    On,
    /// The other side has said that no more content follows.
    Ended,
    /// Nothing can be done before more comes.
    Blocked,
    /// Nothing is left to do, and content may be sealed.
    Idle,
    /// What was wanted is done.
    Done,
}

impl Engine {
    /// The server's side.
    ///
    /// # Errors
    /// What rustls finds wrong with the configuration.
    pub fn server(config: &Arc<ServerConfig>) -> Result<Self, Fault> {
        let connection = UnbufferedServerConnection::new(config.clone()).map_err(|error| fault(&error))?;
        Ok(Self {
            side: Side::Server(Box::new(connection)),
            name: None,
            ended: Ends::default(),
            failed: false,
            until: i64::MAX,
        })
    }

    /// The client's side, towards a server of that name.
    ///
    /// # Errors
    /// What rustls finds wrong with the configuration.
    pub fn client(config: &Arc<ClientConfig>, name: ServerName<'static>) -> Result<Self, Fault> {
        let connection = UnbufferedClientConnection::new(config.clone(), name).map_err(|error| fault(&error))?;
        Ok(Self {
            side: Side::Client(Box::new(connection)),
            name: None,
            ended: Ends::default(),
            failed: false,
            until: i64::MAX,
        })
    }

    /// One step; drops from `wire` what it has consumed.
    fn step(
        &mut self,
        wire: &mut Block,
        content: &mut Block,
        out: &mut Block,
        want: &Want<'_>,
    ) -> Result<Step, rustls::Error> {
        let (discard, step) = match &mut self.side {
            Side::Server(connection) => take(connection.process_tls_records(wire.bytes_mut()), content, out, want),
            Side::Client(connection) => take(connection.process_tls_records(wire.bytes_mut()), content, out, want),
        };
        wire.consume(discard);
        step
    }

    /// Steps until nothing is left to do.
    fn run(
        &mut self,
        wire: &mut Block,
        content: &mut Block,
        out: &mut Block,
        want: &Want<'_>,
    ) -> Result<Step, rustls::Error> {
        if self.failed {
            return Err(rustls::Error::HandshakeNotComplete);
        }
        loop {
            match self.step(wire, content, out, want) {
                Ok(Step::On) => {}
                Ok(Step::Ended) => self.ended.theirs = true,
                Ok(step) => return Ok(step),
                Err(error) => {
                    self.failed = true;
                    return Err(error);
                }
            }
        }
    }

    fn is_settling(&self) -> bool {
        match &self.side {
            Side::Server(connection) => connection.is_handshaking(),
            Side::Client(connection) => connection.is_handshaking(),
        }
    }
}

impl Cipher for Engine {
    fn open(&mut self, wire: &mut Block, content: &mut Block, answer: &mut Block) -> Result<Stage, Fault> {
        if self.failed {
            return Err(Fault::of("the connection has failed before"));
        }
        let settling = self.is_settling();
        UNTIL.set(self.until);
        let ran = self.run(wire, content, answer, &Want::Open);
        if settling {
            self.until = UNTIL.get();
            self.name = NAMED.take().or_else(|| self.name.take());
        }
        if let Err(error) = ran {
            // The alert, which rustls holds ready, unless the end was said: it was the last word then.
            while !self.ended.ours && matches!(self.step(wire, &mut Block::none(), answer, &Want::Open), Ok(Step::On)) {
            }
            return Err(fault(&error));
        }
        if self.ended.theirs {
            // Whatever comes behind the end is nobody's.
            wire.clear();
            return Ok(Stage::Ended);
        }
        Ok(if self.is_settling() { Stage::Settling } else { Stage::Ready })
    }

    fn seal(&mut self, wire: &mut Block, content: &[u8], out: &mut Block) -> Result<(), Fault> {
        let mut found = Block::none();
        match self.run(wire, &mut found, out, &Want::Seal(content)) {
            Ok(Step::Done) => Ok(()),
            Ok(_) => Err(Fault::of("nothing can be sealed before the handshake is over")),
            Err(error) => Err(fault(&error)),
        }
    }

    fn end(&mut self, wire: &mut Block, out: &mut Block) {
        drop(self.run(wire, &mut Block::none(), out, &Want::End));
        self.ended.ours = true;
    }

    fn facts(&mut self) -> Facts {
        let state: &rustls::CommonState = match &self.side {
            Side::Server(connection) => connection,
            Side::Client(connection) => connection,
        };
        Facts {
            version: version(state.protocol_version()),
            name: self.name.take(),
            peer: state.peer_certificates().and_then(<[_]>::first).map(|first| first.to_vec().into()),
            resumed: state.handshake_kind() == Some(rustls::HandshakeKind::Resumed),
            looked_at: state.alpn_protocol() == Some(challenge::PROTOCOL),
        }
    }
}

/// Takes the state that rustls is in as far as it goes; how many bytes of the wire are done with.
fn take<Data>(
    status: UnbufferedStatus<'_, '_, Data>,
    content: &mut Block,
    out: &mut Block,
    want: &Want<'_>,
) -> (usize, Result<Step, rustls::Error>) {
    let UnbufferedStatus { mut discard, state } = status;
    let step = match state {
        Err(error) => Err(error),
        Ok(ConnectionState::ReadTraffic(mut records)) => {
            let mut step = Ok(Step::On);
            while let Some(record) = records.next_record() {
                match record {
                    Ok(record) => {
                        discard += record.discard;
                        content.reserve(record.payload.len());
                        content.tail().extend_from_slice(record.payload);
                    }
                    Err(error) => step = Err(error),
                }
            }
            step
        }
        Ok(ConnectionState::EncodeTlsData(mut message)) => match message.encode(&mut []) {
            Err(EncodeError::InsufficientSize(need)) => {
                append(out, need.required_size, |room| message.encode(room).ok()).map(|()| Step::On)
            }
            Ok(_) | Err(EncodeError::AlreadyEncoded) => Ok(Step::On),
        },
        Ok(ConnectionState::TransmitTlsData(sent)) => {
            // It stands in `out`, which goes before anything else does.
            sent.done();
            Ok(Step::On)
        }
        Ok(ConnectionState::PeerClosed) => Ok(Step::Ended),
        Ok(ConnectionState::WriteTraffic(mut traffic)) => match want {
            Want::Open => Ok(Step::Idle),
            Want::Seal(content) => encrypted(out, |room| traffic.encrypt(content, room)).map(|()| Step::Done),
            Want::End => encrypted(out, |room| traffic.queue_close_notify(room)).map(|()| Step::Done),
        },
        // 0-RTT is never offered nor taken; and what is to come in later versions, or after both ends, is nothing to act on.
        Ok(_) => Ok(Step::Blocked),
    };
    (discard, step)
}

fn encrypted(
    out: &mut Block,
    mut encrypt: impl FnMut(&mut [u8]) -> Result<usize, EncryptError>,
) -> Result<(), rustls::Error> {
    match encrypt(&mut []) {
        Ok(_) => Ok(()),
        Err(EncryptError::InsufficientSize(need)) => append(out, need.required_size, |room| encrypt(room).ok()),
        Err(EncryptError::EncryptExhausted) => Err(rustls::Error::EncryptError),
    }
}

/// Appends what `write` writes into `room` bytes.
fn append(out: &mut Block, room: usize, write: impl FnOnce(&mut [u8]) -> Option<usize>) -> Result<(), rustls::Error> {
    out.reserve(room);
    let before = out.len();
    let whole = out.tail().len();
    out.tail().resize(whole + room, 0);
    let written = out.bytes_mut().get_mut(before..).and_then(write);
    out.truncate(before + written.unwrap_or(0));
    written.map(drop).ok_or(rustls::Error::EncryptError)
}

/// What rustls says, without what it may quote of the other side's bytes.
fn fault(error: &rustls::Error) -> Fault {
    let words = error.to_string().chars().filter(|char| !char.is_control()).take(FAULT_CHARS).collect();
    Fault { words, sort: client::sort(error) }
}

/// Longest words of a fault.
const FAULT_CHARS: usize = 300;

fn version(version: Option<ProtocolVersion>) -> &'static str {
    match version {
        Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
        Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
        _ => "",
    }
}

impl fmt::Debug for Engine {
    // Keys are not for logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Engine")
    }
}

#[cfg(test)]
#[path = "engine_tests.rs"]
pub(super) mod tests;
