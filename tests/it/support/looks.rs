//! How an authority that speaks ACME looks whether a challenge is met, and what it is asked to sign.

use std::net::SocketAddr;

use aws_lc_rs::digest;
use aws_lc_rs::signature;
use aws_lc_rs::signature::UnparsedPublicKey;

use super::forms::content;
use super::forms::value;
use super::raw::Raw;
use super::tls::look;

/// A public key, P-256.
pub struct Point(Vec<u8>);

impl rcgen::PublicKeyData for Point {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

/// RFC 8555 §8.3.
pub fn look_at_file(addr: SocketAddr, name: &str, token: &str, expected: &str) -> Result<(), String> {
    let mut raw = Raw::connect(addr);
    raw.send(format!("GET /.well-known/acme-challenge/{token} HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n"));
    let response = raw.read_response();
    match (response.status, response.text() == expected) {
        (200, true) => Ok(()),
        (status, _) => Err(format!("the file has status {status}: {}", response.text())),
    }
}

/// RFC 8737 §3.
pub fn look_at_certificate(addr: SocketAddr, name: &str, expected: &str) -> Result<(), String> {
    let seen = look(addr, name, &[b"acme-tls/1"], true).map_err(|fault| format!("no handshake: {fault}"))?;
    let sum = sha256(expected.as_bytes());
    // id-pe-acmeIdentifier, critical, an octet string of an octet string.
    let head = [0x06, 8, 0x2b, 6, 1, 5, 5, 7, 1, 31, 0x01, 1, 0xff, 0x04, 34, 0x04, 32];
    let extension = [&head[..], sum.as_ref()].concat();
    let read = ringway::tls::certificate::Certificate::read(&seen.certificate).unwrap_or_default();
    match () {
        () if seen.protocol.as_deref() != Some(b"acme-tls/1") => Err("the protocol is not acme-tls/1".into()),
        () if read.names != [name] => Err(format!("the certificate is for {:?}", read.names)),
        () if !has(&seen.certificate, &extension) => Err("the certificate has not what is looked for".into()),
        () if !seen.closed => Err("the connection is still open".into()),
        () => Ok(()),
    }
}

/// The key that a request (PKCS#10) is for, if it is signed by that and for these names.
pub fn asked_for(request: &[u8], names: &[String]) -> Result<Point, String> {
    let point = |info: &[u8]| {
        // SubjectPublicKeyInfo of an ECDSA key: the curve P-256, then a bit string of 65 bytes.
        let curve = [0x06, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7, 0x03, 66, 0];
        let at = info.windows(curve.len()).position(|part| part == curve)? + curve.len();
        info.get(at..at + 65).map(<[u8]>::to_vec)
    };
    let (info, rest) = value(content(request).ok_or("no request")?).ok_or("no content")?;
    let (_, signed) = value(rest).ok_or("no algorithm")?;
    let signed = content(signed).and_then(|bits| bits.get(1..)).ok_or("no signature")?;
    let point = point(info).ok_or("no key")?;
    let key = UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_ASN1, &point);
    key.verify(info, signed).map_err(|_| "the request is not signed by its key")?;
    let missing = names.iter().find(|name| !has(info, name.as_bytes()));
    missing.map_or(Ok(Point(point.clone())), |name| Err(format!("{name} is not in the request")))
}

fn has(whole: &[u8], part: &[u8]) -> bool {
    whole.windows(part.len()).any(|window| window == part)
}

/// SHA-256.
pub fn sha256(bytes: &[u8]) -> digest::Digest {
    digest::digest(&digest::SHA256, bytes)
}
