//! What responses mean, in one piece and cut at every place.

use super::*;

fn wanted(body: Option<&'static str>) -> Wanted<'static> {
    Wanted { statuses: &[200..=299, 401..=401], body, bodiless: false }
}

/// The verdict over a response that comes in pieces of so many bytes and then ends.
fn judge(wanted: Wanted<'_>, response: &[u8], piece: usize) -> Verdict {
    let mut answer = Answer::new(wanted);
    for part in response.chunks(piece) {
        if let Some(verdict) = answer.take(part) {
            return verdict;
        }
    }
    answer.end()
}

fn judged(body: Option<&'static str>, response: &str) -> Verdict {
    let whole = judge(wanted(body), response.as_bytes(), usize::MAX);
    for piece in 1..response.len().min(200) {
        assert_eq!(judge(wanted(body), response.as_bytes(), piece), whole, "cut every {piece} bytes: {response:?}");
    }
    whole
}

#[test]
fn a_status_decides_where_no_body_is_asked_for() {
    for (response, good) in [
        ("HTTP/1.1 200 OK\r\n\r\n", Ok(200)),
        ("HTTP/1.0 204 No Content\r\n\r\n", Ok(204)),
        ("HTTP/1.1 401 \r\nContent-Length: 1000\r\n\r\n", Ok(401)),
        ("HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", Ok(200)),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n", Ok(200)),
        ("HTTP/1.1 503 No\r\n\r\n", Err("status 503")),
        ("HTTP/1.1 301 Moved\r\n\r\n", Err("status 301")),
        ("HTTP/1.1 101 Switching Protocols\r\n\r\n", Err("status 101")),
        ("", Err("without a response")),
        ("HTTP/1.1 200 OK\r\n", Err("within a response head")),
        ("SSH-2.0-OpenSSH\r\n", Err("not HTTP/1")),
        ("HTTP/2 200\r\n\r\n", Err("not HTTP/1")),
        ("HTTP/1.1 2000 OK\r\n\r\n", Err("ill-formed")),
        ("HTTP/1.1 099 OK\r\n\r\n", Err("ill-formed")),
        ("HTTP/1.1 200 OK\r\n a: b\r\n\r\n", Err("ill-formed")),
    ] {
        let verdict = judged(None, response);
        let as_expected = match (&verdict, good) {
            (Verdict::Good(said), Ok(status)) => *said == Said::Status(status),
            (Verdict::Bad(words), Err(part)) => words.contains(part),
            _ => false,
        };
        assert!(as_expected, "{response:?}: {verdict:?}");
    }
}

#[test]
fn a_body_is_looked_through_whatever_frames_it() {
    let head = "HTTP/1.1 200 OK\r\n";
    let (found, missing) = ("good", "does not contain");
    for (rest, expected) in [
        ("Content-Length: 10\r\n\r\nI am ready", found),
        ("\r\nI am ready", found),
        ("Transfer-Encoding: chunked\r\n\r\n4\r\nI am\r\n6;x=y\r\n ready\r\n0\r\n\r\n", found),
        ("Transfer-Encoding: chunked\r\n\r\n1\r\nr\r\n1\r\ne\r\n1\r\na\r\n1\r\nd\r\n1\r\ny\r\n", found),
        ("Content-Length: 10\r\n\r\nI am away.", missing),
        ("Content-Length: 5\r\n\r\nI am ready", missing),
        ("Content-Length: 0\r\n\r\nready", missing),
        ("\r\nI am away", missing),
        ("Transfer-Encoding: chunked\r\n\r\n4\r\nrea-\r\n0\r\n\r\nready", missing),
        ("Content-Length: 99\r\n\r\nI am", "closed within the body"),
        ("Transfer-Encoding: chunked\r\n\r\n4\r\nI a", "closed within the body"),
        ("Transfer-Encoding: chunked\r\n\r\n4\r\nI amXX", "chunk does not end"),
        ("Transfer-Encoding: chunked\r\n\r\nready\r\n", "size is ill-formed"),
        ("Transfer-Encoding: chunked\r\n\r\n-1\r\n", "size is ill-formed"),
        ("Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n", "size is ill-formed"),
        ("Transfer-Encoding: gzip\r\n\r\nready", "cannot be known"),
        ("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\nready", "cannot be known"),
        ("Content-Length: 5\r\nContent-Length: 6\r\n\r\nready", "cannot be known"),
        ("Content-Length: +5\r\n\r\nready", "cannot be known"),
    ] {
        let response = format!("{head}{rest}");
        let verdict = judged(Some("ready"), &response);
        let as_expected = match &verdict {
            Verdict::Good(said) => expected == found && *said == Said::Status(200),
            Verdict::Bad(words) => words.contains(expected),
            Verdict::Void(_) => false,
        };
        assert!(as_expected, "{response:?}: {verdict:?}");
    }
    let head_only = Wanted { bodiless: true, ..wanted(Some("ready")) };
    assert_eq!(judge(head_only, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", 1), super::missing(200));
}

#[test]
fn nothing_is_read_without_an_end() {
    let endless = |begin: &str, again: &str| {
        let mut answer = Answer::new(wanted(Some("ready")));
        let (mut bytes, mut first) = (0, Some(begin));
        loop {
            let part = first.take().unwrap_or(again);
            bytes += part.len();
            if let Some(Verdict::Bad(words)) = answer.take(part.as_bytes()) {
                return (bytes, words);
            }
            assert!(bytes < 4 << 20 && answer.raw.len() <= 64 * 1024, "{bytes} bytes of {begin}{again}");
        }
    };
    let x = "x".repeat(1000);
    for (begin, again, most, part) in [
        ("HTTP/1.1 200 OK\r\na: ", x.as_str(), 34_000, "does not end"),
        ("HTTP/1.1 200 OK\r\n", "a: b\r\n", 33_000, "does not end"),
        ("HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 100 Continue\r\n\r\n", 1000, "interim"),
        ("HTTP/1.1 200 OK\r\n\r\n", &x, 67_000, "does not contain"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", &x, 1100, "chunk's"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\nx\r\n", 400_000, "does not contain"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "1;yyyyyyyyyyyyyyyyyyy\r\nx\r\n", 600_000, "framing"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\n", &x, 67_000, "does not contain"),
    ] {
        let (bytes, words) = endless(begin, again);
        assert!(bytes <= most && words.contains(part), "{begin:?}: {bytes} bytes, {words}");
    }
}

#[test]
fn a_connection_is_clean_after_a_whole_response_and_nothing_more() {
    let head = "HTTP/1.1 200 OK\r\n";
    for (body, rest, clean) in [
        (None, "Content-Length: 2\r\n\r\nok", true),
        (None, "Content-Length: 0\r\n\r\n", true),
        (None, "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", true),
        (Some("ok"), "Content-Length: 2\r\n\r\nok", true),
        (Some("ok"), "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", true),
        (None, "Content-Length: 3\r\n\r\nok", false),
        (None, "Content-Length: 2\r\n\r\nokHTTP/1.1 200 OK", false),
        (None, "Content-Length: 2\r\nConnection: close\r\n\r\nok", false),
        (None, "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n", false),
        (None, "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\na: b\r\n\r\n", false),
        (None, "Transfer-Encoding: chunked\r\n\r\nx", false),
        (None, "\r\nok", false),
        (None, "Transfer-Encoding: gzip\r\n\r\nok", false),
        (Some("o"), "Content-Length: 2\r\n\r\no", false),
    ] {
        let mut answer = Answer::new(wanted(body));
        let verdict = answer.take(format!("{head}{rest}").as_bytes());
        assert_eq!(verdict, Some(Verdict::Good(Said::Status(200))), "{rest:?}");
        assert_eq!(answer.is_clean(), clean, "{rest:?}");
    }
    let mut old = Answer::new(wanted(None));
    assert!(old.take(b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n").is_some() && !old.is_clean());
}
