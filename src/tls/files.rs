//! The files that a configuration names for TLS: read, and what is wrong with them in words that say what was looked for.
//! It refuses to know what is made of them.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::path::PathBuf;
use std::time::SystemTime;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::CertificateRevocationListDer;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem;
use rustls::pki_types::pem::PemObject;
use zeroize::Zeroizing;

/// A file that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Faulty {
    /// Which.
    pub path: PathBuf,
    /// Why, in words.
    pub words: String,
    /// Whether it may pass without a change of the file: it could not be read.
    pub passing: bool,
    /// Whether there is none.
    pub absent: bool,
}

/// By what it is seen that a file has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    changed: Option<SystemTime>,
    len: u64,
    inode: u64,
}

impl Stamp {
    /// Of a file as it is; links are followed. Nothing where there is none.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "asked at start and on the control thread")]
    pub fn of(path: &Path) -> Option<Self> {
        use std::os::unix::fs::MetadataExt;
        let found = fs::metadata(path).ok()?;
        Some(Self { changed: found.modified().ok(), len: found.len(), inode: found.ino() })
    }
}

/// The largest file that is read.
const MOST: u64 = 4 << 20;

/// The bytes of a file.
///
/// # Errors
/// [`Faulty`].
#[expect(clippy::disallowed_methods, reason = "read at start and on the control thread")]
pub fn bytes(path: &Path) -> Result<Vec<u8>, Faulty> {
    let read = fs::metadata(path).and_then(|found| match found.len() {
        _ if !found.is_file() => Err(std::io::Error::other("it is no file")),
        0..=MOST => fs::read(path),
        _ => Err(std::io::Error::other("it is larger than 4 MiB")),
    });
    read.map_err(|error| {
        let words = match error.kind() {
            ErrorKind::NotFound => "there is no such file".into(),
            ErrorKind::PermissionDenied => "the gateway may not read it".into(),
            _ => format!("it cannot be read: {error}"),
        };
        Faulty { passing: true, absent: error.kind() == ErrorKind::NotFound, ..faulty(path, words) }
    })
}

/// The same, of what is secret: wiped when it is dropped.
pub(super) fn secret(path: &Path) -> Result<Zeroizing<Vec<u8>>, Faulty> {
    bytes(path).map(Zeroizing::new)
}

/// The chain of certificates in a file of PEM, at least one.
///
/// # Errors
/// [`Faulty`].
pub fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, Faulty> {
    sections(path, &bytes(path)?, "certificate")
}

/// The lists of revoked certificates in the PEM of a file, at least one.
///
/// # Errors
/// [`Faulty`].
pub(super) fn revocations(path: &Path, text: &[u8]) -> Result<Vec<CertificateRevocationListDer<'static>>, Faulty> {
    sections(path, text, "revocation list")
}

/// The authorities in the PEM of a file, at least one.
///
/// # Errors
/// [`Faulty`].
pub fn authorities(path: &Path, text: &[u8]) -> Result<RootCertStore, Faulty> {
    let mut roots = RootCertStore::empty();
    for authority in sections(path, text, "certificate")? {
        roots.add(authority).map_err(|_| faulty(path, "a certificate in it cannot be an authority".into()))?;
    }
    Ok(roots)
}

/// The key in a file of PEM: PKCS#8, SEC1 or PKCS#1.
///
/// # Errors
/// [`Faulty`].
pub fn key(path: &Path) -> Result<PrivateKeyDer<'static>, Faulty> {
    let text = secret(path)?;
    let encrypted = memchr::memmem::find(&text, b"ENCRYPTED").is_some();
    PrivateKeyDer::from_pem_slice(&text).map_err(|error| {
        let words = match error {
            _ if encrypted => "the key in it is encrypted: decrypt it, and protect the file by its permissions".into(),
            pem::Error::NoItemsFound => "there is no private key in it (PEM: PKCS#8, SEC1 or PKCS#1)".into(),
            error => format!("it is no PEM: {error}"),
        };
        faulty(path, words)
    })
}

fn sections<T: PemObject>(path: &Path, text: &[u8], what: &str) -> Result<Vec<T>, Faulty> {
    let found: Result<Vec<T>, _> = T::pem_slice_iter(text).collect();
    match found {
        Ok(found) if found.is_empty() => Err(faulty(path, format!("there is no {what} in it (PEM)"))),
        Ok(found) => Ok(found),
        Err(error) => Err(faulty(path, format!("it is no PEM: {error}"))),
    }
}

pub(super) fn faulty(path: &Path, words: String) -> Faulty {
    Faulty { path: path.to_owned(), words, passing: false, absent: false }
}

impl std::fmt::Display for Faulty {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.words)
    }
}
