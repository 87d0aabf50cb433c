//! TLS for tests: an authority that issues certificates, clients that speak it (rustls, and the programs openssl and curl),
//! and origins that do.

use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use rcgen::CertificateParams;
use rcgen::CertifiedIssuer;
use rcgen::DnType;
use rcgen::ExtendedKeyUsagePurpose;
use rcgen::IsCa;
use rcgen::KeyPair;
use rustls::ClientConfig;
use rustls::ClientConnection;
use rustls::DigitallySignedStruct;
use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls::ServerConnection;
use rustls::StreamOwned;
use rustls::SupportedProtocolVersion;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::client::danger::ServerCertVerified;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::ServerName;
use rustls::pki_types::UnixTime;

use super::PATIENCE;
use super::message::Broken;
use super::message::Incoming;
use super::message::Request;
use super::message::Response;
use super::scratch::Scratch;

/// An authority, and the folder in which its certificates are.
pub struct Authority {
    /// The folder.
    pub scratch: Scratch,
    issuer: Arc<CertifiedIssuer<'static, KeyPair>>,
    /// Its serial number, if another stands above it.
    serial: Option<rcgen::SerialNumber>,
}

/// What an authority issues with, for another thread.
pub struct Issues(Arc<CertifiedIssuer<'static, KeyPair>>);

/// What was seen of who answers somewhere by TLS.
#[derive(Debug)]
pub struct Seen {
    /// The certificate.
    pub certificate: Vec<u8>,
    /// The protocol that was agreed on.
    pub protocol: Option<Vec<u8>>,
    /// Whether it said the end of the connection of itself, and nothing else.
    pub closed: bool,
}

/// A certificate with its key.
pub struct Issued {
    /// Its file.
    pub cert: PathBuf,
    /// Its key's file.
    pub key: PathBuf,
    /// The certificate itself.
    pub der: CertificateDer<'static>,
    signs: Vec<u8>,
    /// The certificate of its authority, if that is none by itself.
    above: Option<CertificateDer<'static>>,
    /// Its serial number.
    pub serial: rcgen::SerialNumber,
}

impl Authority {
    /// A new one; its certificate is in `ca.pem`.
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign, rcgen::KeyUsagePurpose::CrlSign];
        let scratch = Scratch::new();
        // Its own: two of one name are taken for one, and its signatures for bad ones.
        params.distinguished_name.push(DnType::CommonName, scratch.path().display().to_string());
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        scratch.write("ca.pem", &issuer.pem());
        Self { scratch, issuer: Arc::new(issuer), serial: None }
    }

    /// What it issues with.
    pub fn issues(&self) -> Issues {
        Issues(self.issuer.clone())
    }

    /// One that this one stands for.
    pub fn between(&self, name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign, rcgen::KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, name);
        let serial = rcgen::SerialNumber::from(77_u64);
        params.serial_number = Some(serial.clone());
        let issuer = CertifiedIssuer::signed_by(params, KeyPair::generate().unwrap(), &**self.issuer).unwrap();
        Self { scratch: Scratch::new(), issuer: Arc::new(issuer), serial: Some(serial) }
    }

    /// Its serial number, if another stands above it.
    #[track_caller]
    pub fn serial(&self) -> rcgen::SerialNumber {
        self.serial.clone().unwrap()
    }

    fn above(&self) -> Option<CertificateDer<'static>> {
        self.serial.is_some().then(|| self.issuer.der().clone())
    }

    /// The file of its certificate.
    pub fn ca(&self) -> PathBuf {
        self.scratch.path().join("ca.pem")
    }

    /// Issues a certificate for these names (or addresses) with an ECDSA key, in files that begin with `file`.
    pub fn issue(&self, file: &str, names: &[&str]) -> Issued {
        self.issue_with(file, names, &KeyPair::generate().unwrap(), |_| {})
    }

    /// The same, with that key, and changed in some way.
    pub fn issue_with(
        &self,
        file: &str,
        names: &[&str],
        key: &KeyPair,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Issued {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, file);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let serial = rcgen::SerialNumber::from(file.bytes().fold(7_u64, |sum, byte| sum * 31 + u64::from(byte)));
        params.serial_number = Some(serial.clone());
        change(&mut params);
        let made = params.signed_by(key, &**self.issuer).unwrap();
        let cert = self.scratch.write(&format!("{file}.crt"), &made.pem());
        let signs = self.scratch.write(&format!("{file}.key"), &key.serialize_pem());
        Issued { cert, key: signs, der: made.der().clone(), signs: key.serialize_der(), serial, above: self.above() }
    }

    /// A list of what it has revoked, in a file.
    pub fn revoke(&self, file: &str, serials: &[&rcgen::SerialNumber]) -> PathBuf {
        self.revoke_until(file, serials, rcgen::date_time_ymd(2400, 1, 1).into())
    }

    /// The same, of a list that ends then.
    pub fn revoke_until(&self, file: &str, serials: &[&rcgen::SerialNumber], end: SystemTime) -> PathBuf {
        let revoked = |serial: &&rcgen::SerialNumber| rcgen::RevokedCertParams {
            serial_number: (*serial).clone(),
            revocation_time: rcgen::date_time_ymd(2024, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let list = rcgen::CertificateRevocationListParams {
            this_update: rcgen::date_time_ymd(2024, 1, 1),
            next_update: end.into(),
            crl_number: 1_u64.into(),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: rcgen::KeyIdMethod::Sha256,
        };
        self.scratch.write(file, &list.signed_by(&**self.issuer).unwrap().pem().unwrap())
    }

    /// A client that believes this authority and shows what is given.
    pub fn client(&self, shows: Option<&Issued>) -> Client {
        Client { config: Arc::new(self.config(shows, rustls::ALL_VERSIONS)) }
    }

    /// The same, of this version alone.
    pub fn client_with(&self, shows: Option<&Issued>, version: &'static SupportedProtocolVersion) -> Client {
        Client { config: Arc::new(self.config(shows, &[version])) }
    }

    /// One that offers these protocols (ALPN).
    pub fn offering(&self, protocols: &[&[u8]]) -> Client {
        let mut config = self.config(None, rustls::ALL_VERSIONS);
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        Client { config: Arc::new(config) }
    }

    /// One of this version that asks for no name.
    pub fn nameless(&self, version: &'static SupportedProtocolVersion) -> Client {
        let mut config = self.config(None, &[version]);
        config.enable_sni = false;
        Client { config: Arc::new(config) }
    }

    /// One that shows nothing, of this version alone.
    pub fn client_of(&self, version: &'static SupportedProtocolVersion) -> Client {
        Client { config: Arc::new(self.config(None, &[version])) }
    }

    fn config(&self, shows: Option<&Issued>, versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        let config = ClientConfig::builder_with_provider(provider()).with_protocol_versions(versions).unwrap();
        let config = config.with_root_certificates(roots);
        match shows {
            None => config.with_no_client_auth(),
            Some(shown) => config.with_client_auth_cert(shown.chain(), shown.private()).unwrap(),
        }
    }

    /// The first words of a client that asks for this name.
    pub fn hello(&self, name: &str) -> Vec<u8> {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let mut connection = ClientConnection::new(self.client(None).config, name).unwrap();
        let mut hello = Vec::new();
        connection.write_tls(&mut hello).unwrap();
        hello
    }

    /// What is shown beside a certificate (OCSP).
    #[track_caller]
    pub fn stapled(&self, version: &'static SupportedProtocolVersion, addr: SocketAddr, name: &str) -> Vec<u8> {
        let seen = Arc::new(Stapled(Mutex::default()));
        let mut config = self.config(None, &[version]);
        config.dangerous().set_certificate_verifier(seen.clone());
        drop(Client { config: Arc::new(config) }.connect(addr, name));
        seen.0.lock().unwrap().clone()
    }

    /// What an origin is configured by that shows this; if it is to ask for one, clients must show a certificate of ours.
    pub fn origin(&self, shows: &Issued, asks: bool) -> ServerConfig {
        let config =
            ServerConfig::builder_with_provider(provider()).with_protocol_versions(rustls::ALL_VERSIONS).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
        let config = match asks {
            true => config.with_client_cert_verifier(verifier.build().unwrap()),
            false => config.with_no_client_auth(),
        };
        let mut config = config.with_single_cert(vec![shows.der.clone()], shows.private()).unwrap();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config
    }
}

impl Issues {
    /// Issues a certificate for these names and that key, good from and to so many seconds from now: a chain in PEM.
    pub fn sign(&self, names: &[String], key: &impl rcgen::PublicKeyData, (from, to): (i64, i64)) -> String {
        let at = |shift: i64| {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
            rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(now.as_secs().saturating_add_signed(shift))
        };
        let mut params = CertificateParams::new(names.to_vec()).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        (params.not_before, params.not_after) = (at(from), at(to));
        params.signed_by(key, &**self.0).unwrap().pem() + &self.0.pem()
    }
}

/// Looks at who answers there for this name, believing anybody; if it `waits`, until the connection ends.
pub fn look(addr: SocketAddr, name: &str, protocols: &[&[u8]], waits: bool) -> std::io::Result<Seen> {
    let config = ClientConfig::builder_with_provider(provider()).with_protocol_versions(rustls::ALL_VERSIONS).unwrap();
    let anybody = Arc::new(Stapled(Mutex::default()));
    let mut config = config.dangerous().with_custom_certificate_verifier(anybody).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    let mut secure = Client { config: Arc::new(config) }.try_connect(addr, name)?;
    let state = &secure.0.stream.conn;
    let certificate = state.peer_certificates().unwrap()[0].to_vec();
    let protocol = state.alpn_protocol().map(<[u8]>::to_vec);
    let closed = waits && matches!(secure.read_to_end(), Ok(rest) if rest.is_empty());
    Ok(Seen { certificate, protocol, closed })
}

impl Issued {
    /// As one of the certificates of a listener.
    pub fn pair(&self) -> String {
        format!("{{ cert = \"{}\", key = \"{}\" }}", self.cert.display(), self.key.display())
    }

    fn chain(&self) -> Vec<CertificateDer<'static>> {
        [self.der.clone()].into_iter().chain(self.above.clone()).collect()
    }

    fn private(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::try_from(self.signs.clone()).unwrap()
    }
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// Believes anybody, and keeps what is shown beside the certificate.
#[derive(Debug)]
struct Stapled(Mutex<Vec<u8>>);

impl ServerCertVerifier for Stapled {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        ocsp: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        ocsp.clone_into(&mut self.0.lock().unwrap());
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

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}

/// A client that remembers what was settled with whom.
pub struct Client {
    config: Arc<ClientConfig>,
}

/// One connection under TLS.
pub struct Secure(Incoming<StreamOwned<ClientConnection, TcpStream>>);

impl Client {
    /// Connects, and asks for this name.
    pub fn try_connect(&self, addr: SocketAddr, name: &str) -> std::io::Result<Secure> {
        let stream = TcpStream::connect_timeout(&addr, PATIENCE)?;
        self.try_over(stream, name)
    }

    /// The same over a connection that is open already.
    pub fn try_over(&self, stream: TcpStream, name: &str) -> std::io::Result<Secure> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let connection = ClientConnection::new(self.config.clone(), name).unwrap();
        let mut stream = StreamOwned::new(connection, stream);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(Secure(Incoming::new(stream)))
    }

    /// Makes a handshake over an open connection, with these bytes before its first words, in one piece with them.
    #[track_caller]
    pub fn behind(&self, mut stream: TcpStream, name: &str, before: &[u8]) -> Secure {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let mut connection = ClientConnection::new(self.config.clone(), name).unwrap();
        let mut first = before.to_vec();
        connection.write_tls(&mut first).unwrap();
        stream.write_all(&first).unwrap();
        let mut stream = StreamOwned::new(connection, stream);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock).unwrap();
        }
        Secure(Incoming::new(stream))
    }

    /// The bytes by which it would begin a connection that asks for this name.
    pub fn hello(&self, name: &str) -> Vec<u8> {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let mut bytes = Vec::new();
        ClientConnection::new(self.config.clone(), name).unwrap().write_tls(&mut bytes).unwrap();
        bytes
    }

    /// Connects, and asks for this name.
    #[track_caller]
    pub fn connect(&self, addr: SocketAddr, name: &str) -> Secure {
        self.try_connect(addr, name).unwrap_or_else(|fault| panic!("{addr} as {name}: {fault}"))
    }
}

impl Secure {
    /// Sends all of it.
    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.stream.write_all(bytes.as_ref()).unwrap();
        self.0.stream.flush().unwrap();
    }

    /// Sends all of it, if the gateway takes it.
    pub fn try_send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.0.stream.write_all(bytes)?;
        self.0.stream.flush()
    }

    /// What is below, for bytes that are not sealed.
    pub fn below(&mut self) -> &mut TcpStream {
        &mut self.0.stream.sock
    }

    /// The next whole response.
    #[track_caller]
    pub fn read_response(&mut self) -> Response {
        self.try_read_response().unwrap_or_else(|broken| panic!("no response: {broken}"))
    }

    /// The next whole response, or what is wrong with it.
    pub fn try_read_response(&mut self) -> Result<Response, Broken> {
        self.0.response(false)
    }

    /// A GET of this host.
    #[track_caller]
    pub fn get(&mut self, host: &str, path: &str) -> Response {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        self.read_response()
    }

    /// Bytes until these have come; the status of the head among them.
    #[track_caller]
    pub fn read_until(&mut self, end: &[u8]) -> u16 {
        let mut bytes = Vec::new();
        while !bytes.ends_with(end) {
            bytes.extend(self.0.some().unwrap_or_else(|broken| panic!("no bytes: {broken}")));
        }
        String::from_utf8_lossy(&bytes).split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap()
    }

    /// Everything until the gateway says its end; an error where it has only stopped.
    pub fn read_to_end(&mut self) -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.0.stream.read_to_end(&mut bytes).map(|_| bytes)
    }

    /// Whether what was settled before was taken up again.
    pub fn resumed(&self) -> bool {
        self.0.stream.conn.handshake_kind() == Some(rustls::HandshakeKind::Resumed)
    }

    /// What is known of the connection.
    pub fn settled(&self) -> &ClientConnection {
        &self.0.stream.conn
    }

    /// Takes new keys, and asks the gateway to do so too.
    pub fn refresh(&mut self) {
        self.0.stream.conn.refresh_traffic_keys().unwrap();
        self.0.stream.flush().unwrap();
    }

    /// Says that nothing more follows.
    pub fn finish(&mut self) {
        self.0.stream.conn.send_close_notify();
        self.0.stream.flush().unwrap();
    }

    /// Closes without a word.
    pub fn cut(self) {
        drop(self.0.stream.sock);
    }
}

/// An origin that speaks TLS: what it was asked, and whether what had been settled was taken up again.
pub struct SecureOrigin {
    /// Where it is.
    pub addr: SocketAddr,
    /// What it was asked so far.
    pub asked: Arc<Mutex<Vec<(Request, bool)>>>,
}

impl SecureOrigin {
    /// Answers every request with these bytes; one that asks for `/end` by the end of the connection, which it says if
    /// `clean`.
    pub fn start(config: ServerConfig, answer: &str, clean: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (config, answer, notes) = (Arc::new(config), answer.to_owned(), asked.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (config, answer, notes) = (config.clone(), answer.clone(), notes.clone());
                std::thread::spawn(move || serve(stream, &config, &answer, &notes, clean));
            }
        });
        Self { addr, asked }
    }
}

/// What comes to a server by a connection that speaks TLS from its first byte.
pub(super) fn incoming(
    stream: TcpStream,
    config: &Arc<ServerConfig>,
) -> Incoming<StreamOwned<ServerConnection, TcpStream>> {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    Incoming::new(StreamOwned::new(ServerConnection::new(config.clone()).unwrap(), stream))
}

fn serve(
    stream: TcpStream,
    config: &Arc<ServerConfig>,
    answer: &str,
    notes: &Mutex<Vec<(Request, bool)>>,
    clean: bool,
) {
    let mut incoming = incoming(stream, config);
    while let Ok(mut request) = incoming.request_head() {
        if incoming.request_body(&mut request).is_err() {
            return;
        }
        let until_close = request.target == "/end";
        let resumed = incoming.stream.conn.handshake_kind() == Some(rustls::HandshakeKind::Resumed);
        notes.lock().unwrap().push((request, resumed));
        if until_close {
            drop(incoming.stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nthe whole"));
            drop(incoming.stream.flush());
            if clean {
                incoming.stream.conn.send_close_notify();
                drop(incoming.stream.flush());
            }
            return;
        }
        if incoming.stream.write_all(answer.as_bytes()).and_then(|()| incoming.stream.flush()).is_err() {
            return;
        }
    }
}

/// Runs a program with this input and gives what it has printed. Fails clearly where the program is not there.
#[track_caller]
pub fn program(name: &str, args: &[&str], input: &str) -> (bool, String) {
    let spawned =
        Command::new(name).args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = spawned.unwrap_or_else(|fault| panic!("this test needs the program {name}: {fault}"));
    drop(child.stdin.take().unwrap().write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}
