//! What a certificate says of itself (RFC 5280): names, times, key. Read only far enough for that; whether it is to be
//! believed is settled elsewhere, by rustls.
//!
//! Names are compared and shown whole: a NUL in one ends nothing.

use std::fmt::Write;
use std::net::IpAddr;

use aws_lc_rs::digest;

/// What a certificate says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Certificate {
    /// Its subject, as in RFC 4514 but from the first part to the last.
    pub subject: String,
    /// Its issuer, likewise.
    pub issuer: String,
    /// Its serial number in hexadecimal digits.
    pub serial: String,
    /// The DNS names it is for, in lower case; those that are no names are left out.
    pub names: Vec<String>,
    /// The IP addresses it is for.
    pub addresses: Vec<IpAddr>,
    /// The URIs it is for, percent-encoded where a byte is not visible.
    pub uris: Vec<String>,
    /// From when on it is good, in seconds since 1970.
    pub not_before: i64,
    /// How long it is good, likewise.
    pub not_after: i64,
    /// SHA-256 of it all in hexadecimal digits.
    pub fingerprint: String,
    /// SHA-256 of its public key (SubjectPublicKeyInfo).
    pub key: [u8; 32],
}

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const INTEGER: u8 = 0x02;
const OID: u8 = 0x06;
const OCTETS: u8 = 0x04;
const BOOLEAN: u8 = 0x01;
const UTC_TIME: u8 = 0x17;
const GENERAL_TIME: u8 = 0x18;
/// Of the certificate's own fields, and of `GeneralName`.
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;
const NAME_DNS: u8 = 0x82;
const NAME_URI: u8 = 0x86;
const NAME_IP: u8 = 0x87;
/// id-ce-subjectAltName.
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];

/// The rest of some DER.
#[derive(Clone, Copy)]
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// The next value: its tag, its content, and all its bytes.
    fn next(&mut self) -> Option<(u8, &'a [u8], &'a [u8])> {
        let (tag, after) = self.0.split_first()?;
        let (first, mut after) = after.split_first()?;
        let mut len = usize::from(*first);
        if len >= 0x80 {
            let (size, rest) = after.split_at_checked(len - 0x80).filter(|(size, _)| (1..=3).contains(&size.len()))?;
            len = size.iter().fold(0, |len, byte| len << 8 | usize::from(*byte));
            after = rest;
        }
        let (content, rest) = after.split_at_checked(len)?;
        let whole = self.0.get(..self.0.len() - rest.len())?;
        self.0 = rest;
        Some((*tag, content, whole))
    }

    fn expect(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.next().filter(|(found, ..)| *found == tag).map(|(_, content, _)| content)
    }

    /// The next value if it has this tag.
    fn optional(&mut self, tag: u8) -> Option<&'a [u8]> {
        let mut ahead = *self;
        let content = ahead.expect(tag)?;
        *self = ahead;
        Some(content)
    }
}

impl Certificate {
    /// Reads one; nothing if it is none.
    #[must_use]
    pub fn read(der: &[u8]) -> Option<Self> {
        let mut whole = Der(Der(der).expect(SEQUENCE)?);
        let mut fields = Der(whole.expect(SEQUENCE)?);
        fields.optional(VERSION);
        let serial = hex(fields.expect(INTEGER)?);
        fields.expect(SEQUENCE)?;
        let issuer = name(fields.expect(SEQUENCE)?);
        let mut validity = Der(fields.expect(SEQUENCE)?);
        let (not_before, not_after) = (time(&mut validity)?, time(&mut validity)?);
        let subject = name(fields.expect(SEQUENCE)?);
        let (_, _, key) = fields.next().filter(|(tag, ..)| *tag == SEQUENCE)?;
        let mut read = Self {
            subject,
            issuer,
            serial,
            not_before,
            not_after,
            fingerprint: hex(&sha256(der)),
            key: sha256(key),
            ..Self::default()
        };
        while let Some((tag, content, _)) = fields.next() {
            if tag == EXTENSIONS {
                read.extensions(Der(content).expect(SEQUENCE)?)?;
            }
        }
        Some(read)
    }

    fn extensions(&mut self, list: &[u8]) -> Option<()> {
        let mut list = Der(list);
        while let Some((SEQUENCE, extension, _)) = list.next() {
            let mut extension = Der(extension);
            if extension.expect(OID)? != SUBJECT_ALT_NAME {
                continue;
            }
            extension.optional(BOOLEAN);
            let mut names = Der(Der(extension.expect(OCTETS)?).expect(SEQUENCE)?);
            while let Some((tag, content, _)) = names.next() {
                match tag {
                    NAME_DNS if is_name(content) => {
                        self.names.push(String::from_utf8_lossy(content).to_ascii_lowercase());
                    }
                    NAME_URI => self.uris.push(visible(content)),
                    NAME_IP => self.addresses.extend(address(content)),
                    _ => {}
                }
            }
        }
        Some(())
    }

    /// How its holder is told of to those behind the gateway: `Hash=…;Subject="…";URI=…;DNS=…`.
    #[must_use]
    pub fn forwarded(&self) -> String {
        let mut text = format!("Hash={};Subject=\"{}\"", self.fingerprint, self.subject.replace('"', "\\\""));
        let plain = |text: &&String| !text.contains([';', ',', '"', '=']);
        for uri in self.uris.iter().filter(plain).take(NAMES) {
            let _ = write!(text, ";URI={uri}");
        }
        for name in self.names.iter().take(NAMES) {
            let _ = write!(text, ";DNS={name}");
        }
        text
    }
}

/// When a list of revoked certificates ends (RFC 5280 §5.1), in seconds since 1970; nothing if it is none, or does not say.
#[must_use]
pub fn next_update(der: &[u8]) -> Option<i64> {
    let mut whole = Der(Der(der).expect(SEQUENCE)?);
    let mut fields = Der(whole.expect(SEQUENCE)?);
    fields.optional(INTEGER);
    fields.expect(SEQUENCE)?;
    fields.expect(SEQUENCE)?;
    time(&mut fields)?;
    time(&mut fields)
}

/// Names of a client's certificate that are told on.
const NAMES: usize = 8;
/// Bytes of a subject or issuer that are shown.
const NAME_BYTES: usize = 512;

/// SHA-256.
#[must_use]
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut sum = [0; 32];
    sum.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    sum
}

/// Hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Whether these bytes may be a DNS name, or a wildcard.
fn is_name(bytes: &[u8]) -> bool {
    let plain = bytes.strip_prefix(b"*.").unwrap_or(bytes);
    !plain.is_empty() && plain.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'))
}

/// The bytes as visible ASCII: what is not, and `%`, is percent-encoded.
fn visible(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        match byte {
            b' ' => text.push(' '),
            b'%' | b'\\' => drop(write!(text, "%{byte:02X}")),
            byte if byte.is_ascii_graphic() => text.push(char::from(*byte)),
            byte => drop(write!(text, "%{byte:02X}")),
        }
        text
    })
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let four = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    four.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}

/// A distinguished name: `CN=orders,O=Shop`.
fn name(parts: &[u8]) -> String {
    let (mut text, mut parts) = (String::new(), Der(parts));
    while let Some((SET, part, _)) = parts.next() {
        let mut part = Der(part);
        while let Some((SEQUENCE, attribute, _)) = part.next() {
            let mut attribute = Der(attribute);
            let (Some(kind), Some((_, value, _))) = (attribute.expect(OID), attribute.next()) else { continue };
            let kind = match kind {
                [0x55, 4, 3] => "CN",
                [0x55, 4, 5] => "serialNumber",
                [0x55, 4, 6] => "C",
                [0x55, 4, 7] => "L",
                [0x55, 4, 8] => "ST",
                [0x55, 4, 10] => "O",
                [0x55, 4, 11] => "OU",
                [0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25] => "DC",
                [0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 1] => "UID",
                _ => continue,
            };
            // A comma within a value must not look like one between two.
            let value = visible(value).replace(',', "%2C").replace('=', "%3D");
            if text.len() + value.len() < NAME_BYTES {
                let _ = write!(text, "{}{kind}={value}", if text.is_empty() { "" } else { "," });
            }
        }
    }
    text
}

/// A time in seconds since 1970 (RFC 5280 §4.1.2.5).
fn time(from: &mut Der<'_>) -> Option<i64> {
    let (tag, text, _) = from.next()?;
    let (year, rest) = match tag {
        UTC_TIME => {
            let (year, rest) = text.split_at_checked(2)?;
            let year = number(year)?;
            (if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        GENERAL_TIME => {
            let (year, rest) = text.split_at_checked(4)?;
            (number(year)?, rest)
        }
        _ => return None,
    };
    let [month, day, hour, minute, second] = {
        let mut parts = rest.strip_suffix(b"Z")?.chunks_exact(2).map(number);
        [parts.next()??, parts.next()??, parts.next()??, parts.next()??, parts.next()??]
    };
    Some(days(year, month, day)? * 86_400 + hour * 3_600 + minute * 60 + second)
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |sum, digit| digit.is_ascii_digit().then(|| sum * 10 + i64::from(digit - b'0')))
}

/// Days from 1970-01-01 to a day of the Gregorian calendar.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Years that begin in March, so that a leap day is the last of its year.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * month + 2) / 5 + day - 1;
    Some(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::string::Ia5String;

    fn made(names: Vec<rcgen::SanType>) -> Vec<u8> {
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::CommonName, "a \"b\", c\0d");
        params.distinguished_name.push(rcgen::DnType::OrganizationName, "Shop");
        params.not_before = rcgen::date_time_ymd(2024, 2, 29);
        params.not_after = rcgen::date_time_ymd(2051, 1, 1);
        params.subject_alt_names = names;
        let key = rcgen::KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn it_says_what_it_is() {
        let dns = |name: &str| rcgen::SanType::DnsName(Ia5String::try_from(name).unwrap());
        let der = made(vec![
            dns("Shop.Example.com"),
            dns("*.example.org"),
            dns("good.example\0.evil.example"),
            rcgen::SanType::IpAddress("::1".parse().unwrap()),
            rcgen::SanType::URI(Ia5String::try_from("spiffe://shop/orders\0").unwrap()),
        ]);
        let read = Certificate::read(&der).unwrap();
        assert_eq!(read.names, ["shop.example.com", "*.example.org"], "a name with a NUL is none");
        assert_eq!(read.addresses, ["::1".parse::<IpAddr>().unwrap()]);
        assert_eq!(read.uris, ["spiffe://shop/orders%00"]);
        assert_eq!(read.subject, "CN=a \"b\"%2C c%00d,O=Shop");
        assert_eq!((read.not_before, read.not_after), (1_709_164_800, 2_556_144_000));
        assert_eq!(read.fingerprint, hex(&sha256(&der)));
        let told = read.forwarded();
        assert!(told.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()), "{told}");
        assert!(
            told.contains(";Subject=\"CN=a \\\"b\\\"%2C c%00d,O=Shop\";URI=spiffe://shop/orders%00;DNS="),
            "{told}"
        );
    }

    #[test]
    fn a_list_says_when_it_ends() {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut authority = rcgen::CertificateParams::default();
        authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        authority.key_usages = vec![rcgen::KeyUsagePurpose::CrlSign];
        let issuer = rcgen::CertifiedIssuer::self_signed(authority, key).unwrap();
        let list = rcgen::CertificateRevocationListParams {
            this_update: rcgen::date_time_ymd(2024, 1, 1),
            next_update: rcgen::date_time_ymd(2051, 1, 1),
            crl_number: 1_u64.into(),
            issuing_distribution_point: None,
            revoked_certs: Vec::new(),
            key_identifier_method: rcgen::KeyIdMethod::Sha256,
        };
        let der = list.signed_by(&issuer).unwrap().der().to_vec();
        assert_eq!(next_update(&der), Some(2_556_144_000));
        (0..der.len()).for_each(|end| assert_eq!(next_update(&der[..end]), None));
    }

    #[test]
    fn what_is_none_is_refused_and_nothing_panics() {
        let der = made(Vec::new());
        for end in 0..der.len() {
            assert_eq!(Certificate::read(&der[..end]), None, "cut at {end}");
        }
        for at in 0..der.len() {
            for byte in [0, 0x7f, 0x80, 0x84, 0xff] {
                let mut other = der.clone();
                other[at] = byte;
                drop(Certificate::read(&other));
            }
        }
    }
}
