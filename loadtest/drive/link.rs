//! A connection of the load: bare, or with TLS above it, by the interface of rustls that keeps no buffers. It refuses to
//! know what is said over it, and whether the other side is who it says it is: that costs the proxy nothing.

use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, UnbufferedClientConnection};
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{cipher_suite, default_provider, kx_group};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, HandshakeKind, SignatureScheme};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::plan::{Key, Plan};
use crate::records::{self, RECORD_BYTES, Step};

/// What the connections of one place begin TLS with.
#[derive(Clone)]
pub struct Tls {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

/// A connection.
pub struct Link {
    stream: TcpStream,
    veil: Option<Box<Veil>>,
}

/// What TLS needs of a connection.
struct Veil {
    connection: UnbufferedClientConnection,
    /// Came off the wire and is no whole record yet.
    wire: Vec<u8>,
    out: Vec<u8>,
    /// Bytes of `out` that are sent.
    sent: usize,
    ready: bool,
}

/// Takes anybody for the one it wants, and has only such keys shown to it.
#[derive(Debug)]
struct Anybody(Vec<SignatureScheme>);

// === impl Tls ===

impl Tls {
    /// As the plan asks; nothing, where it asks for none. One version, one suite, and one group (or two, if the newer
    /// one is asked for), so that every proxy does the same work.
    pub fn new(plan: &Plan) -> Result<Option<Self>, Box<dyn std::error::Error>> {
        let Some(key) = plan.tls else { return Ok(None) };
        let schemes = match key {
            Key::Ecdsa => vec![SignatureScheme::ECDSA_NISTP256_SHA256],
            // The second is not for TLS 1.3: HAProxy tells by it that RSA will do.
            Key::Rsa => vec![SignatureScheme::RSA_PSS_SHA256, SignatureScheme::RSA_PKCS1_SHA256],
        };
        let groups =
            if plan.hybrid { vec![kx_group::X25519MLKEM768, kx_group::X25519] } else { vec![kx_group::X25519] };
        let provider = CryptoProvider {
            cipher_suites: vec![cipher_suite::TLS13_AES_128_GCM_SHA256],
            kx_groups: groups,
            ..default_provider()
        };
        let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anybody(schemes)))
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config.resumption = Resumption::disabled();
        Ok(Some(Self { config: Arc::new(config), name: ServerName::try_from(plan.host.clone())? }))
    }

    /// The same with a memory of its own for tickets, so that a place that has had one always has one.
    pub fn with_tickets(mut self) -> Self {
        Arc::make_mut(&mut self.config).resumption = Resumption::in_memory_sessions(TICKETS);
        self
    }
}

// === impl Link ===

impl Link {
    /// Begins a connection; the socket is writable once it stands.
    pub fn begin(to: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        match socket.connect(&to.into()) {
            Err(fault) if fault.raw_os_error() != Some(libc::EINPROGRESS) => Err(fault),
            _ => Ok(Self { stream: socket.into(), veil: None }),
        }
    }

    /// The connection stands, or does not; if TLS is wanted, it begins.
    pub fn stands(&mut self, tls: Option<&Tls>) -> io::Result<()> {
        if let Some(fault) = self.stream.take_error()? {
            return Err(fault);
        }
        let Some(tls) = tls else { return Ok(()) };
        let connection =
            UnbufferedClientConnection::new(tls.config.clone(), tls.name.clone()).map_err(io::Error::other)?;
        let mut veil = Veil { connection, wire: Vec::new(), out: Vec::new(), sent: 0, ready: false };
        veil.open(&mut [], |_| {})?;
        self.veil = Some(Box::new(veil));
        self.push().map(drop)
    }

    /// Whether content may be said: TLS, where there is any, is settled.
    pub fn is_ready(&self) -> bool {
        self.veil.as_ref().is_none_or(|veil| veil.ready)
    }

    /// Whether TLS was settled by a ticket; nothing where there is none.
    pub fn resumed(&self) -> Option<bool> {
        self.veil.as_ref().map(|veil| veil.connection.handshake_kind() == Some(HandshakeKind::Resumed))
    }

    /// Reads once and hands what is content on, piece by piece. False: nothing more comes.
    pub fn read(&mut self, scratch: &mut [u8], mut content: impl FnMut(&[u8])) -> io::Result<bool> {
        let kept = self.veil.as_ref().map_or(0, |veil| veil.wire.len());
        let count = match self.stream.read(&mut scratch[kept..]) {
            Err(fault) if matches!(fault.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                return Ok(true);
            }
            read => read?,
        };
        let Some(veil) = &mut self.veil else {
            if count > 0 {
                content(&scratch[..count]);
            }
            return Ok(count > 0);
        };
        scratch[..kept].copy_from_slice(&veil.wire);
        let bytes = &mut scratch[..kept + count];
        let (taken, open) = veil.open(bytes, content)?;
        veil.wire.clear();
        veil.wire.extend_from_slice(&bytes[taken..]);
        self.push()?;
        Ok(open && count > 0)
    }

    /// Sends what is sealed. True: all of it.
    pub fn push(&mut self) -> io::Result<bool> {
        let Some(veil) = &mut self.veil else { return Ok(true) };
        while veil.sent < veil.out.len() {
            match self.stream.write(&veil.out[veil.sent..]) {
                Ok(count) => veil.sent += count,
                Err(fault) if fault.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(fault) if fault.kind() == io::ErrorKind::Interrupted => {}
                Err(fault) => return Err(fault),
            }
        }
        veil.out.clear();
        veil.sent = 0;
        Ok(true)
    }

    /// Says that no more is said, as far as that goes without a wait.
    pub fn end(&mut self) {
        if let Some(veil) = &mut self.veil
            && veil.seal(None).is_ok()
        {
            drop(self.push());
        }
    }

    /// No more is sent, and TLS does not say so.
    pub fn cut(&self) {
        drop(self.stream.shutdown(Shutdown::Write));
    }

    /// When it is dropped, the other side gets an RST.
    pub fn will_reset(&self) {
        drop(SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)));
    }
}

impl AsRawFd for Link {
    fn as_raw_fd(&self) -> RawFd {
        self.stream.as_raw_fd()
    }
}

impl Write for Link {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.push()? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let Some(veil) = &mut self.veil else { return self.stream.write(bytes) };
        let piece = &bytes[..bytes.len().min(RECORD_BYTES)];
        veil.seal(Some(piece))?;
        self.push()?;
        Ok(piece.len())
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        if self.veil.is_none() {
            return self.stream.write_vectored(pieces);
        }
        self.write(pieces.iter().find(|piece| !piece.is_empty()).map_or(&[], |piece| piece))
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.push()? { Ok(()) } else { Err(io::ErrorKind::WouldBlock.into()) }
    }
}

// === impl Veil ===

impl Veil {
    /// Opens what is whole of `bytes`: how many of them are done with, and whether the other side may say more.
    fn open(&mut self, bytes: &mut [u8], mut content: impl FnMut(&[u8])) -> io::Result<(usize, bool)> {
        let mut taken = 0;
        loop {
            let status = self.connection.process_tls_records(&mut bytes[taken..]);
            let (discard, step) = records::step(status, &mut self.out, &mut content)?;
            taken += discard;
            self.ready |= step == Step::Ready;
            if step != Step::On {
                return Ok((taken, step != Step::Ended));
            }
        }
    }

    /// Seals content, or the end.
    fn seal(&mut self, content: Option<&[u8]>) -> io::Result<()> {
        let discard = records::seal(self.connection.process_tls_records(&mut self.wire), content, &mut self.out)?;
        self.wire.drain(..discard);
        Ok(())
    }
}

// === impl Anybody ===

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.clone()
    }
}

/// Tickets that one place keeps.
const TICKETS: usize = 8;
