//! Room for futures of one kind that come and go, kept from one to the next: a busy core asks the allocator for none. It
//! refuses to know what they do.

#![expect(unsafe_code, reason = "a future lives in memory that outlives it")]

use std::alloc::Layout;
use std::alloc::alloc;
use std::alloc::dealloc;
use std::alloc::handle_alloc_error;
use std::cell::Cell;
use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::ptr::NonNull;
use std::ptr::drop_in_place;
use std::task::Context;
use std::task::Poll;

/// Rooms that are free. All are of the size that was asked for first; others are made and freed each time.
#[derive(Debug, Default)]
pub struct Rooms {
    layout: Cell<Option<Layout>>,
    free: RefCell<Vec<NonNull<u8>>>,
    /// The fewest that were free since it was thinned out.
    least: Cell<usize>,
}

/// A future in its room, which is given back when dropped.
#[derive(Debug)]
pub struct Housed<'a, F> {
    at: NonNull<F>,
    rooms: &'a Rooms,
}

/// A room that goes back, also when what was in it panics while it is dropped.
struct Back<'a>(&'a Rooms, NonNull<u8>, Layout);

/// The most that are kept free.
const MOST: usize = 256;

impl Rooms {
    /// Makes a future in a room: made elsewhere and moved there, it would be moved with all the room that it is yet to use.
    #[inline(never)]
    pub fn house<F: Future>(&self, make: impl FnOnce() -> F) -> Housed<'_, F> {
        const { assert!(size_of::<F>() > 0, "of what takes no room, nothing need be kept") };
        let at = self.take(Layout::new::<F>()).cast::<F>();
        // SAFETY: the memory is of this layout, and nobody else's.
        unsafe { at.write(make()) };
        Housed { at, rooms: self }
    }

    /// Gives back to the allocator what nobody has asked for since the last call.
    pub fn thin_out(&self) {
        let mut free = self.free.borrow_mut();
        let kept = free.len().saturating_sub(self.least.get());
        if let Some(layout) = self.layout.get() {
            // SAFETY: each was made with this layout, and is in nobody's hands.
            free.drain(kept..).for_each(|room| unsafe { dealloc(room.as_ptr(), layout) });
        }
        self.least.set(kept);
    }

    fn take(&self, layout: Layout) -> NonNull<u8> {
        if self.layout.get().is_none() {
            self.layout.set(Some(layout));
        }
        if self.layout.get() == Some(layout) {
            let mut free = self.free.borrow_mut();
            if let Some(room) = free.pop() {
                self.least.set(self.least.get().min(free.len()));
                return room;
            }
        }
        // SAFETY: its size is not zero, as `house` has seen to.
        NonNull::new(unsafe { alloc(layout) }).unwrap_or_else(|| handle_alloc_error(layout))
    }

    fn give_back(&self, room: NonNull<u8>, layout: Layout) {
        let mut free = self.free.borrow_mut();
        if self.layout.get() == Some(layout) && free.len() < MOST {
            free.push(room);
        } else {
            // SAFETY: it was made with this layout, and its future is gone.
            unsafe { dealloc(room.as_ptr(), layout) };
        }
    }
}

impl Drop for Rooms {
    fn drop(&mut self) {
        self.least.set(usize::MAX);
        self.thin_out();
    }
}

impl<F: Future> Future for Housed<'_, F> {
    type Output = F::Output;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        // SAFETY: it is there, and ours alone.
        let future = unsafe { self.at.as_mut() };
        // SAFETY: it stays where it is until it is dropped there, before the room is anybody else's.
        unsafe { Pin::new_unchecked(future) }.poll(cx)
    }
}

impl<F> Drop for Housed<'_, F> {
    fn drop(&mut self) {
        let _back = Back(self.rooms, self.at.cast(), Layout::new::<F>());
        // SAFETY: it is there, and nobody uses it after this.
        unsafe { drop_in_place(self.at.as_ptr()) };
    }
}

impl Drop for Back<'_> {
    fn drop(&mut self) {
        self.0.give_back(self.1, self.2);
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::panic::AssertUnwindSafe;
    use std::panic::catch_unwind;
    use std::rc::Rc;
    use std::task::Waker;

    use super::*;

    /// A future of some size that holds something and never ends.
    async fn holding(held: Rc<()>, bytes: [u8; 100]) -> usize {
        pending::<()>().await;
        bytes.len() + Rc::strong_count(&held)
    }

    fn free(rooms: &Rooms) -> usize {
        rooms.free.borrow().len()
    }

    #[test]
    fn a_room_is_used_again_once_its_future_is_gone() {
        let (rooms, held) = (Rooms::default(), Rc::new(()));
        let mut one = rooms.house(|| holding(held.clone(), [1; 100]));
        let two = rooms.house(|| holding(held.clone(), [2; 100]));
        let at = one.at;
        assert_ne!(at, two.at);
        assert!(Pin::new(&mut one).poll(&mut Context::from_waker(Waker::noop())).is_pending());
        assert_eq!((Rc::strong_count(&held), free(&rooms)), (3, 0));
        drop(one);
        assert_eq!((Rc::strong_count(&held), free(&rooms)), (2, 1));
        let three = rooms.house(|| holding(held.clone(), [3; 100]));
        assert_eq!((three.at, free(&rooms)), (at, 0));
        drop((two, three));
        assert_eq!((Rc::strong_count(&held), free(&rooms)), (1, 2));
    }

    #[test]
    fn a_future_gives_what_it_gives() {
        let rooms = Rooms::default();
        let mut housed = rooms.house(|| async { 7 });
        assert_eq!(Pin::new(&mut housed).poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(7));
    }

    #[test]
    fn those_of_another_size_are_not_mixed_up_with_them() {
        let (rooms, held) = (Rooms::default(), Rc::new(()));
        drop(rooms.house(|| holding(held.clone(), [0; 100])));
        drop(rooms.house(|| async move { (held, [0_u8; 7]).1.len() }));
        assert_eq!(free(&rooms), 1);
    }

    #[test]
    fn a_panic_within_costs_no_room() {
        struct Panics;
        impl Drop for Panics {
            fn drop(&mut self) {
                panic!("as it must");
            }
        }
        let rooms = Rooms::default();
        let housed = rooms.house(|| async {
            let _panics = Panics;
            pending::<()>().await;
        });
        let mut housed = Box::pin(housed);
        assert!(housed.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        assert!(catch_unwind(AssertUnwindSafe(|| drop(housed))).is_err());
        assert_eq!(free(&rooms), 1);
    }

    #[test]
    fn what_nobody_asks_for_is_given_back_and_no_more_than_so_many_are_kept() {
        let (rooms, held) = (Rooms::default(), Rc::new(()));
        let all = (0..MOST + 10).map(|_| rooms.house(|| holding(held.clone(), [0; 100]))).collect::<Vec<_>>();
        drop(all);
        assert_eq!(free(&rooms), MOST);
        // All were asked for since the last look.
        rooms.thin_out();
        assert_eq!(free(&rooms), MOST);
        drop((rooms.house(|| holding(held.clone(), [0; 100])), rooms.house(|| holding(held.clone(), [0; 100]))));
        rooms.thin_out();
        assert_eq!(free(&rooms), 2);
        rooms.thin_out();
        assert_eq!(free(&rooms), 0);
        assert_eq!(Rc::strong_count(&held), 1);
    }
}
