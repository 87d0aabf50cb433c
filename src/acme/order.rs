//! One order, from the account to the certificate. It refuses to know when it is made, and where what it gives is kept.

use std::path::Path;
use std::time::Duration;

use http::Request;
use http::StatusCode;
use instant_acme::Account;
use instant_acme::AccountCredentials;
use instant_acme::AuthorizationStatus;
use instant_acme::BodyWrapper;
use instant_acme::CertificateIdentifier;
use instant_acme::ChallengeType;
use instant_acme::Error;
use instant_acme::HttpClient;
use instant_acme::Identifier;
use instant_acme::Key;
use instant_acme::NewOrder;
use instant_acme::Order;
use instant_acme::OrderStatus;
use instant_acme::RetryPolicy;
use rcgen::CertificateParams;
use rcgen::DistinguishedName;
use rcgen::KeyPair;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use serde::Deserialize;
use serde::Serialize;
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::task::spawn_blocking;
use tracing::info;
use tracing::warn;
use zeroize::Zeroize;

use crate::acme::held::Held;
use crate::acme::store;
use crate::acme::web::Web;
use crate::model;
use crate::model::ChallengeKind;
use crate::model::KeyKind;
use crate::tls::challenge::Challenges;
use crate::tls::challenge::Text;

/// Why there is no certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Failure {
    /// In words.
    pub(super) words: String,
    /// For how long the authority asks not to come again, in seconds.
    pub(super) asked: Option<i64>,
    /// Whether it has refused for the number of orders.
    pub(super) limited: bool,
    /// Whether it does not know the account.
    pub(super) unknown: bool,
}

/// The file of an account.
#[derive(Deserialize, Serialize)]
struct Kept {
    directory: String,
    /// Whom its authority was told of.
    contact: Vec<String>,
    /// Absent: it has been asked for, and what came of that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    credentials: Option<AccountCredentials>,
    /// The key that it has been asked for with, as PEM, as long as that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<String>,
}

/// How often, and for how long, it is looked whether the authority has come to a verdict.
const LOOKS: RetryPolicy =
    RetryPolicy::new().initial_delay(Duration::from_millis(250)).backoff(1.5).timeout(Duration::from_secs(180));
/// Longest token.
const TOKEN: usize = 128;
/// Letters of a failure.
const WORDS: usize = 600;

impl Failure {
    /// In words of ours.
    pub(super) fn plain(words: impl Into<String>) -> Self {
        let words: String = words.into();
        let shown = words.chars().map(|letter| if letter.is_control() { ' ' } else { letter });
        Self { words: shown.take(WORDS).collect(), ..Self::default() }
    }

    /// What the protocol or the authority says.
    pub(super) fn of(error: &Error, web: &Web) -> Self {
        let kind = match error {
            Error::Api(problem) => problem.r#type.as_deref().unwrap_or_default(),
            _ => "",
        };
        Self {
            asked: web.asked(),
            limited: kind.ends_with(":rateLimited"),
            unknown: kind.ends_with(":accountDoesNotExist"),
            ..Self::plain(error.to_string())
        }
    }
}

/// Runs what may wait for a disk, or compute for long, where that holds up nobody.
pub(super) async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, Failure> {
    match spawn_blocking(work).await {
        Ok(done) => done.map_err(Failure::plain),
        Err(error) => Err(Failure::plain(error.to_string())),
    }
}

/// Runs what speaks to an authority in a task of its own: what it makes a library stumble over is a failure, and the end of
/// nothing else. Given up when this is dropped.
pub(super) async fn apart<T: Send + 'static>(
    work: impl Future<Output = Result<T, Failure>> + Send + 'static,
) -> Result<T, Failure> {
    let mut tasks = JoinSet::new();
    tasks.spawn(work);
    match tasks.join_next().await {
        Some(Ok(done)) => done,
        Some(Err(error)) => Err(Failure::plain(format!("a fault of the gateway, or of what it is built of: {error}"))),
        None => Err(Failure::plain("nothing was done")),
    }
}

/// Asks for the directory of these settings, and for nothing that it names.
pub(super) async fn reach(settings: &model::Acme) -> Result<(), Failure> {
    let read = settings.clone();
    let web = aside(move || Web::new(&read)).await?;
    let asked = Request::get(&settings.directory).body(BodyWrapper::default());
    let asked = asked.map_err(|error| Failure::plain(error.to_string()))?;
    let failed = |error: &Error| Failure::of(error, &web);
    let mut answer = web.request(asked).await.map_err(|error| failed(&error))?;
    let text = answer.body.into_bytes().await.map_err(|error| Failure::plain(error.to_string()))?;
    let said: Option<Value> = serde_json::from_slice(&text).ok();
    let whole =
        said.is_some_and(|said| ["newNonce", "newAccount", "newOrder"].iter().all(|place| said[place].is_string()));
    match answer.parts.status {
        StatusCode::OK if whole => Ok(()),
        StatusCode::OK => Err(Failure::plain("what is there is no directory of ACME")),
        status => Err(Failure::plain(format!("it answers with status {status}"))),
    }
}

/// The account at the directory of these settings: the one that is kept, or a new one.
pub(super) async fn account(settings: &model::Acme, web: &Web) -> Result<Account, Failure> {
    let file = store::account(&settings.home());
    let kept = aside({
        let file = file.clone();
        move || match store::load(&file)? {
            None => Ok(None),
            Some(mut text) => {
                let kept = serde_json::from_slice::<Kept>(&text);
                text.zeroize();
                kept.map(Some).map_err(|error| format!("{} holds no account: {error}", file.display()))
            }
        }
    })
    .await?;
    let failed = |error: Error| Failure::of(&error, web);
    let way = || Account::builder_with_http(Box::new(web.clone()));
    let kept = match kept {
        Some(kept) if kept.directory != settings.directory => {
            return Err(Failure::plain(format!("{} is of {}", file.display(), kept.directory)));
        }
        Some(kept) => kept,
        None => begun(settings, &file).await?,
    };
    let directory = settings.directory.clone();
    let (account, credentials, told) = match (kept.credentials, kept.key) {
        (Some(credentials), _) => {
            // Both are of the same text: one is used up, one is kept.
            let again = again(&credentials)?;
            (way().from_credentials(credentials).await.map_err(failed)?, again, kept.contact)
        }
        (None, Some(key)) => {
            // An authority that has made it before says which it is (RFC 8555 §7.3).
            let read = pair(&key);
            key.into_bytes().zeroize();
            let key = read.map_err(Failure::plain)?;
            let (account, credentials) = way().create_from_key(key, directory.clone()).await.map_err(failed)?;
            info!(%directory, "an ACME account has been made: {}", account.id());
            let (made, contact) = (again(&credentials)?, Vec::new());
            keep(Kept { directory: directory.clone(), contact, credentials: Some(made), key: None }, &file).await?;
            (account, credentials, Vec::new())
        }
        (None, None) => return Err(Failure::plain(format!("{} holds no account", file.display()))),
    };
    if told != settings.contact {
        let contact: Vec<String> = settings.contact.iter().map(|address| format!("mailto:{address}")).collect();
        let contact: Vec<&str> = contact.iter().map(String::as_str).collect();
        account.update_contacts(&contact).await.map_err(failed)?;
        let contact = settings.contact.clone();
        keep(Kept { directory, contact, credentials: Some(credentials), key: None }, &file).await?;
    }
    Ok(account)
}

/// An account that is to be asked for: its key is on the disk before anybody is, so that it is never made twice.
async fn begun(settings: &model::Acme, file: &Path) -> Result<Kept, Failure> {
    let make = || KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map(|key| key.serialize_pem());
    let key = Some(make().map_err(|error| Failure::plain(error.to_string()))?);
    let kept = |key| Kept { directory: settings.directory.clone(), contact: Vec::new(), credentials: None, key };
    keep(kept(key.clone()), file).await?;
    Ok(kept(key))
}

async fn keep(kept: Kept, file: &Path) -> Result<(), Failure> {
    let file = file.to_owned();
    aside(move || {
        let mut text = serde_json::to_vec_pretty(&kept).map_err(|error| error.to_string())?;
        let saved = store::save(&file, &text);
        text.zeroize();
        kept.key.unwrap_or_default().into_bytes().zeroize();
        saved
    })
    .await
}

fn again(credentials: &AccountCredentials) -> Result<AccountCredentials, Failure> {
    let again = serde_json::to_value(credentials).and_then(serde_json::from_value);
    again.map_err(|error| Failure::plain(error.to_string()))
}

/// A key of PEM, as the protocol needs it.
fn pair(pem: &str) -> Result<(Key, PrivateKeyDer<'static>), String> {
    let key = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).map_err(|error| error.to_string())?;
    let signs = Key::from_pkcs8_der(key.clone_key()).map_err(|error| error.to_string())?;
    Ok((signs, PrivateKeyDer::Pkcs8(key)))
}

/// Begins an order, in the place of another certificate if its authority takes that; and whether it was told and did not say so.
pub(super) async fn begin(
    (account, web): (&Account, &Web),
    names: &[String],
    replaced: Option<CertificateIdentifier<'static>>,
) -> Result<(Order, bool), Failure> {
    let identifiers: Vec<Identifier> = names.iter().map(|name| Identifier::Dns(name.clone())).collect();
    let plain = NewOrder::new(&identifiers);
    let mut deaf = false;
    if let Some(identifier) = replaced {
        match account.new_order(&NewOrder::new(&identifiers).replaces(identifier)).await {
            Ok(order) => return Ok((order, false)),
            // It was replaced before, or is not known any more: that is no reason to go without.
            Err(Error::Unsupported(_)) => {}
            // The order is made, and cannot be got at.
            Err(Error::Other(error)) if error.to_string().starts_with("replaces field mismatch") => deaf = true,
            Err(Error::Api(problem)) if is_of_the_old_one(problem.r#type.as_deref()) => {}
            Err(error) => return Err(Failure::of(&error, web)),
        }
    }
    let order = account.new_order(&plain).await.map_err(|error| Failure::of(&error, web))?;
    Ok((order, deaf))
}

fn is_of_the_old_one(kind: Option<&str>) -> bool {
    let kind = kind.unwrap_or_default();
    [":alreadyReplaced", ":conflict", ":malformed", ":unauthorized"].iter().any(|end| kind.ends_with(end))
}

/// The answers to the challenges of an order.
pub(super) async fn challenges(
    order: &mut Order,
    names: &[String],
    kind: ChallengeKind,
    web: &Web,
) -> Result<Challenges, Failure> {
    let (mut texts, mut sums) = (Vec::new(), Vec::new());
    let asked = order.state().authorizations.len();
    if asked > names.len() {
        return Err(Failure::plain(format!(
            "{} names were ordered, and {asked} are to be shown to be ours",
            names.len()
        )));
    }
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization.map_err(|error| Failure::of(&error, web))?;
        if authorization.status == AuthorizationStatus::Valid {
            continue;
        }
        let Identifier::Dns(name) = authorization.identifier().identifier.clone() else { continue };
        if !names.contains(&name) {
            return Err(Failure::plain(format!("{name} is to be shown to be ours, and was not ordered")));
        }
        let Some(challenge) = authorization.challenge(wire(kind)) else {
            return Err(Failure::plain(format!("the authority offers no {} for {name}", kind.word())));
        };
        if !is_token(&challenge.token) {
            return Err(Failure::plain(format!("the token for {name} is none")));
        }
        let answer = challenge.key_authorization();
        match kind {
            ChallengeKind::Http01 => {
                let (token, text) = (challenge.token.clone(), answer.as_str().to_owned());
                texts.push(Text { host: name, token, text });
            }
            ChallengeKind::TlsAlpn01 => {
                let sum = <[u8; 32]>::try_from(answer.digest().as_ref());
                sums.push((name, sum.map_err(|_| Failure::plain("a sum is not of 32 bytes"))?));
            }
        }
    }
    match kind {
        ChallengeKind::Http01 => Ok(Challenges::texts(texts)),
        ChallengeKind::TlsAlpn01 => aside(move || Challenges::certificates(&sums)).await,
    }
}

/// Whether an authority may give this as a token (RFC 8555 §8.3): letters of base64url, and not too many.
fn is_token(text: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=TOKEN).contains(&text.len()) && text.bytes().all(letter)
}

/// Lets the authority look, now that all cores have the answers, and waits for what it has seen.
pub(super) async fn validate(order: &mut Order, kind: ChallengeKind, web: &Web) -> Result<(), Failure> {
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization.map_err(|error| Failure::of(&error, web))?;
        if authorization.status == AuthorizationStatus::Valid {
            continue;
        }
        if let Some(mut challenge) = authorization.challenge(wire(kind)) {
            challenge.set_ready().await.map_err(|error| Failure::of(&error, web))?;
        }
    }
    let failure = match order.poll_ready(&LOOKS).await {
        Ok(OrderStatus::Ready) => return Ok(()),
        Ok(status) => Failure::plain(format!("the order is {status:?}")),
        Err(error) => Failure::of(&error, web),
    };
    let seen = seen(order).await;
    Err(if seen.is_empty() { failure } else { Failure { words: Failure::plain(seen).words, ..failure } })
}

/// What the authority has found wrong with each name.
async fn seen(order: &mut Order) -> String {
    let mut words = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        if authorization.refresh().await.is_err() {
            continue;
        }
        let name = authorization.identifier().to_string();
        let faults = authorization.challenges.iter().filter_map(|challenge| challenge.error.as_ref());
        words.extend(faults.map(|fault| format!("{name}: {fault}")));
    }
    words.join("; ")
}

/// Has the certificate made that was ordered, with a new key: the chain and the key, as PEM.
pub(super) async fn finish(
    order: &mut Order,
    names: &[String],
    kind: KeyKind,
    web: &Web,
) -> Result<(Vec<u8>, Held), Failure> {
    let wanted = names.to_vec();
    let (request, mut key) = aside(move || request(wanted, kind).map_err(|error| error.to_string())).await?;
    order.finalize_csr(&request).await.map_err(|error| Failure::of(&error, web))?;
    let chain = order.poll_certificate(&LOOKS).await.map_err(|error| Failure::of(&error, web))?;
    let mut whole = Vec::with_capacity(chain.len() + 1 + key.len());
    [chain.trim_end().as_bytes(), b"\n", &key].iter().for_each(|part| whole.extend_from_slice(part));
    key.zeroize();
    let read = match Held::read(&whole) {
        Ok(held) if held.is_for(names) => return Ok((whole, held)),
        Ok(_) => Failure::plain("what was issued is not for all the names that were ordered"),
        Err(why) => Failure::plain(format!("what was issued: {why}")),
    };
    whole.zeroize();
    Err(read)
}

fn request(names: Vec<String>, kind: KeyKind) -> Result<(Vec<u8>, Vec<u8>), rcgen::Error> {
    let key = KeyPair::generate_for(match kind {
        KeyKind::EcdsaP256 => &rcgen::PKCS_ECDSA_P256_SHA256,
        KeyKind::EcdsaP384 => &rcgen::PKCS_ECDSA_P384_SHA384,
        KeyKind::Rsa2048 => &rcgen::PKCS_RSA_SHA256,
    })?;
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = DistinguishedName::new();
    Ok((params.serialize_request(&key)?.der().to_vec(), key.serialize_pem().into_bytes()))
}

/// Puts an account aside that its authority does not know: the next order makes another. Its key is kept.
pub(super) async fn forget(settings: &model::Acme) {
    let file = store::account(&settings.home());
    warn!("the ACME account is not known to its authority any more, it is put aside and another will be made");
    if let Err(failure) = aside(move || store::put_aside(&file)).await {
        warn!("{}", failure.words);
    }
}

fn wire(kind: ChallengeKind) -> ChallengeType {
    match kind {
        ChallengeKind::Http01 => ChallengeType::Http01,
        ChallengeKind::TlsAlpn01 => ChallengeType::TlsAlpn01,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_short_and_of_base64url() {
        let longest = "x".repeat(TOKEN);
        for (text, good) in [
            ("a-B_9", true),
            (&longest, true),
            (&(longest.clone() + "x"), false),
            ("", false),
            ("a/b", false),
            ("a=", false),
        ] {
            assert_eq!(is_token(text), good, "{text}");
        }
    }

    #[test]
    fn what_stumbles_has_failed_and_is_the_end_of_nothing_else() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let stumbled = apart::<()>(async { panic!("over nothing") }).await.unwrap_err();
            assert!(stumbled.words.contains("a fault of the gateway"), "{}", stumbled.words);
            assert_eq!(apart(async { Ok(1) }).await, Ok(1));
            assert_eq!(apart::<()>(async { Err(Failure::plain("so")) }).await, Err(Failure::plain("so")));
        });
    }
}
