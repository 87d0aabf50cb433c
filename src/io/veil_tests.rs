//! A veil's blocks, with a cipher that can be read: however what comes is cut, and however little of what is written is taken
//! at once, the same arrives. No socket is there.

use proptest::prelude::*;

use super::*;
use crate::buf::Block;

/// Records with a header of TLS, whose content is turned over. An empty one is the end.
#[derive(Default)]
struct Turned {
    ended: bool,
}

const MASK: u8 = 0x5a;
const MOST: usize = 16_384;

impl Cipher for Turned {
    fn open(&mut self, wire: &mut Block, content: &mut Block, answer: &mut Block) -> Result<Stage, Fault> {
        while let [kind, _, _, high, low, rest @ ..] = wire.bytes() {
            let len = usize::from(*high) << 8 | usize::from(*low);
            let Some(body) = rest.get(..len) else { break };
            match kind {
                b'?' => answer.tail().extend_from_slice(&[b'!', 3, 3, 0, 0]),
                b'!' => {}
                b'.' => {
                    content.reserve(len);
                    content.tail().extend(body.iter().map(|byte| byte ^ MASK));
                    self.ended |= len == 0;
                }
                _ => return Err(Fault::of("no record")),
            }
            wire.consume(HEADER + len);
        }
        Ok(if self.ended { Stage::Ended } else { Stage::Ready })
    }

    fn seal(&mut self, _: &mut Block, content: &[u8], out: &mut Block) -> Result<(), Fault> {
        for piece in content.chunks(MOST) {
            out.tail().extend_from_slice(&[b'.', 3, 3]);
            out.tail().extend_from_slice(&(piece.len() as u16).to_be_bytes());
            out.tail().extend(piece.iter().map(|byte| byte ^ MASK));
        }
        Ok(())
    }

    fn end(&mut self, _: &mut Block, out: &mut Block) {
        out.tail().extend_from_slice(&[b'.', 3, 3, 0, 0]);
    }

    fn facts(&mut self) -> Facts {
        Facts::default()
    }
}

/// No descriptor at all: whatever is said by a system call fails.
fn veil() -> Veil {
    let veil = Veil::over(-1, Box::new(Turned::default()), Block::none());
    veil.open(&mut Block::none()).unwrap();
    veil
}

/// Takes what is coming, as a line does, in pieces of these sizes.
fn take(veil: &Veil, coming: &[u8], cuts: &mut impl Iterator<Item = usize>, room: usize) -> Vec<u8> {
    let (mut at, mut heard) = (0, Vec::new());
    while at < coming.len() {
        let mut block = veil.to_read(room);
        let n = cuts.next().unwrap().min(block.spare()).min(coming.len() - at);
        assert!(n > 0, "there is always room for more");
        block.tail().extend_from_slice(&coming[at..at + n]);
        at += n;
        veil.read(block);
        let mut content = Block::none();
        veil.open(&mut content).unwrap();
        heard.extend_from_slice(content.bytes());
    }
    heard
}

proptest! {
    #[test]
    fn however_little_is_taken_at_once_the_same_arrives(
        pieces in proptest::collection::vec((1..200_000_usize, any::<bool>()), 1..6),
        taken in proptest::collection::vec(prop_oneof![1..100_usize, 1..70_000_usize], 1..9),
        cuts in proptest::collection::vec(prop_oneof![1..100_usize, 1..70_000_usize], 1..9),
        room in prop_oneof![1..3000_usize, 1..70_000_usize],
    ) {
        let (ours, theirs) = (veil(), veil());
        let (mut taken, mut cuts) = (taken.iter().copied().cycle(), cuts.iter().copied().cycle());
        let (mut said, mut wire) = (Vec::new(), Vec::new());
        for (size, asked) in pieces {
            if asked {
                // Something is to be answered before anything else is said.
                take(&ours, &[b'?', 3, 3, 0, 0], &mut cuts, room);
            }
            let piece: Vec<u8> = (0..size).map(|at| (at / 251 + at) as u8).collect();
            let mut gone = 0;
            while gone < piece.len() {
                let out = ours.to_write(&piece[gone..]).unwrap();
                prop_assert!(ours.to_write(&piece[gone..]).is_err(), "one write at a time");
                let n = taken.next().unwrap().min(out.len());
                wire.extend_from_slice(&out.bytes()[..n]);
                gone += ours.wrote(out, n);
                prop_assert!(gone <= piece.len());
            }
            prop_assert!(!ours.has_more(), "what is told of as gone has gone");
            said.extend_from_slice(&piece);
        }
        prop_assert!(take(&theirs, &wire, &mut cuts, room) == said);
        prop_assert_eq!(theirs.waiting(), 0);
    }
}

#[test]
fn a_block_to_read_into_is_of_the_class_of_that_for_the_content() {
    let veil = veil();
    for room in [2000, 8000, 16 * 1024, 64 * 1024] {
        let content = Block::with_room(room);
        let wire = veil.to_read(content.spare());
        assert_eq!(wire.spare(), content.spare(), "for {room} bytes");
    }
    // The rest of a record is read at once, however little was asked for.
    let mut begun = veil.to_read(100);
    begun.tail().extend_from_slice(&[b'.', 3, 3, 0x40, 0, 1, 2, 3]);
    veil.read(begun);
    veil.open(&mut Block::none()).unwrap();
    assert!(veil.to_read(100).spare() >= MOST - 3);
}
