//! The cookie that keeps a client at its endpoint: who the endpoint is and until when, signed, so that nobody else can say
//! where a request goes. Pure: the time is given, in seconds of Unix time.

use hmac::Hmac;
use hmac::KeyInit;
use hmac::Mac;
use sha2::Sha256;

/// Signs and reads cookies of one upstream.
#[derive(Clone)]
pub struct Seal {
    keyed: Hmac<Sha256>,
}

/// Bytes of a value: version, endpoint, end, signature, in hexadecimal, with dots between.
pub const BYTES: usize = 1 + 1 + 16 + 1 + 16 + 1 + 2 * MAC;
/// Bytes of the signature that are kept: half of them, which is as many as nobody can try.
const MAC: usize = 16;
const VERSION: u8 = b'1';

impl Seal {
    /// The seal of an upstream; several gateways with one secret read each other's cookies.
    #[must_use]
    pub fn new(secret: &[u8], upstream: &str) -> Self {
        // A key of any length will do for HMAC.
        let mut keyed = match Hmac::<Sha256>::new_from_slice(secret) {
            Ok(keyed) => keyed,
            Err(_) => Hmac::<Sha256>::new(&hmac::digest::Key::<Hmac<Sha256>>::default()),
        };
        // The name's length first, so that no name and number are another name and number.
        keyed.update(&(upstream.len() as u64).to_be_bytes());
        keyed.update(upstream.as_bytes());
        Self { keyed }
    }

    /// The value of a cookie for an endpoint ([`Candidate::id`](super::plan::Candidate)) that lasts until `end`.
    #[must_use]
    pub fn write(&self, endpoint: u64, end: u64) -> [u8; BYTES] {
        let mut value = [b'.'; BYTES];
        let signature = self.sign(endpoint, end).finalize().into_bytes();
        let parts: [(usize, &[u8]); 3] =
            [(2, &endpoint.to_be_bytes()), (19, &end.to_be_bytes()), (36, signature.get(..MAC).unwrap_or(&[]))];
        value[0] = VERSION;
        for (at, bytes) in parts {
            for (pair, byte) in value[at..].chunks_mut(2).zip(bytes) {
                pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
            }
        }
        value
    }

    /// The endpoint that a cookie names, if this seal signed it and it has not ended at `now`. Takes the same time whatever
    /// is wrong with the signature.
    #[must_use]
    pub fn read(&self, value: &[u8], now: u64) -> Option<u64> {
        let value: &[u8; BYTES] = value.try_into().ok()?;
        if value[0] != VERSION || [1, 18, 35].iter().any(|at| value[*at] != b'.') {
            return None;
        }
        let endpoint = u64::from_be_bytes(bytes(&value[2..18])?);
        let end = u64::from_be_bytes(bytes(&value[19..35])?);
        let signature: [u8; MAC] = bytes(&value[36..])?;
        self.sign(endpoint, end).verify_truncated_left(&signature).ok()?;
        (now < end).then_some(endpoint)
    }

    fn sign(&self, endpoint: u64, end: u64) -> Hmac<Sha256> {
        let mut keyed = self.keyed.clone();
        keyed.update(&endpoint.to_be_bytes());
        keyed.update(&end.to_be_bytes());
        keyed
    }
}

impl std::fmt::Debug for Seal {
    // A secret is not for logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seal")
    }
}

fn digit(four: u8) -> u8 {
    if four < 10 { b'0' + four } else { b'a' + four - 10 }
}

fn bytes<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
        for digit in pair {
            let four = match digit {
                b'0'..=b'9' => digit - b'0',
                b'a'..=b'f' => digit - b'a' + 10,
                _ => return None,
            };
            *byte = *byte << 4 | four;
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_read_by_whoever_has_the_secret_until_it_ends() {
        let seal = Seal::new(b"secret", "orders");
        let value = seal.write(0x0123_4567_89ab_cdef, 1000);
        assert!(value.starts_with(b"1.0123456789abcdef.00000000000003e8."));
        assert_eq!(Seal::new(b"secret", "orders").read(&value, 999), Some(0x0123_4567_89ab_cdef));
        assert_eq!(seal.read(&value, 1000), None, "it has ended");
        assert_eq!(Seal::new(b"secreT", "orders").read(&value, 0), None);
        assert_eq!(Seal::new(b"secret", "order").read(&value, 0), None, "another upstream");
        assert_eq!(Seal::new(&[7; 200], "orders").read(&Seal::new(&[7; 200], "orders").write(1, 9), 0), Some(1));
        assert_eq!(Seal::new(b"", "orders").read(&value, 0), None);
    }

    #[test]
    fn no_byte_can_be_changed() {
        let seal = Seal::new(b"secret", "orders");
        let value = seal.write(42, u64::MAX);
        for at in 0..BYTES {
            for other in [b'0', b'1', b'f', b'.', b'A', 0, 255] {
                let mut changed = value;
                changed[at] = other;
                assert_eq!(seal.read(&changed, 0).is_some(), changed == value, "byte {at} as {other}");
            }
        }
        assert_eq!(seal.read(&value[..BYTES - 1], 0), None);
        assert_eq!(seal.read(&[value.as_slice(), b"0"].concat(), 0), None);
        assert_eq!(seal.read(b"", 0), None);
    }
}
