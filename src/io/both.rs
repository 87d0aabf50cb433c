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

/// As [`beside`] without a word of `side`'s on `main`, but once `main` has ended, `side` goes on as long as `busy` says so:
/// it is in the middle of what must not be dropped. What `side` gives before is shown to `stop`, as there.
pub async fn beside_until<A: Future, B: Future>(
    main: A,
    side: B,
    stop: impl Fn(&B::Output) -> bool,
    busy: impl Fn() -> bool,
) -> (Option<A::Output>, Option<B::Output>) {
    let (mut main, mut side) = (pin!(main), pin!(side));
    let (mut first, mut done) = (None, None);
    poll_fn(move |cx| {
        if done.is_none()
            && let Poll::Ready(value) = side.as_mut().poll(cx)
        {
            if first.is_none() && stop(&value) {
                return Poll::Ready((None, Some(value)));
            }
            done = Some(value);
        }
        if first.is_none()
            && let Poll::Ready(value) = main.as_mut().poll(cx)
        {
            first = Some(value);
        }
        if first.is_some() && (done.is_some() || !busy()) {
            return Poll::Ready((first.take(), done.take()));
        }
        Poll::Pending
    })
    .await
}

/// The value of whichever brings one first; the other is dropped where it stands. An error of one is kept until the other
/// has ended too, but `second` is not waited for before it has `begun`.
pub async fn either<T, E>(
    first: impl Future<Output = Result<T, E>>,
    second: impl Future<Output = Result<T, E>>,
    begun: &Cell<bool>,
) -> Result<T, E> {
    let (mut first, mut second) = (pin!(first), pin!(second));
    let (mut failed, mut lost) = (None, false);
    poll_fn(move |cx| {
        if failed.is_none()
            && let Poll::Ready(result) = first.as_mut().poll(cx)
        {
            match result {
                Err(error) if begun.get() && !lost => failed = Some(error),
                result => return Poll::Ready(result),
            }
        }
        if !lost && let Poll::Ready(result) = second.as_mut().poll(cx) {
            match result {
                Err(_) if failed.is_none() => lost = true,
                result => return Poll::Ready(result),
            }
        }
        Poll::Pending
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
    fn what_is_busy_goes_on_when_the_main_one_has_ended() {
        let free = Cell::new(false);
        let mut pair = pin!(beside_until(ready(1), pending::<u8>(), |_| true, || !free.get()));
        let mut poll = || pair.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert_eq!(poll(), Poll::Pending);
        free.set(true);
        assert_eq!(poll(), Poll::Ready((Some(1), None)));
        assert_eq!(now(beside_until(ready(1), ready(2), |_| true, || false)), Some((None, Some(2))));
        assert_eq!(now(beside_until(ready(1), ready(2), |_| false, || true)), Some((Some(1), Some(2))));
        assert_eq!(now(beside_until(pending::<u8>(), ready(2), |_| false, || true)), None);
    }

    #[test]
    fn the_first_value_wins_and_an_error_waits_for_the_other_if_that_has_begun() {
        type Outcome = Result<u8, u8>;
        let never = pending::<Outcome>;
        for (begun, values) in [
            (true, [Some(Ok(1)), Some(Ok(2)), None, Some(Err(4)), Some(Ok(2))]),
            (false, [Some(Ok(1)), Some(Ok(2)), Some(Err(3)), Some(Err(3)), Some(Err(3))]),
        ] {
            let begun = Cell::new(begun);
            assert_eq!(now(either(ready(Ok(1)), never(), &begun)), values[0]);
            assert_eq!(now(either(never(), ready::<Outcome>(Ok(2)), &begun)), values[1]);
            assert_eq!(now(either(ready(Err(3)), never(), &begun)), values[2]);
            assert_eq!(now(either(ready(Err(3)), ready::<Outcome>(Err(4)), &begun)), values[3]);
            assert_eq!(now(either(ready(Err(3)), ready::<Outcome>(Ok(2)), &begun)), values[4]);
            assert_eq!(now(either(never(), ready::<Outcome>(Err(4)), &begun)), None);
        }
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
