//! A bell between threads: an eventfd that one side rings and a core's loop waits for through its ring.

#![expect(unsafe_code, reason = "eventfd, and reads and writes of it, are system calls without a safe face in std")]

use std::io;
use std::os::fd::AsRawFd;
use std::os::fd::FromRawFd;
use std::os::fd::OwnedFd;

/// An eventfd, non-blocking, closed on exec.
#[derive(Debug)]
pub struct Bell(OwnedFd);

impl Bell {
    /// A new bell, not rung.
    ///
    /// # Errors
    /// When the process is out of descriptors.
    pub fn new() -> io::Result<Self> {
        // SAFETY: no pointers are passed; the result is checked before it is owned.
        let fd = unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just given us this descriptor and nobody else holds it.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Rings. Any number of rings before a look count as one.
    pub fn ring(&self) {
        let one = 1_u64.to_ne_bytes();
        // SAFETY: `one` outlives the call and has the eight bytes that an eventfd takes. EAGAIN means that the counter
        // is full, hence rung.
        let _ = unsafe { libc::write(self.0.as_raw_fd(), one.as_ptr().cast(), one.len()) };
    }

    /// Silences the bell.
    pub fn hush(&self) {
        let mut count = [0; 8];
        // SAFETY: `count` outlives the call and has the eight bytes that an eventfd gives. EAGAIN means not rung.
        let _ = unsafe { libc::read(self.0.as_raw_fd(), count.as_mut_ptr().cast(), count.len()) };
    }

    /// A second descriptor of the same bell, to wait on.
    ///
    /// # Errors
    /// When the process is out of descriptors.
    pub fn share(&self) -> io::Result<OwnedFd> {
        self.0.try_clone()
    }
}
