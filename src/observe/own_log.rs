//! The program's own log: what it says of itself, on standard error. Whoever speaks leaves a line in a room of bounded size
//! and goes on; one thread carries lines out, and it alone waits if nobody takes them. A line that finds no room is dropped
//! and counted, and once there is room again it is said how many were. The module refuses to know what lines say.

#![expect(
    clippy::disallowed_types,
    reason = "locked to add a line to a buffer, which is rare, and to take the buffer away; never while a line is written"
)]

use std::backtrace::Backtrace;
use std::backtrace::BacktraceStatus;
use std::fs::File;
use std::io;
use std::io::Write;
use std::os::fd::AsFd;
use std::panic::PanicHookInfo;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::thread;
use std::time::Duration;

/// Bytes of lines that may wait.
const ROOM: usize = 256 * 1024;
/// Longest time that the last lines may take at the end.
const CLOSE: Duration = Duration::from_secs(1);
/// Longest time that one who panics waits for its line, since it may be the process's last.
const PANIC: Duration = Duration::from_millis(200);
/// Pause before a place that is non-blocking and full is tried again.
const RETRY: Duration = Duration::from_millis(10);

/// Where lines are left. Copies lead to the same place.
#[derive(Clone, Debug)]
pub struct OwnLog(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// Something waits, or nothing does any more.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    lines: Vec<u8>,
    dropped: u64,
    /// The thread is carrying some out.
    busy: bool,
}

impl OwnLog {
    /// Starts the thread that writes to this process's standard error.
    ///
    /// # Errors
    /// When the stream is closed, or there is no thread to be had.
    pub fn start() -> io::Result<Self> {
        // Past the lock of the standard library, which others may want while this one waits.
        let to: File = io::stderr().as_fd().try_clone_to_owned()?.into();
        Self::start_at(to)
    }

    fn start_at(to: impl Write + Send + 'static) -> io::Result<Self> {
        let log = Self(Arc::default());
        let own = log.clone();
        // It ends with the process.
        drop(thread::Builder::new().name("own-log".into()).spawn(move || own.carry(to))?);
        Ok(log)
    }

    /// Leaves a line, its newline included. Waits for nobody.
    pub fn say(&self, line: &[u8]) {
        let mut state = self.0.lock();
        // One that is larger than the room has it for itself.
        if !state.lines.is_empty() && state.lines.len() + line.len() > ROOM {
            state.dropped += 1;
            return;
        }
        state.lines.extend_from_slice(line);
        drop(state);
        self.0.changed.notify_all();
    }

    /// Waits until every line has been carried out, at most for a second.
    pub fn flush(&self) {
        self.wait(CLOSE);
    }

    /// Says where something panicked, in the place of the standard library, which would wait for whoever reads.
    pub fn panicked(&self, info: &PanicHookInfo<'_>) {
        let current = thread::current();
        let mut text = format!("thread '{}' {info}\n", current.name().unwrap_or("<unnamed>"));
        let trace = Backtrace::capture();
        if trace.status() == BacktraceStatus::Captured {
            text.push_str(&format!("{trace}\n"));
        }
        // Behind others it would wait for a reader that may be stuck, and whoever panics may be a core.
        let first = !self.0.lock().waits();
        self.say(text.as_bytes());
        if first {
            self.wait(PANIC);
        }
    }

    fn wait(&self, patience: Duration) {
        drop(self.0.changed.wait_timeout_while(self.0.lock(), patience, |state| state.waits()));
    }

    /// Carries lines out for as long as the process lives.
    fn carry(&self, mut to: impl Write) {
        let mut lines = Vec::new();
        loop {
            let waiting = self.0.changed.wait_while(self.0.lock(), |state| state.lines.is_empty());
            let mut state = waiting.unwrap_or_else(PoisonError::into_inner);
            std::mem::swap(&mut state.lines, &mut lines);
            let dropped = std::mem::take(&mut state.dropped);
            state.busy = true;
            drop(state);
            write(&mut to, &lines);
            lines.clear();
            if dropped > 0 {
                tracing::warn!(dropped, "nobody took what this log had to say: lines are missing here");
            }
            self.0.lock().busy = false;
            self.0.changed.notify_all();
        }
    }
}

impl State {
    /// Whether something has not been carried out yet.
    fn waits(&self) -> bool {
        self.busy || !self.lines.is_empty()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that is done under the lock leaves it half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes all. Whoever read it may be gone, and there is nobody else to tell.
fn write(to: &mut impl Write, mut lines: &[u8]) {
    while !lines.is_empty() {
        match to.write(lines) {
            Ok(0) => return,
            Ok(n) => lines = lines.get(n..).unwrap_or_default(),
            Err(fault) if fault.kind() == io::ErrorKind::Interrupted => {}
            Err(fault) if fault.kind() == io::ErrorKind::WouldBlock => thread::park_timeout(RETRY),
            Err(_) => return,
        }
    }
}

impl Write for OwnLog {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.say(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn who_speaks_waits_for_nobody_and_what_finds_no_room_is_counted() {
        let (mut reader, ours) = io::pipe().unwrap();
        let log = OwnLog::start_at(ours).unwrap();
        let line = [b'x'; 1023].iter().chain(b"\n").copied().collect::<Vec<_>>();
        const LINES: usize = 1_000;
        // More than a pipe has place for, and taken all at once: with these the thread waits for a reader.
        log.say(&line.repeat(100));
        while !log.0.lock().lines.is_empty() {
            thread::yield_now();
        }
        (100..LINES).for_each(|_| log.say(&line));
        let dropped = log.0.lock().dropped;
        assert!(dropped > 0, "a pipe and a room have no place for all of that");
        assert!(log.0.lock().lines.len() <= ROOM);
        let mut kept = vec![0; (LINES - usize::try_from(dropped).unwrap()) * line.len()];
        reader.read_exact(&mut kept).unwrap();
        assert!(kept.chunks(line.len()).all(|one| one == line), "a line is torn");
        log.say(b"again\n");
        let mut rest = [0; 6];
        reader.read_exact(&mut rest).unwrap();
        assert_eq!(&rest, b"again\n");
    }

    #[test]
    fn lines_go_out_in_their_order_and_a_reader_that_is_gone_hurts_nobody() {
        let (mut reader, ours) = io::pipe().unwrap();
        let log = OwnLog::start_at(ours).unwrap();
        (0..100).for_each(|n| log.say(format!("{n}\n").as_bytes()));
        log.flush();
        let mut bytes = [0; 290];
        reader.read_exact(&mut bytes).unwrap();
        assert_eq!(bytes.to_vec(), (0..100).flat_map(|n| format!("{n}\n").into_bytes()).collect::<Vec<_>>());
        drop(reader);
        log.say(b"nobody\n");
        log.flush();
        assert!(!log.0.lock().waits());
    }

    #[test]
    fn a_line_larger_than_the_room_is_said_all_the_same() {
        let (mut reader, ours) = io::pipe().unwrap();
        let log = OwnLog::start_at(ours).unwrap();
        let long = vec![b'x'; 2 * ROOM];
        log.say(&long);
        let mut told = vec![0; long.len()];
        reader.read_exact(&mut told).unwrap();
        assert!(told == long);
    }

    #[test]
    fn a_panic_is_told_with_its_place_and_its_words() {
        let (mut reader, ours) = io::pipe().unwrap();
        let log = OwnLog::start_at(ours).unwrap();
        // The hook is the process's: other tests keep theirs.
        let (before, told) = (std::panic::take_hook(), log.clone());
        std::panic::set_hook(Box::new(move |info| match thread::current().name() {
            Some("own-log-test") => told.panicked(info),
            _ => before(info),
        }));
        let thread = thread::Builder::new().name("own-log-test".into()).spawn(|| panic!("on purpose")).unwrap();
        assert!(thread.join().is_err());
        let mut text = [0; 4096];
        let n = reader.read(&mut text).unwrap();
        let text = String::from_utf8_lossy(&text[..n]);
        assert!(text.starts_with("thread 'own-log-test' panicked at src/observe/own_log.rs:"), "{text}");
        assert!(text.contains(":\non purpose\n"), "{text}");
    }
}
