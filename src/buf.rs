//! Blocks of bytes that are lent to the kernel and come back: owned, growable, recycled by the thread that drops them.
//!
//! A block has room in front of its bytes, so that a chunk-size line can be put before a piece of a body without moving
//! it. It refuses to know what the bytes mean. A block in flight is owned by its operation; when that is dropped, the
//! block goes back to the thread's stock once the kernel has let go of it. In builds with debug assertions it is
//! overwritten then, so that whoever still reads it is found out by what it says.

#![expect(unsafe_code, reason = "the kernel writes into spare capacity, whose length only we can then set")]

use std::cell::RefCell;
use std::mem;

/// Room in front of the bytes of a fresh block: a chunk-size line of 64 bits fits.
pub const HEADROOM: usize = 24;
/// Room that [`Block::with_room`] adds behind, for the CRLF that ends a chunk.
pub const TAILROOM: usize = 8;

/// The same of a large block: a line of the cache. Large blocks begin on pages, and processors that copy by `rep movsb` (AMD's
/// Zen 3) are several times slower where the target begins less than 64 bytes further into its page than the source.
const LARGE_HEADROOM: usize = 64;
/// Blocks of more bytes than this are large.
const LARGE: usize = 8 * 1024;

/// Capacities that are kept in stock.
const CLASSES: [usize; 4] = [2 * 1024, 8 * 1024, 18 * 1024 + LARGE_HEADROOM, 66 * 1024 + LARGE_HEADROOM];
/// Blocks of each class that a thread keeps.
const STOCK: [usize; 4] = [512, 512, 512, 16];

/// What stands in a block that nobody has, in builds with debug assertions: no token, no space and no UTF-8.
const POISON: u8 = 0xdb;

/// Blocks of one class that a thread keeps.
struct Shelf {
    blocks: Vec<Vec<u8>>,
    /// The fewest there were since the shelves were last thinned out.
    low: usize,
}

const SHELF: Shelf = Shelf { blocks: Vec::new(), low: 0 };

thread_local! {
    static SHELVES: RefCell<[Shelf; 4]> = const { RefCell::new([SHELF; 4]) };
}

/// Frees what of the thread's stock nobody has asked for since this was last called.
pub fn thin_out() {
    let _ = SHELVES.try_with(|shelves| {
        for Shelf { blocks, low } in shelves.borrow_mut().iter_mut() {
            blocks.drain(..(*low).min(blocks.len()));
            *low = blocks.len();
        }
    });
}

/// Bytes with room before and behind.
#[derive(Debug, Default)]
pub struct Block {
    bytes: Vec<u8>,
    start: usize,
}

impl Block {
    /// An empty block that holds at least `room` bytes. Costs no allocation while the thread has one in stock.
    #[must_use]
    pub fn with_room(room: usize) -> Self {
        let start = headroom(room + HEADROOM + TAILROOM);
        let mut bytes = take(room + start + TAILROOM);
        bytes.resize(start, 0);
        Self { bytes, start }
    }

    /// An empty block that holds `room` bytes and little more, of no stock: for what may stay for long.
    #[must_use]
    pub fn exactly(room: usize) -> Self {
        let mut bytes = Vec::with_capacity(HEADROOM + room);
        bytes.resize(HEADROOM, 0);
        Self { bytes, start: HEADROOM }
    }

    /// No room at all; takes a shelf's block when it first needs one.
    #[must_use]
    pub const fn none() -> Self {
        Self { bytes: Vec::new(), start: 0 }
    }

    /// The bytes.
    #[inline]
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or(&[])
    }

    /// The bytes, to change.
    #[inline]
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.start..).unwrap_or(&mut [])
    }

    /// How many bytes.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    /// None at all.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes that fit behind without growing.
    #[inline]
    #[must_use]
    pub fn spare(&self) -> usize {
        self.bytes.capacity() - self.bytes.len()
    }

    /// Whether the block holds any memory.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.bytes.capacity() == 0
    }

    /// The vector behind the block, to append to. What stands in it before the bytes must stay.
    #[inline]
    pub fn tail(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Makes room for `more` bytes behind, moving the bytes to the front or into a larger block if need be.
    pub fn reserve(&mut self, more: usize) {
        if self.spare() >= more {
            return;
        }
        let len = self.len();
        let front = headroom(self.bytes.capacity()).min(self.start);
        if !self.is_none() && front + len + more <= self.bytes.capacity() {
            self.bytes.copy_within(self.start.., front);
            self.bytes.truncate(front + len);
            self.start = front;
            if self.spare() >= more {
                return;
            }
        }
        let mut larger = Self::with_room(len + more);
        larger.bytes.extend_from_slice(self.bytes());
        *self = larger;
    }

    /// Drops the first `n` bytes.
    #[inline]
    pub fn consume(&mut self, n: usize) {
        self.start += n.min(self.len());
        if self.start == self.bytes.len() && !self.is_none() {
            self.clear();
        }
    }

    /// Drops all bytes, keeps the room.
    #[inline]
    pub fn clear(&mut self) {
        self.bytes.truncate(headroom(self.bytes.capacity()));
        self.start = self.bytes.len();
    }

    /// Drops all bytes past the first `n`.
    #[inline]
    pub fn truncate(&mut self, n: usize) {
        self.bytes.truncate(self.start + n);
    }

    /// Puts `front` before the bytes if the room there is enough, and says whether it was.
    #[inline]
    #[must_use]
    pub fn prepend(&mut self, front: &[u8]) -> bool {
        if self.start < front.len() {
            return false;
        }
        self.start -= front.len();
        if let Some(place) = self.bytes.get_mut(self.start..self.start + front.len()) {
            place.copy_from_slice(front);
        }
        true
    }

    /// Where the kernel may write [`spare`](Self::spare) bytes.
    #[inline]
    pub(crate) fn spare_ptr(&mut self) -> *mut u8 {
        self.bytes.spare_capacity_mut().as_mut_ptr().cast()
    }

    /// Takes the first `n` bytes of the spare room as bytes.
    ///
    /// # Safety
    /// They have been written.
    #[inline]
    pub(crate) unsafe fn filled(&mut self, n: usize) {
        debug_assert!(n <= self.spare(), "more was written than there was room for");
        let len = self.bytes.len() + n;
        // SAFETY: the caller has written them, and `n` is within the capacity.
        unsafe { self.bytes.set_len(len) };
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        if self.is_none() {
            return;
        }
        let mut bytes = mem::take(&mut self.bytes);
        if cfg!(debug_assertions) {
            bytes.clear();
            bytes.resize(bytes.capacity(), POISON);
        }
        let Some(class) = CLASSES.iter().position(|capacity| *capacity == bytes.capacity()) else { return };
        // The thread may be ending, its shelves gone: then the block is simply freed.
        let _ = SHELVES.try_with(|shelves| {
            let Shelf { blocks, .. } = &mut shelves.borrow_mut()[class];
            if blocks.len() < STOCK[class] {
                bytes.clear();
                blocks.push(bytes);
            }
        });
    }
}

/// Room in front of the bytes of a block of so many.
#[inline]
fn headroom(capacity: usize) -> usize {
    if capacity > LARGE { LARGE_HEADROOM } else { HEADROOM }
}

fn take(room: usize) -> Vec<u8> {
    let Some(class) = CLASSES.iter().position(|capacity| room <= *capacity) else { return Vec::with_capacity(room) };
    let pop = |shelves: &RefCell<[Shelf; 4]>| {
        let Shelf { blocks, low } = &mut shelves.borrow_mut()[class];
        let block = blocks.pop();
        *low = (*low).min(blocks.len());
        block
    };
    SHELVES.try_with(pop).ok().flatten().unwrap_or_else(|| Vec::with_capacity(CLASSES[class]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_survive_growth_and_consumption() {
        let mut block = Block::with_room(10);
        block.tail().extend_from_slice(b"hello world");
        block.consume(6);
        assert_eq!(block.bytes(), b"world");
        block.reserve(100_000);
        assert!(block.spare() >= 100_000);
        assert_eq!(block.bytes(), b"world");
        assert!(block.prepend(b"5\r\n"));
        assert_eq!(block.bytes(), b"5\r\nworld");
        block.consume(8);
        assert!(block.is_empty());
        assert!(block.prepend(&[b'x'; LARGE_HEADROOM]));
        assert!(!block.prepend(b"x"));
    }

    #[test]
    fn room_is_won_back_by_moving_before_it_is_won_by_growing() {
        let mut block = Block::with_room(1000);
        let room = block.spare();
        block.tail().resize(HEADROOM + room, b'a');
        block.consume(room - 10);
        let place = block.bytes.capacity();
        block.reserve(room - 100);
        assert_eq!(block.bytes.capacity(), place);
        assert_eq!(block.bytes(), b"aaaaaaaaaa");
    }

    #[test]
    fn a_dropped_block_is_taken_again() {
        let block = Block::with_room(5000);
        let place = block.bytes.as_ptr();
        drop(block);
        let again = Block::with_room(4000);
        assert_eq!(again.bytes.as_ptr(), place);
    }

    #[test]
    #[cfg(debug_assertions)]
    fn of_what_was_in_a_dropped_block_nothing_is_left() {
        let mut block = Block::with_room(5000);
        block.tail().extend_from_slice(&[b'a'; 4000]);
        drop(block);
        let mut again = Block::with_room(5000);
        let front = again.bytes.len();
        // SAFETY: all of it was written when the block was dropped.
        unsafe { again.filled(again.spare()) };
        assert_eq!(again.bytes[front..], vec![POISON; again.bytes.capacity() - front]);
    }

    #[test]
    fn what_nobody_asks_for_does_not_stay_in_stock() {
        let stock = || SHELVES.with(|shelves| shelves.borrow()[0].blocks.len());
        drop((0..8).map(|_| Block::with_room(1000)).collect::<Vec<_>>());
        assert_eq!(stock(), 8);
        thin_out();
        assert_eq!(stock(), 8, "they were all in use a moment ago");
        drop([Block::with_room(1000), Block::with_room(1000)]);
        thin_out();
        assert_eq!(stock(), 2);
        thin_out();
        assert_eq!(stock(), 0);
    }

    #[test]
    fn a_large_block_begins_a_line_of_the_cache_behind_its_front_whatever_was_done_with_it() {
        for room in [8 * 1024 - 31, 8 * 1024, 16 * 1024, 66 * 1024 - HEADROOM - TAILROOM, 100_000] {
            let mut block = Block::with_room(room);
            let front = |block: &Block| block.bytes().as_ptr() as usize - block.bytes.as_ptr() as usize;
            assert_eq!(front(&block), LARGE_HEADROOM, "{room}");
            assert!(block.spare() >= room + TAILROOM, "{room}");
            let room = block.spare();
            block.tail().resize(LARGE_HEADROOM + room, b'a');
            block.consume(room - 10);
            block.reserve(room - 100);
            assert_eq!((front(&block), block.bytes()), (LARGE_HEADROOM, &[b'a'; 10][..]), "{room}");
            block.consume(10);
            assert_eq!(front(&block), LARGE_HEADROOM, "{room}");
        }
        for class in CLASSES {
            let mut block = Block { bytes: take(class), start: 0 };
            block.clear();
            assert_eq!(block.bytes.capacity(), class);
        }
    }

    #[test]
    fn nothing_is_held_by_none() {
        let mut block = Block::none();
        assert!(block.is_none() && block.is_empty());
        block.consume(3);
        block.reserve(1);
        assert!(block.spare() >= 1);
    }
}
