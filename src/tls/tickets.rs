//! Tickets: what was settled with a client, sealed and left with it, so that it need not be settled again. All cores have
//! the same keys and none keeps anything; no lock is taken.
//!
//! The key of a ticket is made of a secret and the time: it changes every [`TURN`] of wall time, and what was sealed in the
//! turn before is still opened. The process's own secrets are random, one for each turn, and are dropped with the turn after
//! it ([`Own`]): what was sealed under them is secret from then on, whoever comes by the memory later. Secrets of a file last
//! as long as they stand there: whoever knows one, and the clock, makes the same keys, so gateways that share the file take
//! each other's tickets.
//!
//! A ticket is bound to its domain: what a client had to show to be let in. One that was given where no certificate is
//! asked for opens nothing where one is; rustls itself binds it to the name that was asked for. And it ends when the
//! certificates end by which its client was let in, or the lists of what was revoked that were asked then.

use std::fmt;
use std::path::Path;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use aws_lc_rs::aead;
use aws_lc_rs::hmac;
use rustls::server::ProducesTickets;
use zeroize::Zeroizing;

use crate::tls::engine;
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
/// The most secrets of a file: a ticket that none of them opens costs a try of each.
const SECRETS: usize = 8;
/// Bytes of the end of a ticket, which stands before what is sealed.
const END: usize = 8;

/// Secrets that keys are made of: the first seals, all open.
#[derive(Clone)]
pub struct Secrets {
    keys: Vec<hmac::Key>,
    /// The last turn in which they are used.
    last: u64,
}

/// The process's own secrets.
#[derive(Debug)]
pub struct Own {
    secrets: Secrets,
    draw: fn() -> Option<[u8; SECRET_BYTES]>,
}

/// Whose tickets they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Domain {
    /// What a client had to show to be let in, in short.
    pub of: [u8; 32],
    /// When what was asked then ends at the latest, in seconds since 1970.
    pub until: i64,
}

/// Seals and opens the tickets of one domain.
pub struct Tickets {
    secrets: Secrets,
    domain: Domain,
    clock: fn() -> u64,
}

impl Secrets {
    /// One secret, for good.
    #[must_use]
    pub fn of(secret: &[u8]) -> Self {
        Self { keys: vec![hmac::Key::new(hmac::HMAC_SHA256, secret)], last: u64::MAX }
    }

    /// Those of a file: a line each, of 64 hexadecimal digits or more; the first seals.
    ///
    /// # Errors
    /// [`Faulty`].
    pub fn read(path: &Path) -> Result<Self, Faulty> {
        let text = files::secret(path)?;
        let lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
        let lines = lines.filter(|line| !line.is_empty() && !line.starts_with(b"#"));
        let keys: Option<Vec<_>> = lines
            .map(|line| {
                let secret = unhex(line).filter(|secret| secret.len() >= SECRET_BYTES)?;
                Some(hmac::Key::new(hmac::HMAC_SHA256, &secret))
            })
            .collect();
        match keys {
            Some(keys) if (1..=SECRETS).contains(&keys.len()) => Ok(Self { keys, last: u64::MAX }),
            _ => {
                let words = "its lines, eight at the most, must each be a secret of 64 hexadecimal digits or more (openssl rand -hex 32)";
                Err(files::faulty(path, words.into()))
            }
        }
    }
}

impl Own {
    /// Those of a process that starts now. None is drawn before one is used: the first to ask for chance pays for what it
    /// is made of, and that is dear.
    #[must_use]
    pub fn new() -> Self {
        Self { secrets: Secrets { keys: Vec::new(), last: 0 }, draw }
    }

    /// Draws the first secret, if none has been.
    pub fn begin(&mut self) {
        if self.secrets.last == 0 {
            self.turn(clock());
        }
    }

    /// Those of now; none before the first is drawn.
    #[must_use]
    pub fn secrets(&self) -> Secrets {
        self.secrets.clone()
    }

    /// Draws a new secret if it is time, and drops what is no longer needed; whether it did. Not before the first.
    pub fn renew(&mut self) -> bool {
        self.secrets.last != 0 && self.turn(clock())
    }

    fn turn(&mut self, now: u64) -> bool {
        let last = now / TURN + 1;
        if self.secrets.last == last {
            return false;
        }
        // Where there is no chance there are no tickets.
        let fresh = (self.draw)().map(Zeroizing::new).map(|secret| hmac::Key::new(hmac::HMAC_SHA256, secret.as_ref()));
        let before = self.secrets.keys.drain(..).next().filter(|_| self.secrets.last + 1 == last);
        self.secrets = Secrets { keys: fresh.into_iter().chain(before).collect(), last };
        true
    }
}

impl Default for Own {
    fn default() -> Self {
        Self::new()
    }
}

fn draw() -> Option<[u8; SECRET_BYTES]> {
    let mut secret = [0; SECRET_BYTES];
    aws_lc_rs::rand::fill(&mut secret).ok().map(|()| secret)
}

fn clock() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs())
}

fn unhex(digits: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let value = |digit: &u8| char::from(*digit).to_digit(16).and_then(|four| u8::try_from(four).ok());
    let pairs = digits.chunks(2).map(|pair| match pair {
        [high, low] => Some(value(high)? << 4 | value(low)?),
        _ => None,
    });
    pairs.collect::<Option<Vec<u8>>>().map(Zeroizing::new)
}

impl Tickets {
    /// Tickets of a domain.
    #[must_use]
    pub fn new(secrets: Secrets, domain: Domain) -> Self {
        Self { secrets, domain, clock }
    }

    /// The key of a turn.
    fn key(&self, secret: &hmac::Key, turn: u64) -> Option<aead::LessSafeKey> {
        let mut made = hmac::Context::with_key(secret);
        made.update(b"ringway ticket 2");
        made.update(&self.domain.of);
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
        let (now, until) = ((self.clock)(), engine::end().min(self.domain.until));
        if now / TURN > self.secrets.last || is_over(until, now) {
            return None;
        }
        let key = self.key(self.secrets.keys.first()?, now / TURN)?;
        let mut nonce = [0; NONCE];
        aws_lc_rs::rand::fill(&mut nonce).ok()?;
        let mut ticket = Vec::with_capacity(NONCE + END + plain.len() + aead::AES_256_GCM.tag_len());
        ticket.extend_from_slice(&nonce);
        ticket.extend_from_slice(&until.to_be_bytes());
        ticket.extend_from_slice(plain);
        let nonce = aead::Nonce::assume_unique_for_key(nonce);
        let tag = key.seal_in_place_separate_tag(nonce, aead::Aad::empty(), ticket.get_mut(NONCE..)?).ok()?;
        ticket.extend_from_slice(tag.as_ref());
        Some(ticket)
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = ticket.split_at_checked(NONCE)?;
        let nonce = <[u8; NONCE]>::try_from(nonce).ok()?;
        let now = (self.clock)();
        let turn = now / TURN;
        if turn > self.secrets.last {
            return None;
        }
        let keys = self.secrets.keys.iter().flat_map(|secret| [(secret, turn), (secret, turn.wrapping_sub(1))]);
        let plain = keys.filter_map(|(secret, turn)| self.key(secret, turn)).find_map(|key| {
            let mut plain = sealed.to_vec();
            let nonce = aead::Nonce::assume_unique_for_key(nonce);
            let len = key.open_in_place(nonce, aead::Aad::empty(), &mut plain).ok()?.len();
            plain.truncate(len);
            Some(plain)
        })?;
        let (until, plain) = plain.split_at_checked(END)?;
        let until = i64::from_be_bytes(until.try_into().ok()?).min(self.domain.until);
        if is_over(until, now) {
            return None;
        }
        // What is given for it ends when it does.
        engine::note_end(until);
        Some(plain.to_vec())
    }
}

fn is_over(until: i64, now: u64) -> bool {
    i64::try_from(now).is_ok_and(|now| until <= now)
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
        let domain = Domain { of: [domain; 32], until: i64::MAX };
        Tickets { clock, ..Tickets::new(secrets.clone(), domain) }
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
        let keys = [b"other".as_slice(), b"secret"].iter().flat_map(|s| Secrets::of(s).keys).collect();
        let both = Secrets { keys, last: u64::MAX };
        assert_eq!(open(|| 10 * TURN, &both, 1).as_deref(), Some(&b"settled"[..]), "the one that was first before");
        for at_byte in 0..ticket.len() {
            let mut other = ticket.clone();
            other[at_byte] ^= 1;
            assert_eq!(at(|| 10 * TURN, &secrets, 1).decrypt(&other), None);
            assert_eq!(at(|| 10 * TURN, &secrets, 1).decrypt(&ticket[..at_byte]), None);
        }
    }

    #[test]
    fn a_ticket_ends_when_that_ends_by_which_its_client_was_let_in() {
        let secrets = Secrets::of(b"secret");
        engine::note_end(1_500);
        let ticket = at(|| 1_000, &secrets, 1).encrypt(b"settled").unwrap();
        assert_eq!(at(|| 1_600, &secrets, 1).encrypt(b"settled"), None, "there is nothing left to give");
        engine::note_end(i64::MAX);
        assert!(at(|| 1_499, &secrets, 1).decrypt(&ticket).is_some());
        assert_eq!(engine::end(), 1_500, "what is given for it ends with it");
        assert_eq!(at(|| 1_500, &secrets, 1).decrypt(&ticket), None);
        engine::note_end(i64::MAX);
        let ended = Domain { of: [1; 32], until: 1_200 };
        let of = |clock| Tickets { clock, ..Tickets::new(secrets.clone(), ended) };
        assert!(of(|| 1_199).decrypt(&ticket).is_some());
        assert_eq!(of(|| 1_200).decrypt(&ticket), None, "the lists of what was revoked have ended");
        assert!(of(|| 1_300).encrypt(b"settled").is_none());
        engine::note_end(i64::MAX);
    }

    #[test]
    fn nothing_is_drawn_before_it_is_used() {
        let mut own = Own { draw: || panic!("not asked for"), ..Own::new() };
        assert!(!own.renew() && own.secrets().keys.is_empty());
        own.draw = draw;
        own.begin();
        assert_eq!(own.secrets().keys.len(), 1);
        own.draw = || panic!("there is one");
        own.begin();
        assert!(!own.renew());
    }

    #[test]
    fn own_secrets_are_forgotten_with_the_turn_after_theirs() {
        let mut own = Own { secrets: Secrets { keys: Vec::new(), last: 0 }, draw };
        assert!(own.turn(10 * TURN) && !own.turn(11 * TURN - 1));
        let first = own.secrets();
        let ticket = at(|| 10 * TURN, &first, 1).encrypt(b"settled").unwrap();
        assert!(own.turn(11 * TURN));
        assert!(at(|| 11 * TURN, &own.secrets(), 1).decrypt(&ticket).is_some(), "the turn after");
        let late = at(|| 11 * TURN + 1, &own.secrets(), 1).encrypt(b"settled").unwrap();
        assert_eq!(at(|| 11 * TURN, &first, 1).decrypt(&late), None, "another secret seals");
        assert!(own.turn(12 * TURN));
        let (Secrets { keys, .. }, clock) = (own.secrets(), || 10 * TURN);
        assert_eq!(at(clock, &Secrets { keys, last: u64::MAX }, 1).decrypt(&ticket), None, "it is no more");
        assert!(own.turn(20 * TURN) && own.secrets.keys.len() == 1, "the process slept");
        // Where nobody renews them they are used no longer.
        assert_eq!(at(|| 12 * TURN, &first, 1).encrypt(b"settled"), None);
        assert_eq!(at(|| 12 * TURN, &first, 1).decrypt(&ticket), None);
    }
}
