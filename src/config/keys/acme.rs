//! The keys that say how certificates are got by ACME. It refuses to know how a key is read or shown.

use crate::config::acme::Contacts;
use crate::config::acme::DirectoryUrl;
use crate::config::acme::Folder;
use crate::config::key::Key;
use crate::config::key::Keys;
use crate::config::key::Need::Default;
use crate::config::key::Need::Optional;
use crate::config::key::Need::Required;
use crate::config::kind::Switch;
use crate::config::kind::Words;
use crate::config::tls::FilePath;
use crate::model::ChallengeKind;
use crate::model::KeyKind;

pub(in crate::config) static ACME: Keys =
    &[&ACCEPT_TERMS, &DIRECTORY, &STAGING, &CONTACT, &FOLDER, &CHALLENGE, &KEY_KIND, &DIRECTORY_CA];

pub(in crate::config) static ACCEPT_TERMS: Key<Switch> = Key {
    name: "accept_terms",
    kind: Switch,
    need: Required,
    doc: "Whether you agree to the terms of service of the authority that is asked. Nothing is asked of it before you do.",
    example: "true",
};

pub(in crate::config) static DIRECTORY: Key<DirectoryUrl> = Key {
    name: "directory",
    kind: DirectoryUrl,
    need: Optional,
    doc: "The URL of the authority's directory. Without it: that of Let's Encrypt.",
    example: "\"https://ca.internal/acme/directory\"",
};

pub(in crate::config) static STAGING: Key<Switch> = Key {
    name: "staging",
    kind: Switch,
    need: Default(false),
    doc: "Whether Let's Encrypt's directory for trials is asked: nobody believes its certificates, and its limits are wide.",
    example: "true",
};

pub(in crate::config) static CONTACT: Key<Contacts> = Key {
    name: "contact",
    kind: Contacts,
    need: Default(Vec::new()),
    doc: "Addresses of mail to which the authority may write.",
    example: "[\"ops@example.com\"]",
};

pub(in crate::config) static FOLDER: Key<Folder> = Key {
    name: "folder",
    kind: Folder,
    need: Optional,
    doc: "Where the account and the certificates are kept, each directory's apart; made if it is not there. It holds keys: \
          what is made in it can be read by the gateway's user alone. It is one gateway's. Without it: /var/lib/ringway/acme.",
    example: "\"/srv/ringway/acme\"",
};

pub(in crate::config) static CHALLENGE: Key<Words<ChallengeKind>> = Key {
    name: "challenge",
    kind: Words { words: &[("tls-alpn-01", ChallengeKind::TlsAlpn01), ("http-01", ChallengeKind::Http01)] },
    need: Default(ChallengeKind::TlsAlpn01),
    doc: "How it is shown that a name is ours. `tls-alpn-01`: the authority comes to port 443 of the name, which must be the \
          listener itself, with no TLS before it. `http-01`: it comes to port 80, which must be a listener without TLS; a \
          redirect there does not matter.",
    example: "\"http-01\"",
};

pub(in crate::config) static KEY_KIND: Key<Words<KeyKind>> = Key {
    name: "key",
    kind: Words {
        words: &[
            ("ecdsa-p256", KeyKind::EcdsaP256),
            ("ecdsa-p384", KeyKind::EcdsaP384),
            ("rsa-2048", KeyKind::Rsa2048),
        ],
    },
    need: Default(KeyKind::EcdsaP256),
    doc: "What sort of key a certificate has: a new one each time.",
    example: "\"ecdsa-p384\"",
};

pub(in crate::config) static DIRECTORY_CA: Key<FilePath> = Key {
    name: "ca",
    kind: FilePath,
    need: Optional,
    doc: "A file of PEM: the authorities that the directory itself is believed by. Without it: those of the system.",
    example: "\"/etc/ringway/internal.pem\"",
};
