//! Lines under TLS, over real sockets: what is read and written, and which ends are ends.

use std::cell::RefCell;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;
use std::time::Instant;

use aws_lc_rs::aead;

use crate::buf::Block;
use crate::io::both::both;
use crate::io::deadline::Wheel;
use crate::io::line::Broken;
use crate::io::line::Line;
use crate::io::line::Unsettled;
use crate::io::listen;
use crate::io::listen::Acceptor;
use crate::io::ring;
use crate::io::ring::Plan;
use crate::io::ring::Wanted;
use crate::io::socket;
use crate::io::socket::Cut;
use crate::io::socket::Socket;
use crate::tls;
use crate::tls::engine::tests::configs;
use crate::tls::engine::tests::engines;

const PATIENCE: Duration = Duration::from_secs(20);

/// Two ends of a connection, settled: the server's and the client's.
async fn pair(wheel: &Rc<Wheel>) -> [Line; 2] {
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let listen::Opened { address, mut sockets, .. } = listen::open(&any.into(), 1, false, 0).unwrap();
    let acceptor = Acceptor::new(&address, sockets.remove(0)).unwrap();
    let (accepted, connected) = both(acceptor.accept(), Socket::connect(&address)).await;
    let mut lines = [Line::new(wheel, accepted.unwrap().0), Line::new(wheel, connected.unwrap())];
    for (line, engine) in lines.iter_mut().zip(engines(&configs(tls::INTERMEDIATE))) {
        line.cover(Box::new(engine), Block::none());
    }
    let [server, client] = &lines;
    let (one, other) = both(server.settle(16_000, PATIENCE), client.settle(16_000, PATIENCE)).await;
    assert_eq!((one.unwrap().version, other.unwrap().version), ("TLSv1.3", "TLSv1.3"));
    lines
}

/// Runs a test on a loop of its own, and turns its wheel.
fn run(test: impl AsyncFnOnce(Rc<Wheel>) + 'static) {
    let wheel = Rc::new(Wheel::new(Instant::now()));
    let plan = Plan { wanted: Wanted::Epoll, entries: 64, completions: 128 };
    let (given, turned) = (wheel.clone(), wheel.clone());
    let ended = ring::run(plan, &wheel, |_| async move {
        let over = Rc::new(RefCell::new(false));
        let seen = over.clone();
        crate::io::task::spawn_bare(async move {
            while !*seen.borrow() {
                crate::io::task::sleep(Duration::from_millis(10)).await;
                turned.advance(Instant::now());
            }
        });
        test(given).await;
        *over.borrow_mut() = true;
    });
    assert!(matches!(ended, Ok(ring::Ended::Done)));
}

fn block(bytes: &[u8]) -> Block {
    let mut block = Block::with_room(bytes.len());
    block.tail().extend_from_slice(bytes);
    block
}

async fn read(line: &Line) -> Result<Vec<u8>, Broken> {
    let mut block = Block::with_room(100);
    line.read(&mut block, 100).await.map(|n| {
        assert_eq!(n, block.len());
        block.bytes().to_vec()
    })
}

#[test]
fn what_is_written_is_read_both_ways_at_once() {
    run(async |wheel| {
        let [server, client] = pair(&wheel).await;
        let sent: Vec<u8> = (0..3_000_000_u32).map(|n| (n / 251 + n) as u8).collect();
        let write = async |line: &Line| line.write(&mut block(&sent), PATIENCE).await.unwrap();
        let take = async |line: &Line| {
            let mut all = Vec::new();
            while all.len() < sent.len() {
                all.extend(read(line).await.unwrap());
            }
            assert!(all == sent);
        };
        both(both(write(&server), take(&server)), both(write(&client), take(&client))).await;
    });
}

#[test]
fn an_end_that_was_said_is_an_end_and_any_other_is_none() {
    run(async |wheel| {
        let [server, client] = pair(&wheel).await;
        server.write(&mut block(b"all"), PATIENCE).await.unwrap();
        server.finish();
        assert_eq!(read(&client).await.unwrap(), b"all");
        assert_eq!(read(&client).await, Err(Broken::Closed));
        assert_eq!(read(&client).await, Err(Broken::Closed), "and so it stays");
        client.write(&mut block(b"still"), PATIENCE).await.unwrap();
        assert_eq!(read(&server).await.unwrap(), b"still");
        drop(client);
        assert_eq!(read(&server).await, Err(Broken::Closed), "a line that is dropped says its end");

        let [server, client] = pair(&wheel).await;
        server.write(&mut block(b"half"), PATIENCE).await.unwrap();
        socket::cut(server.socket().fd(), Cut::Write);
        assert_eq!(read(&client).await.unwrap(), b"half");
        assert_eq!(read(&client).await, Err(Broken::Reset), "anybody could have done that");

        let [server, client] = pair(&wheel).await;
        server.reset_on_close();
        drop(server);
        assert_eq!(read(&client).await, Err(Broken::Reset));
    });
}

#[test]
fn a_wait_without_content_loses_nothing_and_news_are_content() {
    run(async |wheel| {
        let [server, client] = pair(&wheel).await;
        let mut room = Block::with_room(2000);
        assert_eq!(server.read_for(&mut room, Duration::from_millis(120)).await, Ok(0));
        client.write(&mut block(b"next"), PATIENCE).await.unwrap();
        assert_eq!(server.read_for(&mut room, PATIENCE).await, Ok(4));
        // The tickets that stand before the client are no news.
        assert!(client.has_bytes() && !client.has_news() && !client.has_bytes());
        server.write(&mut block(b"late"), PATIENCE).await.unwrap();
        client.socket().readable().await.unwrap();
        assert!(client.has_news() && client.has_bytes(), "a word that nobody asked for");
        assert_eq!(read(&client).await.unwrap(), b"late", "and it is not lost");
    });
}

#[test]
fn whoever_says_its_end_has_gone_and_whoever_says_more_has_not() {
    run(async |wheel| {
        let [server, client] = pair(&wheel).await;
        client.write(&mut block(b"next request"), PATIENCE).await.unwrap();
        let patience = Duration::from_millis(400);
        assert!(crate::io::deadline::within(&wheel, patience, server.gone()).await.is_none());
        assert_eq!(read(&server).await.unwrap(), b"next request");
        client.finish();
        assert!(crate::io::deadline::within(&wheel, PATIENCE, server.gone()).await.is_some());
    });
}

#[test]
fn garbage_and_endless_hellos_are_refused() {
    run(async |wheel| {
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let listen::Opened { address, mut sockets, .. } = listen::open(&any.into(), 1, false, 0).unwrap();
        let acceptor = Acceptor::new(&address, sockets.remove(0)).unwrap();
        let hello = |len: u16| {
            // A record that begins a hello of 60,000 bytes, and has `len` of them.
            let mut bytes = vec![22, 3, 1];
            bytes.extend_from_slice(&(len + 4).to_be_bytes());
            bytes.extend_from_slice(&[1, 0, 0xea, 0x60]);
            bytes.resize(bytes.len() + usize::from(len), 7);
            bytes
        };
        for (said, expected) in [
            (b"\x16\x03\x01\xff\xff\xff".repeat(10), "faulty"),
            ([hello(9000), hello(9000), hello(9000)].concat(), "long"),
            (hello(100), "broken"),
        ] {
            let (accepted, connected) = both(acceptor.accept(), Socket::connect(&address)).await;
            let (mut server, client) = (Line::new(&wheel, accepted.unwrap().0), Line::new(&wheel, connected.unwrap()));
            let [engine, _] = engines(&configs(tls::INTERMEDIATE));
            server.cover(Box::new(engine), Block::none());
            let say = async {
                client.write(&mut block(&said), PATIENCE).await.unwrap();
                client.finish();
            };
            let (settled, ()) = both(server.settle(16_000, PATIENCE), say).await;
            let word = match settled {
                Ok(_) => "settled",
                Err(Unsettled::Faulty(_)) => "faulty",
                Err(Unsettled::TooLong) => "long",
                Err(Unsettled::Broken(_)) => "broken",
            };
            assert_eq!(word, expected);
        }
    });
}

/// A side that makes its records itself once the handshake is over.
struct Rogue {
    stream: TcpStream,
    key: aead::LessSafeKey,
    iv: [u8; aead::NONCE_LEN],
    sequence: u64,
}

/// The types of records.
const HANDSHAKE: u8 = 22;
const CONTENT: u8 = 23;

impl Rogue {
    fn client(mut stream: TcpStream, config: &rustls::ClientConfig) -> Self {
        let mut config = config.clone();
        config.enable_secret_extraction = true;
        config.resumption = rustls::client::Resumption::disabled();
        let name = rustls::pki_types::ServerName::try_from("test.example").unwrap();
        let mut connection = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
        while connection.is_handshaking() {
            connection.complete_io(&mut stream).unwrap();
        }
        Self::of(stream, connection.dangerous_extract_secrets().unwrap().tx)
    }

    fn server(mut stream: TcpStream, config: &rustls::ServerConfig) -> Self {
        let mut config = config.clone();
        config.enable_secret_extraction = true;
        let mut connection = rustls::ServerConnection::new(Arc::new(config)).unwrap();
        while connection.is_handshaking() || connection.wants_write() {
            connection.complete_io(&mut stream).unwrap();
        }
        Self::of(stream, connection.dangerous_extract_secrets().unwrap().tx)
    }

    fn of(stream: TcpStream, (sequence, secrets): (u64, rustls::ConnectionTrafficSecrets)) -> Self {
        let rustls::ConnectionTrafficSecrets::Aes256Gcm { key, iv } = secrets else { panic!("another suite") };
        let key = aead::LessSafeKey::new(aead::UnboundKey::new(&aead::AES_256_GCM, key.as_ref()).unwrap());
        Self { stream, key, iv: iv.as_ref().try_into().unwrap(), sequence }
    }

    /// The next record (RFC 8446 §5.2).
    fn record(&mut self, kind: u8, content: &[u8]) -> Vec<u8> {
        let mut nonce = self.iv;
        for (at, byte) in self.sequence.to_be_bytes().iter().enumerate() {
            nonce[4 + at] ^= byte;
        }
        self.sequence += 1;
        let [high, low] = (content.len() as u16 + 17).to_be_bytes();
        let header = [CONTENT, 3, 3, high, low];
        let mut sealed = [content, &[kind]].concat();
        let nonce = aead::Nonce::assume_unique_for_key(nonce);
        self.key.seal_in_place_append_tag(nonce, aead::Aad::from(header), &mut sealed).unwrap();
        [&header[..], &sealed].concat()
    }

    fn say(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }
}

/// Our side, settled with such a side, which is a client or a server and then does as it is told on a thread of its own; it
/// comes back when it has.
async fn against(wheel: &Rc<Wheel>, is_server: bool, act: impl FnOnce(&mut Rogue) + Send + 'static) -> (Line, Told) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let configs = configs(tls::MODERN);
    let [server, client] = engines(&configs);
    let connected = TcpStream::connect(address).unwrap();
    let accepted = listener.accept().unwrap().0;
    let (ours, theirs) = if is_server { (connected, accepted) } else { (accepted, connected) };
    let (tell, told) = mpsc::sync_channel(1);
    std::thread::spawn(move || {
        theirs.set_nodelay(true).unwrap();
        let mut rogue = if is_server { Rogue::server(theirs, &configs.0) } else { Rogue::client(theirs, &configs.1) };
        act(&mut rogue);
        drop(tell.send(rogue));
    });
    ours.set_nonblocking(true).unwrap();
    let mut line = Line::new(wheel, Socket::adopt(ours.into()).unwrap());
    line.cover(Box::new(if is_server { client } else { server }), Block::none());
    line.settle(16_000, PATIENCE).await.unwrap();
    (line, told)
}

type Told = mpsc::Receiver<Rogue>;

#[test]
fn a_message_that_does_not_end_ends_the_connection() {
    run(async |wheel| {
        let (server, _told) = against(&wheel, false, |rogue| {
            // A byte in each record.
            let mut all = rogue.record(HANDSHAKE, &[4, 0, 0xff, 0xf0]);
            (0..65_000).for_each(|_| all.extend(rogue.record(HANDSHAKE, &[0])));
            // It cannot send all of it.
            drop(rogue.stream.write_all(&all));
        })
        .await;
        let mut room = Block::with_room(100);
        server.reading().arm(PATIENCE, Cut::Both);
        assert_eq!(server.read(&mut room, 100).await, Err(Broken::Reset));
        assert_eq!(server.read(&mut room, 100).await, Err(Broken::Reset), "and so it stays");
    });
}

#[test]
fn a_look_for_news_takes_a_bounded_time_and_whoever_says_much_that_is_nothing_has_not_gone() {
    run(async |wheel| {
        let (client, told) = against(&wheel, true, |rogue| {
            for _ in 0..1000 {
                let ticket = rogue.record(HANDSHAKE, &[4, 0, 0, 14, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 7, 0, 0]);
                rogue.say(&ticket);
            }
        })
        .await;
        let _rogue = told.recv().unwrap();
        assert!(client.has_news(), "nobody asked for that");
        assert!(client.socket().has_bytes(), "not all of it was looked at");
        let patience = Duration::from_millis(1500);
        assert!(crate::io::deadline::within(&wheel, patience, client.gone()).await.is_none());
        assert!(!client.socket().has_bytes(), "all of it was looked at in the end");
    });
}

#[test]
fn a_part_of_a_record_is_news() {
    run(async |wheel| {
        let (client, told) = against(&wheel, true, |rogue| {
            let late = rogue.record(CONTENT, b"HTTP/1.1 408 Request Timeout");
            rogue.say(&late[..20]);
        })
        .await;
        let mut rogue = told.recv().unwrap();
        // The first that is readable may be the tickets.
        while !client.is_amid() {
            client.socket().readable().await.unwrap();
            let _ = client.has_news();
        }
        assert!(client.has_news(), "it would begin the next answer");
        rogue.say(&[0]);
    });
}

#[test]
fn who_lingers_reads_whatever_comes_though_a_part_of_it_was_lost() {
    run(async |wheel| {
        let (server, told) = against(&wheel, false, |_| {}).await;
        let mut rogue = told.recv().unwrap();
        let record = rogue.record(CONTENT, b"the rest of an upload");
        // What a read that was dropped has taken, and then half of what is not to be opened any more.
        rogue.say(&record[7..]);
        let (sent, done) = mpsc::sync_channel(1);
        let all = async {
            server.linger(Duration::from_secs(1), PATIENCE).await;
            assert!(!server.socket().has_bytes());
            done.recv().unwrap();
        };
        let thread = std::thread::spawn(move || {
            for _ in 0..200 {
                rogue.say(&[7; 16_000]);
            }
            sent.send(()).unwrap();
            rogue
        });
        all.await;
        let mut rogue = thread.join().unwrap();
        let mut last = Vec::new();
        rogue.stream.read_to_end(&mut last).unwrap();
        assert!(!last.is_empty(), "the last word came, and no reset before it");
    });
}
