//! Tasks of a core's loop, each within walls: a panic ends the task, not the core.

use std::future::Future;
use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use crate::io::bell::Bell;
use crate::io::ring;

/// Starts a task. If it panics, everything it owns is dropped and `on_panic` is told the message.
pub fn spawn<F: Future<Output = ()> + 'static>(future: F, on_panic: impl FnOnce(String) + 'static) {
    // Boxed out here: inside, the task would keep room for it a second time.
    let future = Box::pin(future);
    monoio::spawn(async move {
        if let Err(message) = guarded(future).await {
            on_panic(message);
        }
    });
}

/// Starts a task without walls: its panic is the core's death.
pub fn spawn_bare<F: Future<Output = ()> + 'static>(future: F) {
    monoio::spawn(future);
}

async fn guarded<F: Future<Output = ()>>(future: Pin<Box<F>>) -> Result<(), String> {
    let mut future = Some(future);
    let result = poll_fn(|cx| {
        let Some(running) = future.as_mut() else { return Poll::Ready(Ok(())) };
        match catch_unwind(AssertUnwindSafe(|| running.as_mut().poll(cx))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(())) => Poll::Ready(Ok(())),
            Err(payload) => Poll::Ready(Err(ring::message(payload.as_ref()))),
        }
    })
    .await;
    // Dropping what a panic left half done may panic again.
    let dropped = catch_unwind(AssertUnwindSafe(|| drop(future.take())));
    result.and(dropped.map_err(|payload| ring::message(payload.as_ref())))
}

/// Waits.
pub async fn sleep(duration: Duration) {
    monoio::time::sleep(duration).await;
}

/// Waits for a bell, again and again: calls `answer` after each ring until it says that it has heard enough.
///
/// # Errors
/// When the bell cannot be waited for.
pub async fn listen(bell: &Bell, mut answer: impl FnMut() -> bool) -> std::io::Result<()> {
    // Any descriptor can be waited for as a stream; this one is never read as one.
    let stream = monoio::net::UnixStream::from_std(bell.share()?.into())?;
    loop {
        bell.hush();
        if !answer() {
            return Ok(());
        }
        stream.readable(false).await?;
    }
}

/// Bytes of what `make` makes.
#[cfg(test)]
pub(crate) fn size_of_made<A, B, C, D, F>(_: fn(A, B, C, D) -> F) -> usize {
    size_of::<F>()
}
