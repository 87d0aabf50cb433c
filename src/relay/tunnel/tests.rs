//! What a tunnel counts, over real sockets.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Instant;

use super::*;
use crate::io::deadline::Wheel;
use crate::io::listen;
use crate::io::listen::Acceptor;
use crate::io::ring;
use crate::io::ring::Plan;
use crate::io::ring::Wanted;
use crate::io::socket;
use crate::io::socket::Cut;
use crate::io::socket::Socket;

const IDLE: Duration = Duration::from_secs(20);

/// Two ends of a connection.
async fn pair(wheel: &Rc<Wheel>) -> [Line; 2] {
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let listen::Opened { address, mut sockets, .. } = listen::open(&any.into(), 1, false, 0).unwrap();
    let acceptor = Acceptor::new(&address, sockets.remove(0)).unwrap();
    let (accepted, connected) = both(acceptor.accept(), Socket::connect(&address)).await;
    [Line::new(wheel, accepted.unwrap().0), Line::new(wheel, connected.unwrap())]
}

fn block(bytes: &[u8]) -> Block {
    let mut block = Block::with_room(bytes.len());
    block.tail().extend_from_slice(bytes);
    block
}

#[test]
fn what_came_is_counted_whether_it_could_go_or_not() {
    let wheel = Rc::new(Wheel::new(Instant::now()));
    let plan = Plan { wanted: Wanted::Epoll, entries: 64, completions: 128 };
    let given = wheel.clone();
    let ended = ring::run(plan, &wheel, |_| async move {
        let ([near, _client], [far, _endpoint]) = (pair(&given).await, pair(&given).await);
        // Whatever is written there breaks at once.
        socket::cut(far.socket().fd(), Cut::Write);
        let (came, went, count) = (Cell::new(0), Cell::new(0), Count::default());
        let one =
            Side { line: &near, held: block(b"PROXY hello"), foreign: 6, taken: &came, all: true, count: Some(&count) };
        let other = Side { line: &far, held: Block::none(), foreign: 0, taken: &went, all: false, count: None };
        let over = run([one, other], &Deadline::lasting(&given, 0), IDLE).await;
        assert_eq!(over, Over::Lost(1, Broken::Reset));
        assert_eq!((came.get(), went.get(), count.get()), (5, 0, 0));

        let ([near, _client], [far, _endpoint]) = (pair(&given).await, pair(&given).await);
        socket::cut(near.socket().fd(), Cut::Write);
        let (came, went) = (Cell::new(0), Cell::new(0));
        let one = Side { line: &near, held: Block::none(), foreign: 0, taken: &came, all: true, count: None };
        let other = Side { line: &far, held: block(b"hello"), foreign: 0, taken: &went, all: false, count: None };
        let over = run([one, other], &Deadline::lasting(&given, 0), IDLE).await;
        assert_eq!(over, Over::Lost(0, Broken::Reset));
        assert_eq!((came.get(), went.get()), (0, 0));
    });
    assert!(matches!(ended, Ok(ring::Ended::Done)));
}
