//! The raw messages of `tests/corpus` through a real gateway: every request and every response three times, in one piece,
//! byte by byte and three bytes at a time, judged by what its line says. The files are read as they stand, so that more
//! cases of the same form may be put there.
//!
//! [`requests`] plays a client before a strict service, [`responses`] a faulty service behind a client; [`judge`] says
//! what is wrong with what was seen; [`service`] is the service, and knows when nothing more can come to it.

mod judge;
mod requests;
mod responses;
mod service;

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;
use std::time::Instant;

use serde_json::Value;

use crate::support::PATIENCE;
use judge::Problem;

/// How the bytes are cut: in one piece, byte by byte, three at a time.
const CUTS: [(&str, usize); 3] = [("whole", usize::MAX), ("byte by byte", 1), ("in threes", 3)];
/// Pauses between pieces, and how long they are: longer than the gateway takes to read one.
const PAUSES: usize = 400;
const PAUSE: Duration = Duration::from_micros(200);
/// Cases under way at once, each at a gateway of its own.
const LANES: usize = 10;
/// Cases that are decided otherwise than their line says: (id, kind of problem, why). Whatever stands here must occur.
const OTHERWISE: &[(&str, &str, &str)] = &[];

/// What a line may say: nothing that is not looked at. (What no strict reader of a message lets pass is looked at without its
/// key; `pause_ms` is how slowly the pieces may come, and here they come as fast as each is read by itself.)
const KEYS: &str = "id group name rfc why level raw parts dribble fin pieces pause_ms then req outcome status close attack \
    origin client_status body reuse expect";
/// The same of `origin`.
const ORIGIN: &str = "n n_max method target targets hasnt_target version has hasnt has_host_if_11 list one not_value not_both \
    body body_len hasnt_trailer te_canon no_bytes no_fold no_bare_lf";
/// The same of `expect`.
const EXPECT: &str = "version body_len has hasnt one lines interim no_interim hasnt_both raw_or_502 or_forward late late_fin \
    no_bytes no_fold no_bare_lf no_ws_colon no_line";
/// What a line may ask for.
const OUTCOMES: &str = "accept normalise reject reject_or_accept reject_or_normalise truncated \
    forward either bad_gateway abort timeout";

/// One line of a file.
struct Case {
    line: Value,
    raw: Vec<u8>,
}

/// What came of a case, cut in one way.
struct Verdict {
    case: Arc<Case>,
    cut: &'static str,
    problems: Vec<Problem>,
}

impl Case {
    /// Every case of a file.
    fn all(file: &str) -> Vec<Arc<Self>> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(file);
        let text = std::fs::read_to_string(path).unwrap();
        let read = |line: &str| {
            let line: Value = serde_json::from_str(line).unwrap();
            let unknown = Self::unknown(&line);
            assert!(unknown.is_empty(), "{file}: {} says {unknown:?}, which nobody looks at", line["id"]);
            Self::read(line)
        };
        text.lines().map(read).map(Arc::new).collect()
    }

    /// What a line says that nobody would look at.
    fn unknown(line: &Value) -> Vec<String> {
        let among = |known: &str, one: &str| known.split_whitespace().any(|word| word == one);
        let parts = [(line, KEYS), (&line["origin"], ORIGIN), (&line["expect"], EXPECT)];
        let keys = parts.into_iter().flat_map(|(part, known)| {
            part.as_object().into_iter().flat_map(|part| part.keys()).filter(move |key| !among(known, key)).cloned()
        });
        let outcome = line["outcome"].as_str().unwrap_or("none").to_owned();
        keys.chain(Some(outcome).filter(|outcome| !among(OUTCOMES, outcome))).collect()
    }

    fn read(line: Value) -> Self {
        let part = |part: &Value| latin1(part[0].as_str().unwrap()).repeat(part[1].as_u64().unwrap() as usize);
        let raw = match line["parts"].as_array() {
            Some(parts) => parts.iter().flat_map(part).collect(),
            None => latin1(line["raw"].as_str().unwrap_or("")),
        };
        Self { line, raw }
    }

    /// A text of the line; empty if there is none.
    fn text(&self, key: &str) -> &str {
        self.line[key].as_str().unwrap_or("")
    }

    /// Whether the line says so.
    fn is(&self, key: &str) -> bool {
        self.line[key].as_bool().unwrap_or(false)
    }

    /// The bytes in pieces: of the size that the case asks for, if that is smaller.
    fn pieces(&self, cut: usize) -> impl Iterator<Item = &[u8]> {
        let own = self.line["dribble"].as_u64().or(self.line["pieces"].as_u64());
        self.raw.chunks(own.map_or(cut, |own| cut.min(own as usize)))
    }
}

/// A text of the corpus is bytes, one a character.
fn latin1(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).expect("Latin-1")).collect()
}

/// A connection that waits long and sends every write as a packet of its own.
fn prepare(stream: TcpStream) -> TcpStream {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// Writes the pieces, as many as the other side takes. Between the first ones it pauses, so that each is read by itself: that
/// is where heads are.
fn write_pieces<'a>(mut to: &TcpStream, pieces: impl Iterator<Item = &'a [u8]>) -> bool {
    pieces.enumerate().all(|(number, piece)| {
        if (1..PAUSES).contains(&number) {
            std::thread::sleep(PAUSE);
        }
        to.write_all(piece).is_ok()
    })
}

/// A gateway of one core that sends everything to this service, and waits for nobody very long.
fn toml(service: SocketAddr) -> String {
    format!(
        "[process]\ncores = 1\nadmin = \"127.0.0.1:0\"\n\n[listen.http]\nbind = \"127.0.0.1:0\"\n\
         timeout = {{ head = \"5s\", body = \"5s\" }}\n\n[upstream.app]\nendpoints = [\"{service}\"]\n\
         timeout = {{ response = \"5s\" }}\n\n[host.\"*\"]\nroutes = [{{ path = \"/*\", upstream = \"app\" }}]\n"
    )
}

/// Plays every case in every cut, several at once, each lane on a stage of its own.
fn play<S>(
    cases: &[Arc<Case>],
    set: impl Fn() -> S + Sync,
    act: impl Fn(&S, &Arc<Case>, usize) -> Vec<Problem> + Sync,
) {
    let begun = Instant::now();
    let mut queue: Vec<_> = cases.iter().flat_map(|case| CUTS.map(|cut| (case.clone(), cut))).collect();
    // What takes long comes first: a silence, then many small pieces.
    let cost = |case: &Case, cut: usize| (case.text("then") == "silent", case.raw.len() / cut.min(1 << 20));
    queue.sort_by_key(|(case, cut)| std::cmp::Reverse(cost(case, cut.1)));
    let queue = Mutex::new(VecDeque::from(queue));
    let verdicts = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..LANES {
            scope.spawn(|| {
                let stage = set();
                loop {
                    let Some((case, (name, cut))) = queue.lock().unwrap().pop_front() else { return };
                    let problems = act(&stage, &case, cut);
                    verdicts.lock().unwrap().push(Verdict { case, cut: name, problems });
                }
            });
        }
    });
    let verdicts = verdicts.into_inner().unwrap();
    assert_eq!(verdicts.len(), cases.len() * CUTS.len());
    report(&verdicts, begun);
}

/// Prints the counts of each level, and fails with every problem that is not decided otherwise.
fn report(verdicts: &[Verdict], begun: Instant) {
    let mut levels: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    let mut faults = Vec::new();
    for verdict in verdicts {
        let count = levels.entry(verdict.case.text("level")).or_default();
        count.1 += 1;
        count.0 += usize::from(verdict.problems.is_empty());
        let id = verdict.case.text("id");
        for (kind, words) in &verdict.problems {
            if !OTHERWISE.iter().any(|other| (other.0, other.1) == (id, *kind)) {
                let (level, name) = (verdict.case.text("level"), verdict.case.text("name"));
                faults.push(format!("{id} ({level}) {name}, {}: {kind}: {words}", verdict.cut));
            }
        }
    }
    let levels: Vec<_> = levels.iter().map(|(level, (right, all))| format!("{level} {right}/{all}")).collect();
    println!("{} verdicts in {:.1?}: {}", verdicts.len(), begun.elapsed(), levels.join(", "));
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    for (id, kind, why) in OTHERWISE {
        let mut those = verdicts.iter().filter(|verdict| verdict.case.text("id") == *id).peekable();
        let occurs = those.peek().is_none() || those.any(|one| one.problems.iter().any(|problem| problem.0 == *kind));
        assert!(occurs, "{id} is decided as its line says, and needs no reason any more: {why}");
    }
}
