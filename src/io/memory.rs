//! How the kernel hands memory to the process. It refuses to know what the memory is for.

#![expect(unsafe_code, reason = "prctl and the allocator's own calls have no safe face")]

/// Asks for memory in small pages only, before anybody asks for memory: the allocator takes its first blocks before `main`, by
/// huge pages (2 MiB) where it may, and they would stay, 6 MiB at a start. Nor does a huge page go back as long as anything on
/// it is in use: a burst of connections would keep its memory as long as one of them stays. Refused only by kernels that have no
/// huge pages to give.
#[used]
#[unsafe(link_section = ".init_array.00100")]
static SMALL_PAGES: extern "C" fn() = {
    extern "C" fn ask() {
        // SAFETY: no memory is passed.
        let _ = unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, 1, 0, 0, 0) };
    }
    ask
};

/// Asks that the memory of the process be written nowhere when it dies; says whether that was granted. The soft limit alone is
/// lowered, so that an operator can raise it again while the process runs. One byte, not none: to a program that takes dumps
/// over a pipe the kernel hands them whatever the limit is, unless it is one (core(5), `do_coredump`).
pub fn no_dumps() -> bool {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the struct is ours and outlives the call.
    if unsafe { libc::getrlimit(libc::RLIMIT_CORE, &raw mut limit) } != 0 {
        return false;
    }
    let wanted = libc::rlimit { rlim_cur: limit.rlim_max.min(1), ..limit };
    // SAFETY: the struct is ours and outlives the call.
    unsafe { libc::setrlimit(libc::RLIMIT_CORE, &raw const wanted) == 0 }
}

/// Gives back what this thread has freed and kept: the allocator itself does so only while it is asked for more, and a
/// burst of connections would keep its memory once they idle. Costs a look at each page of the thread's small blocks.
pub fn give_back() {
    // SAFETY: no memory is passed; what is given back is free.
    unsafe { libmimalloc_sys::mi_collect(false) }
}

#[cfg(test)]
mod tests {
    #[test]
    fn small_pages_were_asked_for_before_the_test_began() {
        // SAFETY: no memory is passed.
        assert_eq!(unsafe { libc::prctl(libc::PR_GET_THP_DISABLE, 0, 0, 0, 0) }, 1);
    }
}
