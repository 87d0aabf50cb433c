//! How much the process uses of what it may have: memory and descriptors, in thousandths. What cannot be read is absent,
//! and never an alarm. It refuses to know what is too much.
//!
//! Files stay open between two looks: when the process is out of descriptors, the looks must not end.

#![expect(clippy::disallowed_methods, reason = "files of /proc and /sys are answered from memory, off the cores")]

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use crate::admin::process;

/// What reads it.
#[derive(Debug)]
pub(super) struct Meter {
    /// Every level of control groups that may bound the process.
    groups: Vec<Group>,
    /// What the process holds.
    status: Option<File>,
    /// Bytes of memory of the machine.
    machine: Option<u64>,
    /// Descriptors that the process may open.
    descriptors: Option<u64>,
    /// When descriptors were last counted one by one, and how many there were.
    counted: Option<(Instant, u64)>,
}

/// One level of a control group's memory.
#[derive(Debug)]
struct Group {
    used: File,
    bound: File,
    stat: Option<File>,
    /// The row of `stat` that says how much of what is used can be had back at once.
    inactive: &'static str,
}

/// Where descriptors have to be counted one by one, it is done this often.
const COUNTING: Duration = Duration::from_secs(1);
/// Levels of control groups that are looked at.
const LEVELS: usize = 16;
/// Bytes of a file that are looked at.
const FILE_BYTES: usize = 16 * 1024;

impl Meter {
    /// Finds out what there is to read.
    pub(super) fn new() -> Self {
        let machine = File::open("/proc/meminfo").ok().and_then(|file| kib(&text(&file)?, "MemTotal:"));
        let own = File::open("/proc/self/cgroup").ok().and_then(|file| text(&file)).unwrap_or_default();
        let limits = File::open("/proc/self/limits").ok().and_then(|file| text(&file)).unwrap_or_default();
        Self {
            groups: groups(&own, Path::new("/sys/fs/cgroup")),
            status: File::open("/proc/self/status").ok(),
            machine,
            descriptors: open_files(&limits),
            counted: None,
        }
    }

    /// What is not watched, and why; for people.
    pub(super) fn remarks(&self) -> impl Iterator<Item = &'static str> {
        let memory = self.machine.is_none().then_some("memory is not watched: /proc/meminfo cannot be read");
        let descriptors = self.descriptors.is_none();
        let descriptors =
            descriptors.then_some("descriptors are not watched: /proc/self/limits gives no bound of them");
        memory.into_iter().chain(descriptors)
    }

    /// Of the memory that the process may have. Where a control group bounds it, all that the group holds counts, less the
    /// files that it has not looked at of late; else what the process holds, of what the machine has. What the process holds
    /// counts besides where the operator says of how much.
    pub(super) fn memory(&self, of: Option<u64>) -> Option<u64> {
        let machine = self.machine?;
        let bounded = self.groups.iter().filter_map(|group| group.share(machine)).max();
        let held = |of| thousandths(kib(&text(self.status.as_ref()?)?, "VmRSS:")?, of);
        of.and_then(held).max(bounded).or_else(|| held(machine))
    }

    /// Of the descriptors that it may open.
    pub(super) fn descriptors(&mut self, now: Instant) -> Option<u64> {
        let open = process::descriptors_at_a_glance().or_else(|| {
            let recent = self.counted.filter(|(at, _)| now.saturating_duration_since(*at) < COUNTING);
            if recent.is_none() {
                self.counted = process::open_descriptors().map(|open| (now, open));
            }
            self.counted.map(|(_, open)| open)
        });
        thousandths(open?, self.descriptors?)
    }
}

impl Group {
    /// A level, if it has the files that are wanted.
    fn open(folder: &Path, [used, bound, inactive]: [&'static str; 3]) -> Option<Self> {
        let open = |name: &str| File::open(folder.join(name)).ok();
        Some(Self { used: open(used)?, bound: open(bound)?, stat: open("memory.stat"), inactive })
    }

    /// What is used of it; nothing where it has no bound below what the machine has.
    fn share(&self, machine: u64) -> Option<u64> {
        let bound = text(&self.bound)?.trim().parse().ok().filter(|bound| *bound < machine)?;
        let used: u64 = text(&self.used)?.trim().parse().ok()?;
        let stat = self.stat.as_ref().and_then(text).unwrap_or_default();
        thousandths(used.saturating_sub(row(&stat, self.inactive).unwrap_or(0)), bound)
    }
}

/// Every level of the process's memory groups below `root`, which may stand at the top of the groups or, in a container,
/// at the process's own.
fn groups(own: &str, root: &Path) -> Vec<Group> {
    const NEW: [&str; 3] = ["memory.current", "memory.max", "inactive_file"];
    const OLD: [&str; 3] = ["memory.usage_in_bytes", "memory.limit_in_bytes", "total_inactive_file"];
    let mut groups = Vec::new();
    for line in own.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(kinds), Some(path)) = (parts.next(), parts.next()) else { continue };
        let (root, names) = match kinds {
            "" => (root.to_path_buf(), NEW),
            _ if kinds.split(',').any(|kind| kind == "memory") => (root.join("memory"), OLD),
            _ => continue,
        };
        let path = PathBuf::from(path.trim_start_matches('/'));
        // The last of the ancestors is empty: the root itself.
        let folders = path.ancestors().take(LEVELS).map(|level| root.join(level));
        groups.extend(folders.filter_map(|folder| Group::open(&folder, names)));
    }
    groups
}

/// The soft limit in /proc/self/limits; none where there is none.
fn open_files(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The bytes in a row of `/proc` that gives KiB.
fn kib(text: &str, name: &str) -> Option<u64> {
    row(text, name)?.checked_mul(1024)
}

/// The number behind a name at the head of a row.
fn row(text: &str, name: &str) -> Option<u64> {
    let words = text.lines().map(str::split_whitespace);
    words.filter_map(|mut words| (words.next()? == name).then(|| words.next())?).find_map(|word| word.parse().ok())
}

fn thousandths(used: u64, bound: u64) -> Option<u64> {
    (bound > 0).then(|| u64::try_from(u128::from(used) * 1000 / u128::from(bound)).unwrap_or(u64::MAX))
}

/// A file of the kernel's from its beginning, as it is now.
fn text(file: &File) -> Option<String> {
    let (mut bytes, mut len) = (vec![0; FILE_BYTES], 0);
    while let Some(room) = bytes.get_mut(len..).filter(|room| !room.is_empty()) {
        match file.read_at(room, len as u64).ok()? {
            0 => break,
            n => len += n,
        }
    }
    bytes.truncate(len);
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    /// A folder of control groups that the test writes.
    struct Tree(PathBuf);

    impl Tree {
        fn new(name: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("ringway-groups-{}-{name}", std::process::id()));
            std::fs::create_dir_all(&folder).unwrap();
            Self(folder)
        }

        fn write(&self, group: &str, files: &[(&str, &str)]) {
            let folder = self.0.join(group);
            std::fs::create_dir_all(&folder).unwrap();
            files.iter().for_each(|(name, text)| std::fs::write(folder.join(name), text).unwrap());
        }

        fn meter(&self, own: &str) -> Meter {
            let groups = groups(own, &self.0);
            Meter { groups, status: None, machine: Some(1000 * MIB), descriptors: None, counted: None }
        }
    }

    impl Drop for Tree {
        fn drop(&mut self) {
            drop(std::fs::remove_dir_all(&self.0));
        }
    }

    #[test]
    fn the_tightest_level_counts_without_the_files_it_can_give_back() {
        let tree = Tree::new("new");
        let mib = |mib: u64| (mib * MIB).to_string();
        let files = |used: u64, max: &str, inactive: u64| {
            let stat = format!("anon 1\nfile 2\ninactive_file {}\n", inactive * MIB);
            [("memory.current", mib(used)), ("memory.max", max.to_owned()), ("memory.stat", stat)]
        };
        let put = |group: &str, files: [(&str, String); 3]| {
            tree.write(group, &files.each_ref().map(|(name, text)| (*name, text.as_str())));
        };
        put("a/b", files(90, "max", 0));
        put("a", files(100, &mib(200), 40));
        let meter = tree.meter("0::/a/b\n");
        assert_eq!(meter.memory(None), Some(300));
        put("a/b", files(90, &format!("{}\n", mib(100)), 0));
        assert_eq!(meter.memory(None), Some(900), "files stay open, and are read anew");
        put("a/b", files(90, &mib(5000), 0));
        assert_eq!(meter.memory(None), Some(300), "more than the machine has is no bound");
        // As in a container, where what is mounted is the process's own group.
        assert_eq!(tree.meter("0::/\n").memory(None), None);
        put("", files(150, &mib(300), 0));
        assert_eq!(tree.meter("0::/\n").memory(None), Some(500));
        assert_eq!(tree.meter("0::/not/there\n").memory(None), Some(500));
    }

    #[test]
    fn the_older_groups_are_read_too() {
        let tree = Tree::new("old");
        let (used, bound) = ((80 * MIB).to_string(), (100 * MIB).to_string());
        let stat = format!("inactive_file 1\ntotal_inactive_file {}\n", 30 * MIB);
        tree.write(
            "memory/docker/x",
            &[("memory.usage_in_bytes", &used), ("memory.limit_in_bytes", &bound), ("memory.stat", &stat)],
        );
        tree.write(
            "memory",
            &[("memory.usage_in_bytes", "999999999"), ("memory.limit_in_bytes", "9223372036854771712")],
        );
        let own = "5:cpu,cpuacct:/x\n4:cpu,memory:/docker/x\n1:name=systemd:/y\n";
        assert_eq!(tree.meter(own).memory(None), Some(500));
        assert_eq!(tree.meter("4:memory:/\n").memory(None), None);
    }

    #[test]
    fn what_is_broken_or_missing_is_no_alarm() {
        let tree = Tree::new("broken");
        tree.write("a", &[("memory.current", "many"), ("memory.max", "100")]);
        tree.write("b", &[("memory.current", "100")]);
        tree.write("c", &[("memory.current", "100"), ("memory.max", "")]);
        tree.write("d", &[("memory.current", "100"), ("memory.max", "0")]);
        for own in ["0::/a", "0::/b", "0::/c", "0::/d", "", "x", "0:", "::::"] {
            assert_eq!(tree.meter(own).memory(None), None, "{own}");
        }
        let blind = Meter { machine: None, ..tree.meter("") };
        assert_eq!((blind.memory(None), blind.remarks().count()), (None, 2));
    }

    #[test]
    fn bounds_of_descriptors_are_read() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units\n\
                      Max processes             7                    8                    processes\n\
                      Max open files            1024                 524288               files\n";
        assert_eq!(open_files(limits), Some(1024));
        assert_eq!(open_files("Max open files            unlimited            unlimited            files\n"), None);
        assert_eq!(open_files(""), None);
    }

    #[test]
    fn this_process_is_measured() {
        let mut meter = Meter::new();
        assert_eq!(meter.remarks().count(), 0);
        assert!(meter.memory(None).is_some_and(|share| share < 1000));
        assert!(meter.memory(Some(1 << 20)).is_some_and(|share| share > 1000), "a MiB is less than this takes");
        let before = meter.descriptors(Instant::now()).unwrap();
        assert!(before < 1000);
    }
}
