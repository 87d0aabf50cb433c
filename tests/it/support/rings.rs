//! A kernel that gives no io_uring, or less of it than it has: what the seccomp profile of a container says to
//! `io_uring_setup`, and what an older kernel says to flags that it does not know.
//!
//! A filter holds for the thread that installs it and for what that thread starts. A thread of its own installs one, starts
//! the gateway and ends; the test itself goes on without. What no filter can see, since it lies behind a pointer, is
//! answered by another thread, which is asked by the kernel.

#![expect(unsafe_code, reason = "seccomp has no safe face")]

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::fd::FromRawFd;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::sync::mpsc;
use std::thread;

/// How `io_uring_setup` is answered.
#[derive(Clone, Copy, Debug)]
pub enum Rings {
    /// With this error, always.
    Refused(i32),
    /// With ENOMEM to rings of more entries than that.
    UpTo(u32),
    /// With EINVAL to any of these flags.
    Without(u32),
}

/// Flags of a ring, and since when the kernel knows them: 6.1, 6.0, 5.19, 5.18.
pub const DEFER_TASKRUN: u32 = 1 << 13;
pub const SINGLE_ISSUER: u32 = 1 << 12;
pub const COOP_TASKRUN: u32 = 1 << 8;
pub const SUBMIT_ALL: u32 = 1 << 7;

/// Does something on a thread that meets such a kernel; whatever it starts meets it too.
pub fn under<T: Send>(rings: Rings, act: impl FnOnce() -> T + Send) -> T {
    let (give, take) = mpsc::channel();
    let asked = !matches!(rings, Rings::Refused(_));
    if asked {
        // It ends when the last process under the filter has.
        thread::spawn(move || take.into_iter().for_each(|listener| answer(&listener, rings)));
    }
    thread::scope(|scope| {
        let acting = scope.spawn(move || {
            let action = match rings {
                Rings::Refused(error) => libc::SECCOMP_RET_ERRNO | error.unsigned_abs(),
                Rings::UpTo(_) | Rings::Without(_) => libc::SECCOMP_RET_USER_NOTIF,
            };
            let listener = install(action, asked).expect("this kernel has seccomp");
            listener.into_iter().for_each(|listener| give.send(listener).unwrap());
            act()
        });
        acting.join().unwrap()
    })
}

/// Puts this thread under a filter that does so for `io_uring_setup`, and gives the descriptor at which one is asked.
fn install(action: u32, asked: bool) -> io::Result<Option<OwnedFd>> {
    let allow = libc::SECCOMP_RET_ALLOW;
    let call = u32::try_from(libc::SYS_io_uring_setup).unwrap();
    let [load, jump, give] = [
        libc::BPF_LD | libc::BPF_W | libc::BPF_ABS,
        libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K,
        libc::BPF_RET | libc::BPF_K,
    ];
    let line = |code: u32, k, jf| libc::sock_filter { code: u16::try_from(code).unwrap(), jt: 0, jf, k };
    // The number of the call is the first word of what a filter sees.
    let mut lines = [line(load, 0, 0), line(jump, call, 1), line(give, action, 0), line(give, allow, 0)];
    let program = libc::sock_fprog { len: 4, filter: lines.as_mut_ptr() };
    // SAFETY: no memory is passed.
    if unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let flags = if asked { libc::SECCOMP_FILTER_FLAG_NEW_LISTENER } else { 0 };
    // SAFETY: the program and its lines outlive the call, which copies them.
    let done = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program) };
    match i32::try_from(done).unwrap() {
        -1 => Err(io::Error::last_os_error()),
        // SAFETY: a descriptor that was made for us.
        listener if asked => Ok(Some(unsafe { OwnedFd::from_raw_fd(listener) })),
        _ => Ok(None),
    }
}

/// `_IOWR('!', 0, struct seccomp_notif)` and `_IOWR('!', 1, struct seccomp_notif_resp)`.
const RECEIVE: u64 = 0xc050_2100;
const SEND: u64 = 0xc018_2101;

/// Answers every call until nobody is left who could make one.
fn answer(listener: &OwnedFd, rings: Rings) {
    loop {
        let mut wait = libc::pollfd { fd: listener.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one entry, which outlives the call.
        unsafe { libc::poll(&raw mut wait, 1, -1) };
        if wait.revents & libc::POLLHUP != 0 {
            return;
        }
        // SAFETY: plain numbers, and the kernel wants them to be zero.
        let mut call: libc::seccomp_notif = unsafe { std::mem::zeroed() };
        // SAFETY: the struct is of the size that the number of the call says, and outlives it.
        if unsafe { libc::ioctl(listener.as_raw_fd(), RECEIVE, &raw mut call) } != 0 {
            continue; // whoever asked is gone
        }
        let error = match rings {
            Rings::Refused(error) => error,
            Rings::UpTo(most) if call.data.args[0] > u64::from(most) => libc::ENOMEM,
            Rings::Without(flags) if flags_of(call.pid, call.data.args[1]) & flags != 0 => libc::EINVAL,
            Rings::UpTo(_) | Rings::Without(_) => 0,
        };
        let go_on = u32::try_from(libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE).unwrap();
        let flags = if error == 0 { go_on } else { 0 };
        let mut said = libc::seccomp_notif_resp { id: call.id, val: 0, error: -error, flags };
        // SAFETY: as above. It fails where whoever asked is gone.
        unsafe { libc::ioctl(listener.as_raw_fd(), SEND, &raw mut said) };
    }
}

/// The third word of the parameters that a thread passes.
fn flags_of(thread: u32, parameters: u64) -> u32 {
    let mut word = [0; 4];
    let memory = File::open(format!("/proc/{thread}/mem")).unwrap();
    memory.read_exact_at(&mut word, parameters + 8).unwrap();
    u32::from_ne_bytes(word)
}
