//! Builds a core's event loop, the best that the kernel allows, and runs it.
//!
//! The chain: io_uring with DEFER_TASKRUN, with COOP_TASKRUN, plain, with a small ring; then epoll. Containers and
//! hardened kernels refuse io_uring, old kernels refuse flags, and low memory limits refuse large rings; each refusal is
//! kept, so that an operator can read why a core runs on what it does.

use std::any::Any;
use std::future::Future;
use std::io;
use std::mem::ManuallyDrop;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::rc::Rc;

use monoio::IoUringDriver;
use monoio::LegacyDriver;
use monoio::Runtime;
use monoio::RuntimeBuilder;
use monoio::time::TimeDriver;

use crate::io::deadline::Wheel;

/// Which loops may be tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Any, the best first.
    Auto,
    /// io_uring alone.
    IoUring,
    /// epoll alone.
    Epoll,
}

/// What to build.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Which loops may be tried.
    pub wanted: Wanted,
    /// Submission queue entries.
    pub entries: u32,
    /// Completion queue entries.
    pub completions: u32,
}

/// What was built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Built {
    /// `io_uring` or `epoll`.
    pub io: &'static str,
    /// The ring's flags, in words.
    pub flags: &'static str,
    /// Why nothing better; empty when it is the best.
    pub reason: String,
}

/// How a run ended.
pub enum Ended {
    /// The future was done.
    Done,
    /// Something panicked outside of a guarded task, with this message.
    Died(String),
}

enum Loop {
    Uring(Runtime<TimeDriver<IoUringDriver>>),
    Epoll(Runtime<TimeDriver<LegacyDriver>>),
}

/// Builds a loop on this thread and runs the future that `start` makes of it to its end.
///
/// A panic outside of a guarded task ends the run, not the thread. In the end the sockets on `wheel` are closed, and the
/// loop is leaked on purpose: the kernel may still write into the blocks of operations in flight, which freeing them
/// would turn into corruption.
///
/// # Errors
/// When none of the wanted loops can be built; the message names each refusal.
pub fn run<F: Future<Output = ()>>(plan: Plan, wheel: &Rc<Wheel>, start: impl FnOnce(Built) -> F) -> io::Result<Ended> {
    let (runtime, built) = build(plan)?;
    let mut runtime = ManuallyDrop::new(runtime);
    let future = start(built);
    let result = catch_unwind(AssertUnwindSafe(|| match &mut *runtime {
        Loop::Uring(runtime) => runtime.block_on(future),
        Loop::Epoll(runtime) => runtime.block_on(future),
    }));
    wheel.close_all();
    Ok(result.map_or_else(|payload| Ended::Died(message(payload.as_ref())), |()| Ended::Done))
}

/// The message of a panic.
#[must_use]
pub fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic without words".into())
}

fn build(plan: Plan) -> io::Result<(Loop, Built)> {
    let mut refusals = String::new();
    if plan.wanted != Wanted::Epoll {
        for (flags, builder, entries) in rings(plan) {
            match RuntimeBuilder::<IoUringDriver>::new()
                .with_entries(entries)
                .uring_builder(builder)
                .enable_timer()
                .build()
            {
                Ok(runtime) => {
                    return Ok((Loop::Uring(runtime), Built { io: "io_uring", flags, reason: refusals }));
                }
                Err(error) => refuse(&mut refusals, flags, &error),
            }
        }
    } else {
        refusals.push_str("process.io = \"epoll\"");
    }
    if plan.wanted == Wanted::IoUring {
        return Err(io::Error::other(refusals));
    }
    match RuntimeBuilder::<LegacyDriver>::new().enable_timer().build() {
        Ok(runtime) => Ok((Loop::Epoll(runtime), Built { io: "epoll", flags: "", reason: refusals })),
        Err(error) => {
            refuse(&mut refusals, "epoll", &error);
            Err(io::Error::other(refusals))
        }
    }
}

fn refuse(refusals: &mut String, flags: &str, error: &io::Error) {
    if !refusals.is_empty() {
        refusals.push_str("; ");
    }
    refusals.push_str(flags);
    refusals.push_str(": ");
    refusals.push_str(&error.to_string());
}

/// The rings to try, best first. SUBMIT_ALL (5.18): one bad entry does not hold back the rest of a batch.
fn rings(plan: Plan) -> [(&'static str, io_uring::Builder, u32); 4] {
    let ring = || {
        let mut builder = io_uring::IoUring::builder();
        builder.setup_clamp().setup_cqsize(plan.completions.max(plan.entries));
        builder
    };
    // DEFER_TASKRUN (6.1): completions are run when the loop waits for them, and interrupt nothing: 20 % less CPU at
    // saturation. It starves I/O while a task stays runnable, so no task of ours may yield in a loop.
    let mut defer = ring();
    defer.setup_submit_all().setup_single_issuer().setup_defer_taskrun();
    let mut coop = ring();
    coop.setup_submit_all().setup_single_issuer().setup_coop_taskrun();
    let mut small = io_uring::IoUring::builder();
    small.setup_clamp();
    [
        ("single_issuer defer_taskrun", defer, plan.entries),
        ("single_issuer coop_taskrun", coop, plan.entries),
        ("plain", ring(), plan.entries),
        ("plain, small ring", small, 256),
    ]
}
