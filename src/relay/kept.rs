//! What of a request's body has gone by, kept as long as the request may have to be sent again. It refuses to know whether
//! it will be.

use std::cell::Cell;
use std::cell::RefCell;

/// Content that was read of a client and may be wanted once more; bounded.
#[derive(Debug)]
pub struct Kept {
    bytes: RefCell<Vec<u8>>,
    most: usize,
    lost: Cell<bool>,
    reading: Cell<bool>,
    halted: Cell<bool>,
}

impl Kept {
    /// Keeps `most` bytes; once there are more, none.
    #[must_use]
    pub fn new(most: usize) -> Self {
        let (lost, reading, halted) = (Cell::new(false), Cell::new(false), Cell::new(false));
        Self { bytes: RefCell::default(), most, lost, reading, halted }
    }

    /// Whether everything that has gone by is here.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        !self.lost.get()
    }

    /// Keeps nothing from now on.
    pub fn lose(&self) {
        self.lost.set(true);
        self.bytes.take();
    }

    /// Appends what is here.
    pub fn copy_to(&self, out: &mut Vec<u8>, frame: impl FnOnce(&mut Vec<u8>, &[u8])) {
        frame(out, &self.bytes.borrow());
    }

    /// Bytes here.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.borrow().len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a read is under way that must not be dropped, since what it brings would be missing.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.reading.get() && self.is_whole()
    }

    /// Asks the pump to end when what it reads has come, or no longer.
    pub fn halt(&self, halted: bool) {
        self.halted.set(halted);
        self.reading.set(self.reading.get() && halted);
    }

    pub(super) fn begin(&self) {
        self.reading.set(true);
    }

    /// Takes what a read has brought. True: the pump is to end.
    pub(super) fn take(&self, piece: &[u8]) -> bool {
        self.reading.set(false);
        let mut bytes = self.bytes.borrow_mut();
        if self.lost.get() || bytes.len() + piece.len() > self.most {
            self.lost.set(true);
            *bytes = Vec::new();
        } else {
            bytes.extend_from_slice(piece);
        }
        self.halted.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_keeps_up_to_its_bound_and_past_it_nothing() {
        let kept = Kept::new(8);
        assert!(!kept.take(b"four") && !kept.take(b"more"));
        let mut out = b"<".to_vec();
        kept.copy_to(&mut out, Vec::extend_from_slice);
        assert_eq!((out.as_slice(), kept.is_whole()), (&b"<fourmore"[..], true));
        assert!(!kept.take(b"!"));
        assert_eq!((kept.is_whole(), kept.len()), (false, 0));
        kept.take(b"x");
        assert_eq!((kept.is_whole(), kept.len()), (false, 0), "what was lost does not begin again");
    }

    #[test]
    fn a_read_under_way_is_waited_for_only_if_all_is_here() {
        let kept = Kept::new(8);
        kept.begin();
        assert!(kept.is_busy());
        kept.halt(true);
        assert!(kept.is_busy() && kept.take(b"x") && !kept.is_busy());
        kept.begin();
        kept.lose();
        assert!(!kept.is_busy());
    }
}
