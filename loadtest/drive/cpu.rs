//! CPU time of other processes, to the nanosecond, as the scheduler counts it. It refuses to know whose they are.

#![expect(clippy::disallowed_methods, reason = "the kernel tells CPU time in files")]

use std::collections::HashMap;
use std::fs;

/// CPU time of each thread of some processes, kernel threads that work for them included, at one moment.
pub struct Cpu {
    threads: HashMap<(u32, String), u64>,
}

impl Cpu {
    pub fn read(pids: &[u32]) -> Self {
        let mut threads = HashMap::new();
        for &pid in pids {
            let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { continue };
            for task in tasks.flatten() {
                let times = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
                let ran = times.split_whitespace().next().and_then(|ns| ns.parse().ok());
                if let Some(ran) = ran {
                    threads.insert((pid, task.file_name().to_string_lossy().into_owned()), ran);
                }
            }
        }
        Self { threads }
    }

    /// Nanoseconds that passed on the CPU since `before`. A thread that ended between the two is not seen.
    pub fn since(&self, before: &Self) -> u64 {
        self.threads.iter().map(|(thread, ran)| ran - before.threads.get(thread).copied().unwrap_or(0).min(*ran)).sum()
    }
}
