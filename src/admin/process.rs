//! What the kernel says of this process. It refuses to guess: what cannot be read is absent.

#![expect(clippy::disallowed_methods, reason = "files of /proc are answered from memory, off the cores")]

/// Bytes of memory in RAM.
#[must_use]
pub fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    // proc(5): the unit is always kB, by which it means KiB.
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// Descriptors open.
#[must_use]
pub fn open_descriptors() -> Option<u64> {
    descriptors_at_a_glance().or_else(|| {
        let entries = std::fs::read_dir("/proc/self/fd").ok()?.count();
        // Reading the folder took a descriptor of its own.
        u64::try_from(entries.saturating_sub(1)).ok()
    })
}

/// Descriptors open, where the kernel keeps their number: since Linux 6.2 it is the folder's size. Counting entry by entry
/// is slow with many connections.
#[must_use]
pub fn descriptors_at_a_glance() -> Option<u64> {
    Some(std::fs::metadata("/proc/self/fd").ok()?.len()).filter(|open| *open > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_is_somewhere_and_holds_what_it_opens() {
        assert!(resident_bytes().unwrap() > 64 * 1024);
        let before = open_descriptors().unwrap();
        let held: Vec<_> = (0..500).map(|_| std::fs::File::open("/dev/null").unwrap()).collect();
        // Other tests open and close descriptors meanwhile, but not hundreds.
        assert!(open_descriptors().unwrap() > before + 250);
        drop(held);
    }
}
