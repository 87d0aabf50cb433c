//! The few system calls that the standard library lacks: epoll with nanosecond timeouts, timers without slack. It
//! refuses to know what is waited for.

#![expect(unsafe_code, reason = "epoll and its kin are system calls without a safe face in std")]

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

/// Readiness of many descriptors, level-triggered.
pub struct Epoll {
    fd: OwnedFd,
}

/// One descriptor's readiness.
#[derive(Clone, Copy)]
pub struct Ready {
    /// The key the descriptor was added with.
    pub key: u64,
    /// Bytes, an end or an error wait to be read.
    pub readable: bool,
    /// There is room to write, or an error waits.
    pub writable: bool,
}

/// What a descriptor is watched for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Interest {
    Read,
    Write,
    Both,
    /// Its end or an error alone.
    Nothing,
}

impl Epoll {
    pub fn new() -> io::Result<Self> {
        // SAFETY: no pointer is passed.
        let fd = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: a new descriptor that nobody else owns.
        Ok(Self { fd: unsafe { OwnedFd::from_raw_fd(fd) } })
    }

    /// Watches `fd` until it is closed.
    pub fn add(&self, fd: RawFd, key: u64, interest: Interest) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, fd, key, interest)
    }

    /// Changes what `fd` is watched for.
    pub fn modify(&self, fd: RawFd, key: u64, interest: Interest) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_MOD, fd, key, interest)
    }

    /// Waits at most `timeout` (absent: without end) and appends what is ready.
    pub fn wait(&self, ready: &mut Vec<Ready>, timeout: Option<Duration>) -> io::Result<()> {
        const BATCH: usize = 512;
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; BATCH];
        let limit = timeout.map(|wait| libc::timespec {
            tv_sec: wait.as_secs().cast_signed(),
            tv_nsec: i64::from(wait.subsec_nanos()),
        });
        let limit = limit.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        // SAFETY: `events` holds BATCH entries and `limit` is null or a timespec; both outlive the call.
        let count = check(unsafe {
            libc::epoll_pwait2(self.fd.as_raw_fd(), events.as_mut_ptr(), BATCH as i32, limit, std::ptr::null())
        });
        let count = match count {
            Err(fault) if fault.kind() == io::ErrorKind::Interrupted => 0,
            other => other?,
        };
        let ends = (libc::EPOLLERR | libc::EPOLLHUP).cast_unsigned();
        ready.extend(events.iter().take(usize::try_from(count).unwrap_or(0)).map(|event| {
            let bits = event.events;
            Ready {
                key: event.u64,
                readable: bits & (libc::EPOLLIN.cast_unsigned() | libc::EPOLLRDHUP.cast_unsigned() | ends) != 0,
                writable: bits & (libc::EPOLLOUT.cast_unsigned() | ends) != 0,
            }
        }));
        Ok(())
    }

    /// Watches `fd` no more.
    pub fn remove(&self, fd: RawFd) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_DEL, fd, 0, Interest::Read)
    }

    fn control(&self, operation: i32, fd: RawFd, key: u64, interest: Interest) -> io::Result<()> {
        let bits = match interest {
            Interest::Nothing => 0,
            Interest::Read => libc::EPOLLIN,
            Interest::Write => libc::EPOLLOUT,
            Interest::Both => libc::EPOLLIN | libc::EPOLLOUT,
        };
        let mut event = libc::epoll_event { events: bits.cast_unsigned(), u64: key };
        // SAFETY: `event` outlives the call.
        check(unsafe { libc::epoll_ctl(self.fd.as_raw_fd(), operation, fd, &raw mut event) }).map(drop)
    }
}

/// Wakes this thread from a timed wait at its time instead of up to 50 µs later, the kernel's habit.
pub fn without_timer_slack() {
    // SAFETY: no pointer is passed; a refusal leaves the slack as it was.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1_u64, 0, 0, 0) };
}

fn check(result: i32) -> io::Result<i32> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
