//! Bodies over real sockets, cut at any places: the same content, the same trailers, the same end, and what is behind it
//! is left for whoever reads next.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Instant;

use proptest::prelude::*;

use super::*;
use crate::io::both::both;
use crate::io::deadline::Wheel;
use crate::io::listen;
use crate::io::listen::Acceptor;
use crate::io::ring;
use crate::io::ring::Plan;
use crate::io::ring::Wanted;
use crate::io::socket;
use crate::io::socket::Socket;

const PATIENCE: Duration = Duration::from_secs(20);

/// What came of a body.
#[derive(Debug, Default, PartialEq, Eq)]
struct Read {
    content: Vec<u8>,
    trailers: Vec<u8>,
    rest: Vec<u8>,
    clean: bool,
}

/// Two ends of a connection, on the loop that runs this.
async fn pair(wheel: &Rc<Wheel>) -> (Line, Line) {
    let any: SocketAddr = "127.0.0.1:0".parse().expect("an address");
    let listen::Opened { address, mut sockets, .. } = listen::open(&any.into(), 1, false, 0).expect("a listener");
    let acceptor = Acceptor::new(&address, sockets.remove(0)).expect("an acceptor");
    let (accepted, connected) = both(acceptor.accept(), Socket::connect(&address)).await;
    (Line::new(wheel, accepted.expect("a connection").0), Line::new(wheel, connected.expect("a connection")))
}

/// Reads a body that comes in these pieces and is ended by the end of the connection if it does not end before.
async fn read(wheel: &Rc<Wheel>, framing: Framing, pieces: &[Vec<u8>]) -> Result<Read, Cutoff> {
    let (from, to) = pair(wheel).await;
    let writer = async {
        for piece in pieces {
            let mut block = Block::with_room(piece.len());
            block.tail().extend_from_slice(piece);
            // The reader may have seen all that it wants.
            if to.write(&mut block, PATIENCE).await.is_err() {
                break;
            }
        }
        socket::cut(to.socket().fd(), Cut::Write);
    };
    let reader = async {
        let mut source = Source::new(framing);
        let (mut block, mut rest, mut read) = (Block::none(), Block::none(), Read::default());
        while !source.ended() {
            source.fill(&from, &mut block, &mut rest, PATIENCE).await?;
            read.content.extend_from_slice(block.bytes());
        }
        read.trailers = source.trailers().to_vec();
        read.clean = source.clean().is_some();
        assert_eq!(source.taken(), read.content.len() as u64);
        // What is behind the body, also what had not come when it ended.
        while from.read(&mut block, 1).await.is_ok() {}
        read.rest = rest.bytes().to_vec();
        Ok(read)
    };
    both(reader, writer).await.0
}

/// Runs one future on a loop of its own.
fn run<T: 'static>(body: impl AsyncFnOnce(Rc<Wheel>) -> T) -> T {
    let wheel = Rc::new(Wheel::new(Instant::now()));
    let plan = Plan { wanted: Wanted::Epoll, entries: 64, completions: 128 };
    let place = Rc::new(std::cell::RefCell::new(None));
    let (outcome, given) = (place.clone(), wheel.clone());
    let ended = ring::run(plan, &wheel, |_| async move {
        let value = body(given).await;
        *outcome.borrow_mut() = Some(value);
    });
    assert!(matches!(ended, Ok(ring::Ended::Done)));
    place.take().expect("an outcome")
}

fn cut(bytes: &[u8], cuts: &[usize]) -> Vec<Vec<u8>> {
    let mut ends: Vec<usize> = cuts.iter().map(|at| at % (bytes.len() + 1)).chain([0, bytes.len()]).collect();
    ends.sort_unstable();
    ends.windows(2).map(|pair| bytes[pair[0]..pair[1]].to_vec()).filter(|piece| !piece.is_empty()).collect()
}

/// The content in chunks of these sizes, with a trailer.
fn chunks(content: &[u8], size: usize) -> Vec<u8> {
    let mut wire = Vec::new();
    for piece in content.chunks(size) {
        Sink::Chunked.append(&mut wire, piece, None);
    }
    Sink::Chunked.append(&mut wire, b"", Some(b"X-Sum: 7\r\n"));
    wire
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn however_a_body_comes_it_is_the_same(
        content in prop::collection::vec(any::<u8>(), 0..3000),
        size in 1_usize..2000,
        cuts in prop::collection::vec(any::<usize>(), 0..12),
        framing in 0..3,
    ) {
        let behind = b"HTTP/1.1 200 OK\r\n".as_slice();
        let (framing, wire) = match framing {
            0 => (Framing::Length(content.len() as u64), [&content, behind].concat()),
            1 => (Framing::Chunked, [&chunks(&content, size), behind].concat()),
            _ => (Framing::UntilClose, content.clone()),
        };
        let pieces = cut(&wire, &cuts);
        let read = run(async move |wheel| read(&wheel, framing, &pieces).await).expect("a whole body");
        prop_assert!(read.content == content);
        prop_assert_eq!(read.clean, framing != Framing::UntilClose);
        prop_assert_eq!(&read.trailers[..], if framing == Framing::Chunked { &b"X-Sum: 7\r\n"[..] } else { b"" });
        prop_assert!(behind.starts_with(&read.rest), "{:?}", read.rest);
    }

    #[test]
    fn a_body_cut_short_is_never_whole(
        content in prop::collection::vec(any::<u8>(), 1..500),
        size in 1_usize..300,
        at in any::<usize>(),
        cuts in prop::collection::vec(any::<usize>(), 0..6),
        chunked in any::<bool>(),
    ) {
        let framing = if chunked { Framing::Chunked } else { Framing::Length(content.len() as u64) };
        let mut wire = if chunked { chunks(&content, size) } else { content };
        wire.truncate(at % wire.len());
        let pieces = cut(&wire, &cuts);
        let read = run(async move |wheel| read(&wheel, framing, &pieces).await);
        prop_assert_eq!(read, Err(Cutoff::Broken(Broken::Closed)));
    }
}

#[test]
fn a_broken_chunk_is_told_from_a_broken_connection() {
    for (wire, fault) in [
        ("5\r\nhelloX", ChunkFault::BadEnd),
        ("5\r\nhello\r\n-1\r\n", ChunkFault::BadSize),
        ("0\r\nX : y\r\n\r\n", ChunkFault::BadTrailer),
    ] {
        let pieces: Vec<Vec<u8>> = wire.bytes().map(|byte| vec![byte]).collect();
        let read = run(async move |wheel| read(&wheel, Framing::Chunked, &pieces).await);
        assert_eq!(read, Err(Cutoff::Faulty(fault)), "{wire:?}");
    }
}
