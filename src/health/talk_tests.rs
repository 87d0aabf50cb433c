//! Frames as endpoints send them, well and ill formed, cut anywhere; and the library that other tests speak HTTP/2 by.

use super::*;

/// A kind of frame that says nothing here.
const PRIORITY: u8 = 2;

fn question() -> Question<'static> {
    Question { secure: false, authority: "orders", path: "/a.B/C", message: &[0, 0, 0, 0, 0] }
}

fn asked() -> Talk {
    let mut talk = Talk::new(Vec::new());
    assert!(talk.ask(&question()));
    talk
}

/// A frame on the wire.
fn wire(kind: u8, flags: u8, stream: u32, load: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    frame(&mut out, (kind, flags, stream), load);
    out
}

/// What comes of an answer, and whether another question can be asked then; the same in one piece as in two.
fn heard(bytes: &[u8]) -> Result<Option<(Reply, bool)>, Fault> {
    let hear = |pieces: &[&[u8]]| {
        let mut talk = asked();
        let mut whole = false;
        for piece in pieces {
            whole = talk.hear(piece)?;
        }
        let open = talk.is_open();
        Ok((whole.then(|| (talk.reply(), open)), talk.say()))
    };
    let once = hear(&[bytes]);
    for cut in 0..bytes.len() {
        let (one, two) = bytes.split_at(cut);
        assert_eq!(hear(&[one, two]), once, "cut at {cut}");
    }
    once.map(|(reply, _)| reply)
}

/// Settings, then `frames`.
fn greeted(frames: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = wire(SETTINGS, 0, 0, &[]);
    bytes.extend(frames.concat());
    bytes
}

fn trailers(code: &str) -> Vec<u8> {
    let mut block = Vec::new();
    fields::put(&mut block, b"grpc-status", code.as_bytes());
    block
}

fn reply(code: &str, body: &[u8]) -> Reply {
    Reply { status: 200, code: Some((code.to_owned(), String::new())), body: body.to_vec() }
}

#[test]
fn a_question_is_what_the_rfc_says() {
    let said = asked().say();
    let rest = said.strip_prefix(HELLO).unwrap();
    let (settings, rest) = next(rest).unwrap().unwrap();
    assert_eq!((settings.kind, settings.flags, settings.stream, settings.load.len()), (SETTINGS, 0, 0, 18));
    let (head, rest) = next(rest).unwrap().unwrap();
    assert_eq!((head.kind, head.flags, head.stream), (HEADERS, WHOLE, 1));
    let mut block = b"\x20\x83\x86\x04\x06/a.B/C\x01\x06orders\x0f\x10\x10application/grpc".to_vec();
    block.extend_from_slice(b"\x0f\x2b\x0eringway-health\x00\x02te\x08trailers");
    assert_eq!(head.load, block);
    let (body, rest) = next(rest).unwrap().unwrap();
    assert_eq!((body.kind, body.flags, body.stream, body.load), (DATA, LAST, 1, &[0, 0, 0, 0, 0][..]));
    assert!(rest.is_empty());
}

#[test]
fn an_answer_is_taken_as_soon_as_it_is_whole_and_however_it_is_cut() {
    let usual = [
        wire(HEADERS, WHOLE, 1, &[0x88]),
        wire(DATA, 0, 1, b"abc"),
        wire(DATA, 0, 1, b"de"),
        wire(HEADERS, WHOLE | LAST, 1, &trailers("0")),
    ];
    assert_eq!(heard(&greeted(&usual)), Ok(Some((reply("0", b"abcde"), true))));
    // A head alone; filled up, ranked and in pieces; behind an interim one; among what nobody knows.
    let mut alone = vec![0x88];
    alone.extend(trailers("5"));
    let mut ranked = vec![2, 0, 0, 0, 0, 16];
    ranked.extend_from_slice(&alone);
    ranked.extend_from_slice(&[0, 0]);
    let many = [
        wire(HEADERS, WHOLE | LAST, 1, &alone),
        wire(HEADERS, WHOLE | LAST | PADDED | RANKED, 1, &ranked),
        [wire(HEADERS, LAST | RANKED, 1, &ranked[1..8]), wire(CONTINUATION, WHOLE, 1, &alone[2..])].concat(),
        [wire(HEADERS, WHOLE, 1, b"\x08\x03103"), wire(HEADERS, WHOLE | LAST, 1, &alone)].concat(),
        [wire(0x42, 0xff, 77, b"x"), wire(PRIORITY, 0, 9, &[0; 5]), wire(HEADERS, WHOLE | LAST, 1, &alone)].concat(),
    ];
    for (nth, frames) in many.into_iter().enumerate() {
        assert_eq!(heard(&greeted(&[frames])), Ok(Some((reply("5", b""), true))), "{nth}");
    }
    let filled = [wire(HEADERS, WHOLE, 1, &[0x88]), wire(DATA, LAST | PADDED, 1, &[2, b'a', 0, 0])];
    let expected = Reply { status: 200, code: None, body: b"a".to_vec() };
    assert_eq!(heard(&greeted(&filled)), Ok(Some((expected, true))));
}

#[test]
fn what_is_no_answer_is_told_from_one() {
    let head = wire(HEADERS, WHOLE, 1, &[0x88]);
    for (frames, words) in [
        (vec![wire(HEADERS, WHOLE, 1, &[0x88]), head.clone()], "two heads"),
        (vec![wire(DATA, 0, 1, b"x")], "content without a head"),
        (vec![wire(HEADERS, WHOLE, 1, &trailers("0"))], "without a status"),
        (vec![wire(HEADERS, WHOLE, 1, b"\x08\x02ab")], "without a status"),
        (vec![wire(HEADERS, WHOLE, 1, b"\x08\x03099")], "without a status"),
        (vec![wire(HEADERS, WHOLE, 1, b"\x08\x03+20")], "without a status"),
        (vec![wire(HEADERS, WHOLE, 1, b"\x08\x0320x")], "without a status"),
        (vec![wire(HEADERS, WHOLE | LAST, 1, b"\x08\x03100")], "ends before"),
        (vec![wire(HEADERS, 0, 1, &[0x88]), wire(CONTINUATION, WHOLE, 3, &trailers("0"))], "do not end"),
        (vec![wire(HEADERS, WHOLE, 3, &[0x88])], "nobody has asked"),
        (vec![wire(HEADERS, WHOLE, 2, &[0x88])], "nobody has asked"),
        (vec![wire(HEADERS, WHOLE, 0, &[0x88])], "nobody has asked"),
        (vec![wire(HEADERS, 0, 1, &[0x88]), wire(PING, 0, 0, &[0; 8])], "do not end"),
        (vec![wire(CONTINUATION, WHOLE, 1, &[0x88])], "have not begun"),
        (vec![wire(HEADERS, WHOLE | PADDED, 1, &[9, 0x88])], "more filling"),
        (vec![wire(HEADERS, WHOLE | RANKED, 1, &[0x88])], "priority"),
        (vec![wire(HEADERS, WHOLE, 1, &[0xbe])], "is said to be known"),
        (vec![head.clone(), wire(DATA, 0, 1, &[0; BODY + 1])], "more content"),
        (vec![wire(PUSH, WHOLE, 1, &[0, 0, 0, 2, 0x88])], "pushes"),
        (vec![wire(PING, 0, 0, &[0; 7])], "ping"),
        (vec![wire(SETTINGS, 0, 0, &[0; 5])], "settings"),
        (vec![wire(SETTINGS, 0, 0, &[0, 4, 0x80, 0, 0, 0])], "settings"),
        (vec![wire(WINDOW, 0, 0, &[0; 4])], "leave to send"),
        (vec![wire(WINDOW, 0, 0, &[0x7f, 0xff, 0xff, 0xff])], "leave to send"),
        (vec![wire(RESET, 0, 1, &[0, 0, 0, 7])], "REFUSED_STREAM"),
        (vec![wire(LEAVE, 0, 0, &[0, 0, 0, 0, 0, 0, 0, 11])], "ENHANCE_YOUR_CALM"),
        (vec![vec![0, 0x40, 1, 0, 0, 0, 0, 0, 1]], "too long"),
    ] {
        let fault = heard(&greeted(&frames)).unwrap_err();
        assert!(fault.to_string().contains(words), "{fault} is not {words}");
    }
    let mut endless = vec![wire(HEADERS, 0, 1, &[0x88])];
    endless.extend(std::iter::repeat_n(wire(CONTINUATION, 0, 1, &[0; 8192]), 3));
    let mut talk = asked();
    assert_eq!(talk.hear(&greeted(&endless)), Err(Fault::Words("too many fields")));
    assert!(!talk.is_open());
    for other in [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], &wire(HEADERS, WHOLE, 1, &[0x88])] {
        assert!(matches!(heard(other), Err(Fault::Words(_))));
    }
}

#[test]
fn what_has_not_come_whole_is_waited_for() {
    let frames =
        [wire(HEADERS, WHOLE, 1, &[0x88]), wire(DATA, 0, 1, b"abc"), wire(HEADERS, WHOLE | LAST, 1, &trailers("0"))];
    let bytes = greeted(&frames);
    for cut in 0..bytes.len() {
        assert_eq!(asked().hear(&bytes[..cut]), Ok(false), "cut at {cut}");
    }
}

#[test]
fn what_the_other_side_wants_to_know_is_answered() {
    let mut talk = asked();
    drop(talk.say());
    assert_eq!(talk.hear(&greeted(&[wire(PING, 0, 0, b"12345678"), wire(PING, LAST, 0, b"87654321")])), Ok(false));
    assert_eq!(talk.say(), [wire(SETTINGS, LAST, 0, &[]), wire(PING, LAST, 0, b"12345678")].concat());
    // What was taken is given back, once it is much.
    talk.hear(&wire(HEADERS, WHOLE, 1, &[0x88])).unwrap();
    let filled = [&[255][..], &[0; 255]].concat();
    for _ in 0..63 {
        talk.hear(&wire(DATA, PADDED, 1, &filled)).unwrap();
    }
    assert!(talk.say().is_empty());
    talk.hear(&wire(DATA, PADDED, 1, &filled)).unwrap();
    assert_eq!(talk.say(), wire(WINDOW, 0, 0, &[0, 0, 0x40, 0]));
}

#[test]
fn another_question_is_asked_only_where_it_is_welcome() {
    let answer = |stream: u32| wire(HEADERS, WHOLE | LAST, stream, &[&[0x88][..], &trailers("0")].concat());
    let mut talk = asked();
    assert!(!talk.ask(&question()), "the first has not been answered");
    assert_eq!(talk.hear(&greeted(&[answer(1)])), Ok(true));
    drop(talk.say());
    assert!(talk.ask(&question()));
    let (head, _) = next(&talk.out).unwrap().unwrap();
    assert_eq!((head.kind, head.stream), (HEADERS, 3));
    // What comes late for the one before says nothing.
    let late = [wire(DATA, LAST, 1, b"x"), wire(RESET, 0, 1, &[0; 4]), wire(WINDOW, 0, 1, &[0, 0, 0, 1]), answer(3)];
    assert_eq!(talk.hear(&late.concat()), Ok(true));
    assert_eq!(talk.reply(), reply("0", b""));
    for (last, frame) in [
        ("it leaves", wire(LEAVE, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 0])),
        ("no streams", wire(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 0])),
        ("no room on a stream", wire(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 4])),
    ] {
        let mut talk = asked();
        assert_eq!(talk.hear(&greeted(&[frame, answer(1)])), Ok(true), "{last}");
        assert!(!talk.ask(&question()), "{last}");
    }
    // Of 65,535 bytes each question takes five, unless they are given back.
    for (given, expected) in [(0_u32, 65_535 / 5), (5, 20_000)] {
        let (mut talk, mut count) = (Talk::new(Vec::new()), 0);
        while count < 20_000 && talk.ask(&question()) {
            count += 1;
            let more = if given > 0 { wire(WINDOW, 0, 0, &given.to_be_bytes()) } else { Vec::new() };
            assert_eq!(talk.hear(&greeted(&[more, answer(2 * count - 1)])), Ok(true));
            drop(talk.say());
        }
        assert_eq!(count, expected);
    }
}

#[test]
fn what_would_be_ill_formed_is_not_asked() {
    for (authority, path) in [("", "/"), ("a b", "/"), ("a\r\n", "/"), ("a", ""), ("a", "/ü")] {
        assert!(!Talk::new(Vec::new()).ask(&Question { authority, path, ..question() }), "{authority} {path}");
    }
    let message = vec![0; FRAME + 1];
    assert!(!Talk::new(Vec::new()).ask(&Question { message: &message, ..question() }));
}

/// Asks a server of the library's twice over one connection; its answers have these trailers.
async fn over_the_library(code: &'static str, words: &'static str) -> Vec<Reply> {
    use tokio::io::AsyncReadExt;
    use tokio::io::AsyncWriteExt;
    let (mut near, far) = tokio::io::duplex(100_000);
    let server = async move {
        let mut connection = h2::server::handshake(far).await.unwrap();
        while let Some(Ok((request, mut respond))) = connection.accept().await {
            assert_eq!(request.uri(), "https://orders/a.B/C");
            assert_eq!(request.headers()["content-type"], "application/grpc");
            assert_eq!(request.headers()["te"], "trailers");
            let head = ::http::Response::builder().header("content-type", "application/grpc").header("date", "today");
            let mut stream = respond.send_response(head.body(()).unwrap(), false).unwrap();
            stream.send_data(bytes::Bytes::from_static(b"abc"), false).unwrap();
            let mut trailers = ::http::HeaderMap::new();
            trailers.insert("grpc-status", code.parse().unwrap());
            trailers.insert("grpc-message", words.parse().unwrap());
            stream.send_trailers(trailers).unwrap();
        }
    };
    let client = async move {
        let (mut talk, mut replies) = (Talk::new(Vec::new()), Vec::new());
        for _ in 0..2 {
            assert!(talk.ask(&Question { secure: true, ..question() }));
            let mut whole = false;
            while !whole {
                near.write_all(&talk.say()).await.unwrap();
                let mut block = [0; 7];
                let n = near.read(&mut block).await.unwrap();
                assert!(n > 0, "the server has closed");
                whole = talk.hear(&block[..n]).unwrap();
            }
            replies.push(talk.reply());
        }
        replies
    };
    tokio::join!(server, client).1
}

#[test]
fn it_talks_with_a_server_that_packs_what_it_says() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let letters: &'static str = ('!'..='~').chain([' ', '~']).collect::<String>().leak();
    for (code, words) in [("0", ""), ("14", "away"), ("2", letters)] {
        let expected = Reply { status: 200, code: Some((code.to_owned(), words.to_owned())), body: b"abc".to_vec() };
        assert_eq!(runtime.block_on(over_the_library(code, words)), [expected.clone(), expected], "{words}");
    }
}
