//! Futures beside each other on one task, without a task or an allocation for any. It refuses to know what they do.

use std::cell::Cell;
use std::future::Future;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

/// Runs both to their ends.
pub async fn both<A: Future, B: Future>(a: A, b: B) -> (A::Output, B::Output) {
    let (mut a, mut b) = (pin!(a), pin!(b));
    let (mut left, mut right) = (None, None);
    poll_fn(move |cx| {
        if left.is_none()
            && let Poll::Ready(value) = a.as_mut().poll(cx)
        {
            left = Some(value);
        }
        if right.is_none()
            && let Poll::Ready(value) = b.as_mut().poll(cx)
        {
            right = Some(value);
        }
        match (left.take(), right.take()) {
            (Some(left), Some(right)) => Poll::Ready((left, right)),
            (l, r) => {
                left = l;
                right = r;
                Poll::Pending
            }
        }
    })
    .await
}

/// Runs `main` to its end with `side` beside it. What `side` gives is shown to `stop`: if that says so, `main` is dropped
/// where it stands. When `main` ends first, `side` is dropped where it stands.
pub async fn beside<A: Future, B: Future>(
    main: A,
    side: B,
    stop: impl Fn(&B::Output) -> bool,
) -> (Option<A::Output>, Option<B::Output>) {
    let (mut main, mut side) = (pin!(main), pin!(side));
    let mut done = None;
    poll_fn(move |cx| {
        if done.is_none()
            && let Poll::Ready(value) = side.as_mut().poll(cx)
        {
            if stop(&value) {
                return Poll::Ready((None, Some(value)));
            }
            done = Some(value);
        }
        match main.as_mut().poll(cx) {
            Poll::Ready(value) => Poll::Ready((Some(value), done.take())),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// The future's value, or nothing once the flag is set: then the future is dropped where it stands. Whoever sets the flag
/// does so on the same task, whose next turn sees it. Only where what the future would have brought is wanted no more.
pub async fn unless<F: Future>(over: &Cell<bool>, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(value) => Poll::Ready(Some(value)),
        Poll::Pending if over.get() => Poll::Ready(None),
        Poll::Pending => Poll::Pending,
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::future::ready;
    use std::task::Context;
    use std::task::Waker;

    use super::*;

    fn now<F: Future>(future: F) -> Option<F::Output> {
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => Some(value),
            Poll::Pending => None,
        }
    }

    #[test]
    fn both_waits_for_the_slower() {
        assert_eq!(now(both(ready(1), ready(2))), Some((1, 2)));
        assert_eq!(now(both(ready(1), pending::<u8>())), None);
    }

    #[test]
    fn a_flag_ends_what_would_wait() {
        assert_eq!(now(unless(&Cell::new(true), ready(1))), Some(Some(1)));
        assert_eq!(now(unless(&Cell::new(true), pending::<u8>())), Some(None));
        assert_eq!(now(unless(&Cell::new(false), pending::<u8>())), None);
    }

    #[test]
    fn the_side_may_stop_the_main_one_or_be_left_behind() {
        assert_eq!(now(beside(ready(1), pending::<u8>(), |_| true)), Some((Some(1), None)));
        assert_eq!(now(beside(pending::<u8>(), ready(2), |_| true)), Some((None, Some(2))));
        assert_eq!(now(beside(pending::<u8>(), ready(2), |_| false)), None);
        assert_eq!(now(beside(ready(1), ready(2), |_| false)), Some((Some(1), Some(2))));
    }
}
