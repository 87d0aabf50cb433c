//! The one thread that turns packed records into lines and writes them. It refuses to know who packed them.
//!
//! A fault of writing (a full disk, a reader that went away) costs lines, which are counted, and a warning a minute;
//! it never ends the process.

use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::Write as _;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Acquire;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::Ordering::Release;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::RecvTimeoutError;
use std::sync::mpsc::SyncSender;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::thread::JoinHandle;
use std::thread::Thread;
use std::time::Duration;
use std::time::Instant;

use crate::model::AccessLog;
use crate::model::LogFormat;
use crate::model::LogTarget;
use crate::observe::access_log::Queues;
use crate::observe::access_log::packed;
use crate::observe::line;

/// Bytes of lines that go out with one write, unless fewer wait.
const BATCH_BYTES: usize = 128 * 1024;
/// Longest sleep when there is nothing to write.
const SLEEP: Duration = Duration::from_millis(50);
/// Longest wait for a place that is non-blocking and full.
const STALL: Duration = Duration::from_secs(1);
/// Longest time that what is left may take at the end.
const CLOSE: Duration = Duration::from_secs(2);
/// Shortest time between two warnings.
const WARN: Duration = Duration::from_mins(1);
/// Permissions of a new file.
const MODE: u32 = 0o640;

/// The writer's outer end: for the one who opened the log. Dropped without [`Writer::close`], the thread goes on writing
/// until the process ends.
#[derive(Debug)]
pub struct Writer {
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
    ended: Receiver<()>,
}

/// What others than the owner may do with the writer.
#[derive(Clone, Debug)]
pub struct Remote {
    shared: Arc<Shared>,
    thread: Thread,
}

impl Remote {
    /// Lines that could not be written, and those of cores that died while the writer was behind. What a buffer's
    /// `push` and `flush` returned is not among them.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Relaxed)
    }

    /// Opens the file again under its name, for one who has renamed it. The thread does it; lines pushed after this
    /// call go to the new file. No effect on standard output and error.
    pub fn reopen(&self) {
        self.shared.reopen.store(true, Release);
        self.thread.unpark();
    }
}

/// What the writer's thread and others both touch. Written rarely: at faults, at USR1 and at the end.
#[derive(Debug, Default)]
pub(super) struct Shared {
    reopen: AtomicBool,
    closing: AtomicBool,
    dropped: AtomicU64,
}

impl Writer {
    /// Starts the thread; `None` if the log goes nowhere.
    ///
    /// # Errors
    /// When the file cannot be opened or the thread cannot be started.
    pub(super) fn start(settings: &AccessLog, lanes: Vec<Arc<Queues>>) -> io::Result<Option<(Self, Arc<Shared>)>> {
        let Some(to) = open_target(&settings.to)? else { return Ok(None) };
        let shared = Arc::new(Shared::default());
        let (alive, ended) = sync_channel(1);
        let loop_ = Loop {
            shared: shared.clone(),
            lanes,
            target: settings.to.clone(),
            format: settings.format,
            to,
            out: Vec::with_capacity(2 * BATCH_BYTES),
            torn: false,
            warned: None,
            _alive: alive,
        };
        let thread = thread::Builder::new().name("access-log".into()).spawn(move || loop_.run())?;
        Ok(Some((Self { shared: shared.clone(), thread, ended }, shared)))
    }

    /// A handle for others than the owner. Cheap to copy.
    #[must_use]
    pub fn remote(&self) -> Remote {
        Remote { shared: self.shared.clone(), thread: self.thread() }
    }

    /// Writes what the cores have handed over, for at most two seconds, and ends the thread. Returns how many lines
    /// could not be written in all. A destination that blocks for longer is left behind with its thread.
    pub fn close(self) -> u64 {
        self.shared.closing.store(true, Release);
        self.thread.thread().unpark();
        // The other end is dropped as the thread ends. A blocked write has no deadline of its own, hence this one.
        match self.ended.recv_timeout(CLOSE + STALL) {
            Err(RecvTimeoutError::Timeout) => tracing::warn!("the access log did not take its last lines in time"),
            Ok(()) | Err(RecvTimeoutError::Disconnected) => {
                if self.thread.join().is_err() {
                    tracing::warn!("the access log's thread ended by a fault");
                }
            }
        }
        self.shared.dropped.load(Relaxed)
    }

    pub(super) fn thread(&self) -> Thread {
        self.thread.thread().clone()
    }
}

impl Shared {
    pub(super) fn count_dropped(&self, lines: u64) {
        if lines > 0 {
            self.dropped.fetch_add(lines, Relaxed);
        }
    }
}

/// The thread's own.
struct Loop {
    shared: Arc<Shared>,
    lanes: Vec<Arc<Queues>>,
    target: LogTarget,
    format: LogFormat,
    to: File,
    out: Vec<u8>,
    /// The last write ended within a line.
    torn: bool,
    warned: Option<Instant>,
    /// Dropped with the rest, which says that the thread has ended.
    _alive: SyncSender<()>,
}

impl Loop {
    fn run(mut self) {
        let mut deadline = None;
        loop {
            // Looked at before the queues are, so that what was handed over before the end is seen in them.
            let closing = self.shared.closing.load(Acquire);
            if closing && Instant::now() >= *deadline.get_or_insert_with(|| Instant::now() + CLOSE) {
                return self.drop_rest();
            }
            let found = self.fill();
            // Looked at after the queues were, so that what was handed over after the mark goes to the new file.
            if self.shared.reopen.swap(false, Acquire) {
                self.reopen();
            }
            if found {
                self.write();
            } else if closing {
                return;
            } else {
                thread::park_timeout(SLEEP);
            }
        }
    }

    /// Formats what waits, one buffer of each core in turn, until a batch is full. Says whether there was anything.
    fn fill(&mut self) -> bool {
        let mut found = false;
        loop {
            let mut more = false;
            for lane in &self.lanes {
                let Some(mut records) = lane.filled.pop() else { continue };
                more = true;
                let mut rest = &records[..];
                while let Some(line) = packed::unpack(&mut rest) {
                    line::write(&mut self.out, self.format, &line);
                }
                records.clear();
                // With enough empty ones waiting, this one is freed.
                drop(lane.empty.push(records));
            }
            found |= more;
            if !more || self.out.len() >= BATCH_BYTES {
                return found;
            }
        }
    }

    /// Writes the batch and empties it, whatever happens.
    fn write(&mut self) {
        let mut out = std::mem::take(&mut self.out);
        let (written, fault) = match self.mend().and_then(|()| self.write_all(&out)) {
            Ok(()) => (out.len(), None),
            Err((written, fault)) => (written, Some(fault)),
        };
        let (whole, lost) = out.split_at(written.min(out.len()));
        if let Some(last) = whole.last() {
            self.torn = *last != b'\n';
        }
        if let Some(fault) = fault {
            // A line holds no newline but its last byte, so these are the lines that did not get there whole.
            self.shared.count_dropped(memchr::memchr_iter(b'\n', lost).count() as u64);
            self.warn("the access log could not be written; lines are dropped", &fault);
        }
        out.clear();
        self.out = out;
    }

    /// Ends a line that a fault has left torn, so that the next one is whole.
    fn mend(&mut self) -> Result<(), (usize, io::Error)> {
        if self.torn {
            self.write_all(b"\n").map_err(|(_, fault)| (0, fault))?;
            self.torn = false;
        }
        Ok(())
    }

    /// Writes all, or says how much was written before what fault.
    fn write_all(&mut self, bytes: &[u8]) -> Result<(), (usize, io::Error)> {
        let mut written = 0;
        let mut stalled: Option<Instant> = None;
        while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
            match self.to.write(rest) {
                Ok(0) => return Err((written, io::ErrorKind::WriteZero.into())),
                Ok(n) => (written, stalled) = (written + n, None),
                Err(fault) if fault.kind() == io::ErrorKind::Interrupted => {}
                Err(fault) if fault.kind() == io::ErrorKind::WouldBlock => {
                    if stalled.get_or_insert_with(Instant::now).elapsed() >= STALL {
                        return Err((written, fault));
                    }
                    thread::park_timeout(Duration::from_millis(1));
                }
                Err(fault) => return Err((written, fault)),
            }
        }
        Ok(())
    }

    fn reopen(&mut self) {
        match &self.target {
            LogTarget::File(path) => match open_file(path) {
                Ok(file) => (self.to, self.torn) = (file, false),
                Err(fault) => self.warn("the access log could not be reopened; the open file is kept", &fault),
            },
            LogTarget::Off | LogTarget::Stdout | LogTarget::Stderr => {}
        }
    }

    fn drop_rest(&mut self) {
        for lane in &self.lanes {
            while let Some(records) = lane.filled.pop() {
                self.shared.count_dropped(packed::count(&records));
            }
        }
    }

    fn warn(&mut self, what: &str, fault: &io::Error) {
        if self.warned.is_none_or(|last| last.elapsed() >= WARN) {
            self.warned = Some(Instant::now());
            tracing::warn!(fault = %fault, dropped = self.shared.dropped.load(Relaxed), "{what}");
        }
    }
}

/// Where the lines go; `None` for nowhere.
fn open_target(target: &LogTarget) -> io::Result<Option<File>> {
    match target {
        LogTarget::Off => Ok(None),
        LogTarget::Stdout => copy(&io::stdout()).map(Some),
        LogTarget::Stderr => copy(&io::stderr()).map(Some),
        LogTarget::File(path) => open_file(path).map(Some),
    }
}

/// The same place under a descriptor of our own, past the buffer and the lock of the standard library.
fn copy(stream: &impl AsFd) -> io::Result<File> {
    Ok(stream.as_fd().try_clone_to_owned()?.into())
}

#[allow(clippy::disallowed_methods, reason = "this thread is the one that may wait for a disk")]
fn open_file(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(MODE)
        .open(path)
        .map_err(|fault| io::Error::new(fault.kind(), format!("the access log {}: {fault}", path.display())))
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test may wait for a file")]
mod tests {
    use std::io::Read as _;
    use std::os::fd::AsRawFd as _;

    use super::*;

    #[test]
    fn a_line_that_a_fault_tore_is_ended_before_the_next() {
        let (mut reader, ours) = io::pipe().unwrap();
        // A non-blocking end of the same pipe: once it is full, the write faults instead of waiting for ever.
        let to = OpenOptions::new()
            .append(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(format!("/proc/self/fd/{}", ours.as_raw_fd()))
            .unwrap();
        drop(ours);
        let mut end = Loop {
            shared: Arc::default(),
            lanes: Vec::new(),
            target: LogTarget::Off,
            format: LogFormat::Json,
            to,
            out: "0123456789abcdef\n".repeat(100_000).into_bytes(),
            torn: false,
            warned: None,
            _alive: sync_channel(1).0,
        };
        end.write();
        let mut taken = vec![0; 1 << 20];
        let count = reader.read(&mut taken).unwrap();
        taken.truncate(count);
        let lost = end.shared.dropped.load(Relaxed);
        assert!(end.torn, "the capacity of a pipe is no multiple of 17");
        end.out.extend_from_slice(b"next\n");
        end.write();
        assert_eq!(end.shared.dropped.load(Relaxed), lost);
        drop(end);
        reader.read_to_end(&mut taken).unwrap();
        let text = String::from_utf8(taken).unwrap();
        let whole = text.lines().filter(|line| line.len() == 16).count() as u64;
        assert_eq!(whole + lost, 100_000);
        assert_eq!(text.lines().last(), Some("next"));
        assert_eq!(text.lines().count() as u64, whole + 2);
    }
}
