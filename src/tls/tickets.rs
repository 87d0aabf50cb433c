//! Tickets: what was settled with a client, sealed and left with it, so that it need not be settled again. All cores have
//! the same keys and none keeps anything; no lock is taken.
//!
//! The key of a ticket is made of a secret and the time: it changes every [`TURN`] of wall time, and what was sealed in the
//! turn before is still opened. Whoever knows the secret and the clock makes the same keys, so gateways that share a file
//! of secrets take each other's tickets.
//!
//! A ticket is bound to its domain: what a client had to show to be let in. One that was given where no certificate is
//! asked for opens nothing where one is; rustls itself binds it to the name that was asked for.

use std::fmt;
use std::path::Path;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use aws_lc_rs::aead;
use aws_lc_rs::hmac;
use rustls::server::ProducesTickets;

use crate::tls::files;
use crate::tls::files::Faulty;

/// How long a key seals: six hours.
const TURN: u64 = 6 * 3600;
/// How long a ticket can be used at the most, as it is told to clients: one turn, since it may be sealed at the end of its own.
const LIFETIME: u32 = 6 * 3600;
/// Bytes of a nonce.
const NONCE: usize = 12;
/// The least that makes a secret.
const SECRET_BYTES: usize = 32;

/// Secrets that keys are made of: the first seals, all open.
#[derive(Clone)]
pub struct Secrets(Vec<hmac::Key>);

/// Seals and opens the tickets of one domain.
pub struct Tickets {
    secrets: Secrets,
    domain: [u8; 32],
    clock: fn() -> u64,
}

impl Secrets {
    /// One secret.
    #[must_use]
    pub fn of(secret: &[u8]) -> Self {
        Self(vec![hmac::Key::new(hmac::HMAC_SHA256, secret)])
    }

    /// Those of a file: a line each, of 64 hexadecimal digits or more; the first seals.
    ///
    /// # Errors
    /// [`Faulty`].
    pub fn read(path: &Path) -> Result<Self, Faulty> {
        let mut text = files::bytes(path)?;
        let lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
        let lines = lines.filter(|line| !line.is_empty() && !line.starts_with(b"#"));
        let secrets: Option<Vec<_>> = lines
            .map(|line| {
                let mut secret = unhex(line).filter(|secret| secret.len() >= SECRET_BYTES)?;
                let key = hmac::Key::new(hmac::HMAC_SHA256, &secret);
                files::wipe(&mut secret);
                Some(key)
            })
            .collect();
        files::wipe(&mut text);
        match secrets {
            Some(secrets) if !secrets.is_empty() => Ok(Self(secrets)),
            _ => {
                let words =
                    "each of its lines must be a secret of 64 hexadecimal digits or more (openssl rand -hex 32)";
                Err(files::faulty(path, words.into()))
            }
        }
    }
}

fn unhex(digits: &[u8]) -> Option<Vec<u8>> {
    let value = |digit: &u8| char::from(*digit).to_digit(16).and_then(|four| u8::try_from(four).ok());
    let pairs = digits.chunks(2).map(|pair| match pair {
        [high, low] => Some(value(high)? << 4 | value(low)?),
        _ => None,
    });
    pairs.collect()
}

impl Tickets {
    /// Tickets of a domain.
    #[must_use]
    pub fn new(secrets: Secrets, domain: [u8; 32]) -> Self {
        let clock = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
        Self { secrets, domain, clock }
    }

    /// The key of a turn.
    fn key(&self, secret: &hmac::Key, turn: u64) -> Option<aead::LessSafeKey> {
        let mut made = hmac::Context::with_key(secret);
        made.update(b"ringway ticket 1");
        made.update(&self.domain);
        made.update(&turn.to_be_bytes());
        let key = aead::UnboundKey::new(&aead::AES_256_GCM, made.sign().as_ref()).ok()?;
        Some(aead::LessSafeKey::new(key))
    }
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        LIFETIME
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let key = self.key(self.secrets.0.first()?, (self.clock)() / TURN)?;
        let mut nonce = [0; NONCE];
        aws_lc_rs::rand::fill(&mut nonce).ok()?;
        let mut ticket = Vec::with_capacity(NONCE + plain.len() + aead::AES_256_GCM.tag_len());
        ticket.extend_from_slice(&nonce);
        ticket.extend_from_slice(plain);
        let nonce = aead::Nonce::assume_unique_for_key(nonce);
        let tag = key.seal_in_place_separate_tag(nonce, aead::Aad::empty(), ticket.get_mut(NONCE..)?).ok()?;
        ticket.extend_from_slice(tag.as_ref());
        Some(ticket)
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = ticket.split_at_checked(NONCE)?;
        let nonce = <[u8; NONCE]>::try_from(nonce).ok()?;
        let turn = (self.clock)() / TURN;
        let keys = self.secrets.0.iter().flat_map(|secret| [(secret, turn), (secret, turn.wrapping_sub(1))]);
        keys.filter_map(|(secret, turn)| self.key(secret, turn)).find_map(|key| {
            let mut plain = sealed.to_vec();
            let nonce = aead::Nonce::assume_unique_for_key(nonce);
            let len = key.open_in_place(nonce, aead::Aad::empty(), &mut plain).ok()?.len();
            plain.truncate(len);
            Some(plain)
        })
    }
}

impl fmt::Debug for Tickets {
    // Keys are not for logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tickets")
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(clock: fn() -> u64, secrets: &Secrets, domain: u8) -> Tickets {
        Tickets { clock, ..Tickets::new(secrets.clone(), [domain; 32]) }
    }

    #[test]
    fn a_ticket_is_opened_in_its_turn_and_the_next_by_whoever_has_the_secret() {
        let secrets = Secrets::of(b"secret");
        let ticket = at(|| 10 * TURN, &secrets, 1).encrypt(b"settled").unwrap();
        let open = |clock, secrets: &Secrets, domain| at(clock, secrets, domain).decrypt(&ticket);
        assert_eq!(open(|| 11 * TURN - 1, &secrets, 1).as_deref(), Some(&b"settled"[..]));
        assert_eq!(open(|| 12 * TURN - 1, &Secrets::of(b"secret"), 1).as_deref(), Some(&b"settled"[..]));
        assert_eq!(open(|| 12 * TURN, &secrets, 1), None, "the turn after the next");
        assert_eq!(open(|| 10 * TURN, &secrets, 2), None, "another domain");
        assert_eq!(open(|| 10 * TURN, &Secrets::of(b"other"), 1), None);
        let both = Secrets([b"other".as_slice(), b"secret"].iter().flat_map(|s| Secrets::of(s).0).collect());
        assert_eq!(open(|| 10 * TURN, &both, 1).as_deref(), Some(&b"settled"[..]), "the one that was first before");
        for at_byte in 0..ticket.len() {
            let mut other = ticket.clone();
            other[at_byte] ^= 1;
            assert_eq!(at(|| 10 * TURN, &secrets, 1).decrypt(&other), None);
            assert_eq!(at(|| 10 * TURN, &secrets, 1).decrypt(&ticket[..at_byte]), None);
        }
    }
}
