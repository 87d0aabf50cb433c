//! Tasks of one core that wait their turn, by rank. It refuses to know what they wait for: whoever is first is told to
//! look, and either finds it and leaves, or waits on.

use std::cell::Cell;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::task::Waker;

/// Ranks that are served one after the other.
pub const RANKS: usize = 3;

/// A queue for each rank; 0 is served first.
#[derive(Debug, Default)]
pub struct Queue {
    ranks: RefCell<[VecDeque<Rc<Seat>>; RANKS]>,
    len: Cell<usize>,
}

#[derive(Debug, Default)]
struct Seat {
    /// Told to look, and not known to have looked.
    called: Cell<bool>,
    /// Put out by one of a higher rank, or with all others.
    out: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

/// One that waits, until dropped.
#[derive(Debug)]
pub struct Waiting<'a> {
    queue: &'a Queue,
    seat: Rc<Seat>,
    rank: usize,
}

/// What one that waits is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Look whether it is there.
    Look,
    /// Wait no longer: the place in the queue is another's, or nobody's.
    Out,
}

impl Queue {
    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len.get()
    }

    /// Whether none does.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len.get() == 0
    }

    /// Whether one waits that is served before a newcomer of this rank.
    #[must_use]
    pub fn is_behind(&self, rank: usize) -> bool {
        !self.is_empty() && self.ranks.borrow().iter().take(rank + 1).any(|waiting| !waiting.is_empty())
    }

    /// Tells the first to look.
    pub fn call(&self) {
        if self.is_empty() {
            return;
        }
        let first = self.ranks.borrow().iter().find_map(|waiting| waiting.front().cloned());
        if let Some(seat) = first {
            seat.called.set(true);
            seat.wake();
        }
    }

    /// Waits as the last of a rank (the lowest there is, if it is none).
    pub fn enter(&self, rank: usize) -> Waiting<'_> {
        let (seat, rank) = (Rc::<Seat>::default(), rank.min(RANKS - 1));
        if let Some(waiting) = self.ranks.borrow_mut().get_mut(rank) {
            waiting.push_back(seat.clone());
            self.len.set(self.len.get() + 1);
        }
        Waiting { queue: self, seat, rank }
    }

    /// Puts out the last of the lowest rank, if that is below `rank`, and says whether there was one.
    pub fn put_out(&self, rank: usize) -> bool {
        let mut ranks = self.ranks.borrow_mut();
        let last = ranks.iter_mut().skip(rank + 1).rev().find_map(VecDeque::pop_back);
        drop(ranks);
        let Some(seat) = last else { return false };
        self.len.set(self.len.get().saturating_sub(1));
        seat.put_out();
        true
    }

    /// Puts out everyone.
    pub fn clear(&self) {
        let all = self.ranks.take();
        self.len.set(0);
        all.iter().flatten().for_each(|seat| seat.put_out());
    }
}

impl Seat {
    fn put_out(&self) {
        self.out.set(true);
        self.wake();
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }
}

impl Waiting<'_> {
    /// Waits to be told something.
    pub async fn turn(&self) -> Turn {
        poll_fn(|cx| {
            if self.seat.out.get() {
                return Poll::Ready(Turn::Out);
            }
            if self.seat.called.take() {
                return Poll::Ready(Turn::Look);
            }
            *self.seat.waker.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }
}

impl Drop for Waiting<'_> {
    /// The next one is told to look: there may be more, or this one was told and did not.
    fn drop(&mut self) {
        let mut ranks = self.queue.ranks.borrow_mut();
        if let Some(waiting) = ranks.get_mut(self.rank)
            && let Some(at) = waiting.iter().position(|seat| Rc::ptr_eq(seat, &self.seat))
        {
            waiting.remove(at);
            self.queue.len.set(self.queue.len.get().saturating_sub(1));
        }
        drop(ranks);
        self.queue.call();
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::Context;

    use super::*;

    fn told(waiting: &Waiting<'_>) -> Option<Turn> {
        match pin!(waiting.turn()).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(turn) => Some(turn),
            Poll::Pending => None,
        }
    }

    #[test]
    fn whoever_waits_as_all_are_put_out_waits_no_longer() {
        let queue = Queue::default();
        let waiting = [queue.enter(2), queue.enter(0), queue.enter(0)];
        queue.call();
        queue.clear();
        assert!(queue.is_empty());
        assert_eq!(waiting.each_ref().map(told), [Some(Turn::Out); 3]);
        let next = queue.enter(1);
        drop(waiting);
        assert_eq!((queue.len(), told(&next)), (1, Some(Turn::Look)));
    }

    #[test]
    fn the_first_of_the_highest_rank_is_called_and_the_next_when_it_leaves() {
        let queue = Queue::default();
        let (low, early, late) = (queue.enter(2), queue.enter(1), queue.enter(1));
        assert_eq!([&low, &early, &late].map(told), [None, None, None]);
        queue.call();
        assert_eq!([&low, &early, &late].map(told), [None, Some(Turn::Look), None]);
        assert_eq!(told(&early), None, "it has looked");
        drop(early);
        assert_eq!([&low, &late].map(told), [None, Some(Turn::Look)]);
        drop(late);
        assert_eq!((told(&low), queue.len()), (Some(Turn::Look), 1));
        drop(low);
        assert!(queue.is_empty());
        queue.call();
    }

    #[test]
    fn a_call_that_its_owner_does_not_follow_goes_to_the_next() {
        let queue = Queue::default();
        let (one, two) = (queue.enter(0), queue.enter(0));
        queue.call();
        drop(one);
        assert_eq!(told(&two), Some(Turn::Look));
    }

    #[test]
    fn only_one_of_a_lower_rank_is_put_out_and_the_last_of_the_lowest() {
        let queue = Queue::default();
        let (high, normal, low, last) = (queue.enter(0), queue.enter(1), queue.enter(2), queue.enter(2));
        assert!(!queue.put_out(2));
        assert!(queue.put_out(0));
        assert_eq!([&high, &normal, &low, &last].map(told), [None, None, None, Some(Turn::Out)]);
        assert_eq!(queue.len(), 3);
        drop(last);
        assert_eq!(queue.len(), 3, "it was counted out once");
        assert!(queue.put_out(1));
        assert!(!queue.put_out(1));
        assert_eq!(told(&low), Some(Turn::Out));
    }

    #[test]
    fn a_newcomer_is_behind_those_of_its_rank_and_above() {
        let queue = Queue::default();
        assert!(!queue.is_behind(2));
        let _normal = queue.enter(1);
        assert_eq!([0, 1, 2].map(|rank| queue.is_behind(rank)), [false, true, true]);
    }
}
