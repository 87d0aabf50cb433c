//! Lines in the open, over real sockets: how what is said ends when nobody takes it.

use std::io::ErrorKind;
use std::io::Read;
use std::net::TcpListener;
use std::rc::Rc;
use std::time::Duration;
use std::time::Instant;

use crate::buf::Block;
use crate::io::deadline::Wheel;
use crate::io::line::Broken;
use crate::io::line::Line;
use crate::io::ring;
use crate::io::ring::Plan;
use crate::io::ring::Wanted;
use crate::io::socket::Socket;
use crate::io::task;

/// What an end of a connection that took nothing for too long finds once it takes what there is, before the line is closed.
fn end_of_a_late_taker(wanted: Wanted, abrupt: bool) -> Result<(), ErrorKind> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().into();
    let wheel = Rc::new(Wheel::new(Instant::now()));
    let (given, turned) = (wheel.clone(), wheel.clone());
    let (tell, told) = std::sync::mpsc::sync_channel(1);
    let ended = ring::run(Plan { wanted, entries: 64, completions: 128 }, &wheel, |_| async move {
        task::spawn_bare(async move {
            loop {
                task::sleep(Duration::from_millis(10)).await;
                turned.advance(Instant::now());
            }
        });
        let line = Line::new(&given, Socket::connect(&address).await.unwrap());
        let mut taker = listener.accept().unwrap().0;
        if abrupt {
            line.reading().cut_abruptly();
        }
        let ended = loop {
            let mut block = Block::with_room(50_000);
            block.tail().extend_from_slice(&[b'x'; 50_000]);
            if let Err(broken) = line.write(&mut block, Duration::from_millis(100)).await {
                break broken;
            }
        };
        assert_eq!(ended, Broken::TimedOut);
        // The line is there still: what is seen now is not how it is closed.
        let end = taker.read_to_end(&mut Vec::new()).map(drop).map_err(|error| error.kind());
        drop(line);
        tell.send(end).unwrap();
    });
    assert!(matches!(ended, Ok(ring::Ended::Done)));
    told.recv().unwrap()
}

#[test]
fn whoever_takes_too_long_finds_no_clean_end_where_that_would_be_taken_for_the_whole() {
    for wanted in [Wanted::Auto, Wanted::Epoll] {
        assert_eq!(end_of_a_late_taker(wanted, true), Err(ErrorKind::ConnectionReset), "{wanted:?}");
        assert_eq!(end_of_a_late_taker(wanted, false), Ok(()), "{wanted:?}");
    }
}
