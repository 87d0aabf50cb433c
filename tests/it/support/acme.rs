//! An authority that speaks ACME (RFC 8555, RFC 8737, RFC 9773), as strict as the ones in the world: signatures and nonces are
//! checked, and a challenge is looked at where the gateway really listens. What else it does is scripted.

use std::collections::HashSet;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;

use aws_lc_rs::signature;
use aws_lc_rs::signature::UnparsedPublicKey;
use rustls::ServerConfig;
use serde_json::Value;
use serde_json::json;

use super::PATIENCE;
use super::forms::base64;
use super::forms::rfc3339;
use super::forms::unbase64;
use super::looks::Point;
use super::looks::asked_for;
use super::looks::look_at_certificate;
use super::looks::look_at_file;
use super::looks::sha256;
use super::message::Request;
use super::tls;
use super::tls::Authority;

/// The authority; it serves as long as the test lives.
pub struct Acme {
    /// What issues, and what the directory itself is believed by.
    pub authority: Authority,
    addr: SocketAddr,
    inside: Arc<Inside>,
}

struct Inside {
    base: String,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    nonces: HashSet<String>,
    next: u64,
    /// The keys of accounts: the point, and the thumbprint.
    accounts: Vec<(Vec<u8>, String)>,
    contacts: Vec<Value>,
    orders: Vec<Order>,
    authority: Option<Signs>,
    reach: Option<[SocketAddr; 2]>,
    bad_nonces: u32,
    /// Orders are refused, with or without a time to wait.
    limit: Option<Option<u32>>,
    /// From and to, in seconds from now; none: it is not said when to renew.
    window: Option<(i64, i64)>,
    /// Of what is issued.
    life: (i64, i64),
    said: Vec<String>,
    /// What the directory says instead of what it should.
    directory: Vec<(String, Value)>,
    /// What an order's authorizations say instead of what they should: the names, and the token.
    strange: Option<(Vec<String>, String)>,
    /// So many accounts are made without a word of it.
    mute: u32,
    /// What is asked for with every answer to an order.
    retry_after: Option<String>,
    /// Whether it does not say which certificate an order is for.
    deaf: bool,
    /// So many orders are made, and the connection is cut instead of an answer.
    cut: u32,
    /// Where it says that its directory is.
    moved: Option<String>,
}

/// No status: there is no answer.
const CUT: u16 = 0;

type Signs = Box<dyn Fn(&[String], Point, (i64, i64)) -> String + Send>;

#[derive(Clone, Default)]
struct Order {
    names: Vec<String>,
    replaces: Option<String>,
    /// For each name its token, and what came of looking: nothing yet, good, or why not.
    seen: Vec<(String, Option<Result<(), String>>)>,
    issued: Option<String>,
    account: usize,
}

/// A refusal: status, kind, words, and for how long one is asked to wait.
struct Problem(u16, &'static str, String, Option<u32>);

/// What is answered: status, further fields, content.
struct Answer(u16, Vec<(&'static str, String)>, String);

impl Acme {
    /// One that serves. What it issues is good for ninety days.
    pub fn start() -> Self {
        let authority = Authority::new();
        let shown = authority.issue("directory", &["127.0.0.1"]);
        let config = Arc::new(authority.origin(&shown, false));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let issues = authority.issues();
        let signs: Signs = Box::new(move |names, point, life| issues.sign(names, &point, life));
        let state = State { authority: Some(signs), life: (-3600, 90 * 24 * 3600), ..State::default() };
        let base = format!("https://{addr}");
        let inside = Arc::new(Inside { base, state: Mutex::new(state), changed: Condvar::new() });
        let serves = inside.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (config, inside) = (config.clone(), serves.clone());
                std::thread::spawn(move || inside.serve(stream, &config));
            }
        });
        Self { authority, addr, inside }
    }

    /// The lines of `[acme]`: this directory, and a folder of the test's own.
    pub fn table(&self, more: &str) -> String {
        format!(
            "[acme]\naccept_terms = true\ndirectory = \"https://{}/dir\"\nfolder = \"{}\"\nca = \"{}\"\n{more}\n",
            self.addr,
            self.folder().display(),
            self.authority.ca().display(),
        )
    }

    /// The folder that the gateway is told to keep things in.
    pub fn folder(&self) -> std::path::PathBuf {
        self.authority.scratch.path().join("acme")
    }

    /// Where things of this directory are kept in it.
    pub fn home(&self) -> std::path::PathBuf {
        self.folder().join(format!("127.0.0.1-{}-dir", self.addr.port()))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.inside.state.lock().unwrap()
    }

    /// Where the gateway is found by plain HTTP, and by TLS. Until that is known nothing is looked at.
    pub fn find(&self, plain: SocketAddr, secure: SocketAddr) {
        self.state().reach = Some([plain, secure]);
        self.inside.changed.notify_all();
    }

    /// Where it is, is not known any more.
    pub fn lose(&self) {
        self.state().reach = None;
    }

    /// Refuses the nonces of the next requests.
    pub fn refuse_nonces(&self, n: u32) {
        self.state().bad_nonces = n;
    }

    /// Refuses every order from now on, as too many, with a time to wait or without; or none any more.
    pub fn limit(&self, after: Option<Option<u32>>) {
        self.state().limit = after;
    }

    /// Says from now on that certificates are to be renewed within this time, in seconds from now.
    pub fn renew_within(&self, from: i64, to: i64) {
        self.state().window = Some((from, to));
    }

    /// Says this in its directory from now on, instead of what it should.
    pub fn mislead(&self, name: &str, said: Value) {
        self.state().directory.push((name.to_owned(), said));
    }

    /// Says all of what it should again.
    pub fn lead(&self) {
        self.state().directory.clear();
    }

    /// Asks for this time to wait with every answer about an order and about renewals, or for none any more.
    pub fn retry_after(&self, text: Option<&str>) {
        self.state().retry_after = text.map(str::to_owned);
    }

    /// Asks from now on for these names instead of those that were ordered, with a token that ends so.
    pub fn ask_strangely(&self, names: &[&str], token: &str) {
        self.state().strange = Some((names.iter().map(ToString::to_string).collect(), token.to_owned()));
    }

    /// Makes the next accounts, and answers with a fault all the same.
    pub fn mute(&self, n: u32) {
        self.state().mute = n;
    }

    /// Does not say from now on which certificate an order is for.
    pub fn deafen(&self) {
        self.state().deaf = true;
    }

    /// Makes the next orders, and cuts the connection instead of an answer.
    pub fn cut(&self, n: u32) {
        self.state().cut = n;
    }

    /// Says from now on that its directory is elsewhere.
    pub fn move_to(&self, url: &str) {
        self.state().moved = Some(url.to_owned());
    }

    /// Issues for such a life from now on, in seconds from now.
    pub fn issue_for(&self, from: i64, to: i64) {
        self.state().life = (from, to);
    }

    /// What was asked of it, by what it was for: `order shop.example`, say.
    pub fn said(&self) -> Vec<String> {
        self.state().said.clone()
    }

    /// How often something was asked of it that begins so.
    pub fn times(&self, what: &str) -> usize {
        self.said().iter().filter(|said| said.starts_with(what)).count()
    }

    /// Accounts that there are, by whom may be written to.
    pub fn contacts(&self) -> Vec<Value> {
        self.state().contacts.clone()
    }

    /// Forgets every account.
    pub fn forget(&self) {
        self.state().accounts.iter_mut().for_each(|account| *account = (Vec::new(), String::new()));
    }
}

// === what it serves ===

impl Inside {
    fn serve(self: &Arc<Self>, stream: TcpStream, config: &Arc<ServerConfig>) {
        let mut incoming = tls::incoming(stream, config);
        while let Ok(mut request) = incoming.request_head() {
            if incoming.request_body(&mut request).is_err() {
                return;
            }
            let Answer(status, fields, content) = self.answer(&request).unwrap_or_else(Problem::answer);
            if status == CUT {
                return;
            }
            let mut text = format!("HTTP/1.1 {status} Said\r\nContent-Length: {}\r\n", content.len());
            for (name, value) in &fields {
                text += &format!("{name}: {value}\r\n");
            }
            text += &format!("Replay-Nonce: {}\r\n\r\n", self.nonce());
            if request.method != "HEAD" {
                text += &content;
            }
            if incoming.stream.write_all(text.as_bytes()).and_then(|()| incoming.stream.flush()).is_err() {
                return;
            }
        }
    }

    fn nonce(&self) -> String {
        let mut state = self.state.lock().unwrap();
        state.next += 1;
        let nonce = format!("nonce-{}", state.next);
        state.nonces.insert(nonce.clone());
        nonce
    }

    fn say(&self, what: String) {
        self.state.lock().unwrap().said.push(what);
    }

    fn answer(self: &Arc<Self>, request: &Request) -> Result<Answer, Problem> {
        let parts: Vec<&str> = request.target.trim_start_matches('/').split('/').collect();
        let base = &self.base;
        match (request.method.as_str(), parts.as_slice()) {
            ("GET", ["dir"]) if self.state.lock().unwrap().moved.is_some() => {
                let place = self.state.lock().unwrap().moved.clone().unwrap();
                self.say("directory".into());
                Ok(Answer(302, vec![("Location", place)], String::new()))
            }
            ("GET", ["dir"]) => {
                let mut all = json!({
                    "newNonce": format!("{base}/nonce"),
                    "newAccount": format!("{base}/account"),
                    "newOrder": format!("{base}/order"),
                });
                if self.state.lock().unwrap().window.is_some() {
                    all["renewalInfo"] = format!("{base}/renewal").into();
                }
                for (name, said) in &self.state.lock().unwrap().directory {
                    all[name] = said.clone();
                }
                Ok(answer(200, &all))
            }
            ("HEAD", ["nonce"]) => Ok(Answer(200, Vec::new(), String::new())),
            ("GET", ["renewal", of]) => {
                self.say(format!("renewal {of}"));
                let window = self.state.lock().unwrap().window;
                let (from, to) = window.ok_or_else(|| malformed("no renewal information"))?;
                let all = json!({ "suggestedWindow": { "start": rfc3339(from), "end": rfc3339(to) } });
                let after = self.state.lock().unwrap().retry_after.clone();
                Ok(Answer(200, vec![("Retry-After", after.unwrap_or_else(|| "21600".into()))], all.to_string()))
            }
            ("POST", parts) => self.signed(request, parts),
            (method, _) => Err(Problem(405, "malformed", format!("{method} {}", request.target), None)),
        }
    }

    /// Checks the signature (RFC 8555 §6.2), and does what is asked.
    fn signed(self: &Arc<Self>, request: &Request, parts: &[&str]) -> Result<Answer, Problem> {
        if request.field("Content-Type") != "application/jose+json" {
            return Err(malformed("the content is no JOSE"));
        }
        let whole: Value = serde_json::from_slice(&request.body).map_err(|_| malformed("no JSON"))?;
        let text = |name: &str| whole[name].as_str().ok_or_else(|| malformed(name));
        let (head, payload) = (text("protected")?, text("payload")?);
        let (header, sum) = (json_of(&unbase64(head))?, unbase64(text("signature")?));
        if header["url"] != format!("{}{}", self.base, request.target) || header["alg"] != "ES256" {
            return Err(malformed("another URL, or another algorithm"));
        }
        let mut state = self.state.lock().unwrap();
        let fresh = state.nonces.remove(header["nonce"].as_str().unwrap_or_default());
        if !fresh || state.bad_nonces > 0 {
            state.bad_nonces = state.bad_nonces.saturating_sub(1);
            state.said.push("bad nonce".into());
            return Err(Problem(400, "badNonce", "the nonce is not good".into(), None));
        }
        let (point, thumb, account) = match header["kid"].as_str() {
            Some(kid) => {
                let number =
                    kid.rsplit('/').next().and_then(|number| number.parse::<usize>().ok()).unwrap_or(usize::MAX);
                let known = state.accounts.get(number).filter(|(point, _)| !point.is_empty()).cloned();
                let unknown = || Problem(400, "accountDoesNotExist", "no such account".into(), None);
                let (point, thumb) = known.ok_or_else(unknown)?;
                (point, thumb, number)
            }
            None => {
                let part = |name: &str| header["jwk"][name].as_str().unwrap_or_default().to_owned();
                let (x, y) = (part("x"), part("y"));
                let canonical = format!("{{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"{x}\",\"y\":\"{y}\"}}");
                let point = [&[4][..], &unbase64(&x), &unbase64(&y)].concat();
                (point, base64(sha256(canonical.as_bytes()).as_ref()), usize::MAX)
            }
        };
        drop(state);
        let key = UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, point.clone());
        let signed = format!("{head}.{payload}");
        key.verify(signed.as_bytes(), &sum).map_err(|_| malformed("the signature is not good"))?;
        let payload = unbase64(payload);
        match parts {
            ["account"] if account == usize::MAX => self.account(point, thumb, &json_of(&payload)?),
            ["account", _] => {
                let contact = json_of(&payload)?["contact"].clone();
                self.state.lock().unwrap().contacts[account] = contact;
                Ok(answer(200, &json!({ "status": "valid" })))
            }
            ["order"] => self.order(account, &json_of(&payload)?),
            [what, number, rest @ ..] => {
                let number: usize = number.parse().map_err(|_| malformed("no number"))?;
                let order = self.state.lock().unwrap().orders.get(number).cloned();
                let order = order.filter(|order| order.account == account);
                let order = order.ok_or_else(|| malformed("no such order, or another's"))?;
                self.part((what, rest), (number, &order), &payload)
            }
            _ => Err(malformed("no such place")),
        }
    }

    fn account(&self, point: Vec<u8>, thumb: String, asked: &Value) -> Result<Answer, Problem> {
        if asked["termsOfServiceAgreed"] != true {
            return Err(Problem(403, "userActionRequired", "the terms are to be agreed to".into(), None));
        }
        self.say("account".into());
        let mut state = self.state.lock().unwrap();
        if let Some(number) = state.accounts.iter().position(|(known, _)| *known == point) {
            let place = format!("{}/account/{number}", self.base);
            return Ok(Answer(200, vec![("Location", place)], json!({ "status": "valid" }).to_string()));
        }
        state.accounts.push((point, thumb));
        state.contacts.push(asked["contact"].clone());
        if state.mute > 0 {
            state.mute -= 1;
            return Err(Problem(500, "serverInternal", "something is wrong".into(), None));
        }
        let place = format!("{}/account/{}", self.base, state.accounts.len() - 1);
        Ok(Answer(201, vec![("Location", place)], json!({ "status": "valid" }).to_string()))
    }

    fn order(&self, account: usize, asked: &Value) -> Result<Answer, Problem> {
        let names: Vec<String> =
            asked["identifiers"].as_array().into_iter().flatten().map(|one| text(&one["value"])).collect();
        let replaces = asked["replaces"].as_str().map(str::to_owned);
        let deaf = self.state.lock().unwrap().deaf;
        let replacing = replaces.as_ref().map_or_else(String::new, |of| format!(" for {of}"));
        self.say(format!("order {}{replacing}", names.join(" ")));
        let mut state = self.state.lock().unwrap();
        if let Some(after) = state.limit {
            return Err(Problem(429, "rateLimited", "too many orders".into(), after));
        }
        state.next += 1;
        let (names, end) = state.strange.clone().unwrap_or((names, String::new()));
        let token = |n| base64(&sha256(format!("{} {n}", state.next).as_bytes()).as_ref()[..16]) + &end;
        let seen = (0..names.len()).map(|n| (token(n), None)).collect();
        let replaces = replaces.filter(|_| !deaf);
        state.orders.push(Order { names, replaces, seen, issued: None, account });
        let number = state.orders.len() - 1;
        if state.cut > 0 {
            state.cut -= 1;
            return Ok(Answer(CUT, Vec::new(), String::new()));
        }
        let shown = self.shown(number, &state.orders[number]);
        Ok(Answer(201, vec![("Location", format!("{}/order/{number}", self.base))], shown.to_string()))
    }

    fn part(
        self: &Arc<Self>,
        (what, rest): (&str, &[&str]),
        (number, order): (usize, &Order),
        payload: &[u8],
    ) -> Result<Answer, Problem> {
        let place = rest.first().and_then(|place| place.parse::<usize>().ok()).unwrap_or(0);
        match what {
            "order" => {
                let after = self.state.lock().unwrap().retry_after.clone();
                let fields = after.map(|after| ("Retry-After", after)).into_iter().collect();
                Ok(Answer(200, fields, self.shown(number, order).to_string()))
            }
            "authorization" => Ok(answer(200, &self.authorization(number, order, place))),
            "challenge" => {
                let kind = rest.get(1).copied().unwrap_or_default().to_owned();
                self.say(format!("challenge {kind} {}", order.names[place]));
                let (inside, order) = (self.clone(), order.clone());
                std::thread::spawn(move || inside.look(number, place, &kind, &order));
                let (token, _) = &self.state.lock().unwrap().orders[number].seen[place];
                Ok(answer(
                    200,
                    &json!({ "type": rest[1], "url": self.url("challenge", number, rest), "token": token, "status": "processing" }),
                ))
            }
            "finalize" if order.seen.iter().all(|(_, seen)| *seen == Some(Ok(()))) => {
                let request = unbase64(&text(&json_of(payload)?["csr"]));
                let point = asked_for(&request, &order.names).map_err(|why| malformed(&why))?;
                let mut state = self.state.lock().unwrap();
                let (life, signs) = (state.life, state.authority.take().unwrap());
                let issued = signs(&order.names, point, life);
                state.authority = Some(signs);
                state.orders[number].issued = Some(issued);
                state.said.push(format!("issued {}", order.names.join(" ")));
                Ok(answer(200, &self.shown(number, &state.orders[number])))
            }
            "certificate" => {
                let issued = order.issued.clone().ok_or_else(|| malformed("nothing is issued"))?;
                Ok(Answer(200, vec![("Content-Type", "application/pem-certificate-chain".into())], issued))
            }
            _ => Err(Problem(403, "orderNotReady", format!("no {what}"), None)),
        }
    }

    fn url(&self, what: &str, number: usize, rest: &[&str]) -> String {
        let rest: String = rest.iter().map(|part| format!("/{part}")).collect();
        format!("{}/{what}/{number}{rest}", self.base)
    }

    fn shown(&self, number: usize, order: &Order) -> Value {
        let failed = order.seen.iter().any(|(_, seen)| matches!(seen, Some(Err(_))));
        let ready = order.seen.iter().all(|(_, seen)| *seen == Some(Ok(())));
        let status = match (&order.issued, failed, ready) {
            (Some(_), ..) => "valid",
            (_, true, _) => "invalid",
            (.., true) => "ready",
            _ => "pending",
        };
        let authorizations = (0..order.names.len()).map(|n| self.url("authorization", number, &[&n.to_string()]));
        let mut shown = json!({
            "status": status,
            "identifiers": order.names.iter().map(|name| json!({ "type": "dns", "value": name })).collect::<Vec<_>>(),
            "authorizations": authorizations.collect::<Vec<_>>(),
            "finalize": self.url("finalize", number, &[]),
        });
        if order.issued.is_some() {
            shown["certificate"] = self.url("certificate", number, &[]).into();
        }
        if let Some(replaces) = &order.replaces {
            shown["replaces"] = replaces.clone().into();
        }
        shown
    }

    fn authorization(&self, number: usize, order: &Order, place: usize) -> Value {
        let (token, seen) = &order.seen[place];
        let status = match seen {
            None => "pending",
            Some(Ok(())) => "valid",
            Some(Err(_)) => "invalid",
        };
        let kinds = ["http-01", "dns-01", "tls-alpn-01"].map(|kind| {
            let url = self.url("challenge", number, &[&place.to_string(), kind]);
            let mut challenge = json!({ "type": kind, "url": url, "token": token, "status": status });
            if let Some(Err(why)) = seen {
                let kind = "urn:ietf:params:acme:error:unauthorized";
                challenge["error"] = json!({ "type": kind, "detail": why, "status": 403 });
            }
            challenge
        });
        json!({
            "identifier": { "type": "dns", "value": order.names[place] },
            "status": status,
            "challenges": kinds,
        })
    }

    /// Looks where the gateway is whether a challenge is met.
    fn look(&self, number: usize, place: usize, kind: &str, order: &Order) {
        let state = self.state.lock().unwrap();
        let (state, late) = self.changed.wait_timeout_while(state, PATIENCE, |state| state.reach.is_none()).unwrap();
        assert!(!late.timed_out(), "nobody has said where the gateway is");
        let ([plain, secure], thumb) = (state.reach.unwrap(), state.accounts[order.account].1.clone());
        drop(state);
        let (name, token) = (&order.names[place], &order.seen[place].0);
        let expected = format!("{token}.{thumb}");
        let seen = match kind {
            "http-01" => look_at_file(plain, name, token, &expected),
            _ => look_at_certificate(secure, name, &expected),
        };
        self.state.lock().unwrap().orders[number].seen[place].1 = Some(seen);
    }
}

impl Problem {
    fn answer(self) -> Answer {
        let Self(status, kind, words, after) = self;
        let all = json!({ "type": format!("urn:ietf:params:acme:error:{kind}"), "detail": words, "status": status });
        let fields = after.map(|after| ("Retry-After", after.to_string()));
        Answer(status, fields.into_iter().collect(), all.to_string())
    }
}

fn malformed(words: &str) -> Problem {
    Problem(400, "malformed", words.to_owned(), None)
}

fn answer(status: u16, all: &Value) -> Answer {
    Answer(status, vec![("Content-Type", "application/json".into())], all.to_string())
}

fn json_of(bytes: &[u8]) -> Result<Value, Problem> {
    serde_json::from_slice(bytes).map_err(|_| malformed("no JSON"))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
