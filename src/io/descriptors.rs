//! How many descriptors the process may open: as many as the system lets it, not as many as a login shell's default.

#![expect(unsafe_code, reason = "resource limits have no safe face in std")]

/// Raises the limit as far as the process may, and gives what it is then; nothing if the system does not say.
#[must_use]
pub fn raise() -> Option<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the struct is ours and outlives the call.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return None;
    }
    let wanted = libc::rlimit { rlim_cur: limit.rlim_max, ..limit };
    // SAFETY: the struct is ours and outlives the call.
    let raised = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const wanted) } == 0;
    Some(if raised { wanted.rlim_cur } else { limit.rlim_cur })
}
