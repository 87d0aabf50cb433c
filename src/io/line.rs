//! A connection as the layers above see it: a socket with a deadline for each direction. It refuses to know what is said
//! on it.

use std::cell::Cell;
use std::fmt;
use std::future::pending;
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use crate::buf::Block;
use crate::io::deadline::Deadline;
use crate::io::deadline::Wheel;
use crate::io::deadline::urged;
use crate::io::socket;
use crate::io::socket::Canceller;
use crate::io::socket::Cut;
use crate::io::socket::Socket;

/// A socket and its deadlines. The deadlines come first, so that they leave the wheel before the descriptor closes.
pub struct Line {
    reading: Deadline,
    writing: Deadline,
    socket: Socket,
    /// Kept between two waits, since making one allocates.
    canceller: Cell<Option<Canceller>>,
}

/// Why nothing more comes, or goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// The other side closed.
    Closed,
    /// The other side reset the connection, or the way to it broke.
    Reset,
    /// The deadline passed.
    TimedOut,
}

impl Line {
    /// Puts a socket under the deadlines of a wheel.
    #[must_use]
    pub fn new(wheel: &Rc<Wheel>, socket: Socket) -> Self {
        let reading = Deadline::of(wheel, socket.fd());
        let writing = Deadline::of(wheel, socket.fd());
        Self { reading, writing, socket, canceller: Cell::new(None) }
    }

    /// Reads at most `max` bytes behind those of the block, under the deadline that is armed.
    ///
    /// # Errors
    /// [`Broken`]; the bytes of the block are as they were.
    #[inline]
    pub async fn read(&self, block: &mut Block, max: usize) -> Result<usize, Broken> {
        let (result, back) = self.socket.read(std::mem::take(block), max).await;
        *block = back;
        self.verdict(&result)
    }

    /// Reads as [`read`](Self::read) does, but gives up when nothing has come for `grace`: then there are 0 bytes, and none
    /// is lost. A drain ends the wait.
    ///
    /// # Errors
    /// [`Broken`], but not `TimedOut`.
    pub async fn read_for(&self, block: &mut Block, grace: Duration) -> Result<usize, Broken> {
        let canceller = self.canceller.take().unwrap_or_default();
        let read = pin!(self.socket.read_until(std::mem::take(block), canceller.handle()));
        let place = Cell::new(Some(canceller));
        self.reading.arm_wake(grace);
        let late = || {
            drop(place.take().map(Canceller::cancel));
            None
        };
        let (result, back) = urged(&self.reading, read, late).await;
        self.canceller.set(place.take());
        *block = back;
        match result {
            Ok(0) => Err(Broken::Closed),
            Ok(n) => Ok(n),
            Err(error) if error.raw_os_error() == Some(libc::ECANCELED) => Ok(0),
            Err(_) => Err(Broken::Reset),
        }
    }

    /// Waits until there is something to read, at most `patience`, without holding a block. A drain ends the wait, and
    /// so may a want of memory or descriptors.
    pub async fn park(&self, patience: Duration) {
        self.reading.arm_parked(patience);
        // Whatever it is, the read that follows sees it.
        drop(self.socket.readable().await);
        self.reading.disarm();
    }

    /// Waits until the other side has gone, and says so within a moment or two; as long as it stays, or when it sends
    /// something more, for ever. For whoever waits for something else and would like to know that it is in vain.
    pub async fn gone(&self) {
        // What is over soon is not worth a look.
        self.reading.sleep(MOMENT).await;
        let readable = self.socket.readable().await.is_ok();
        if self.writing.severed() || (readable && self.socket.has_bytes()) {
            // It was we who cut it, as the write in flight will say. Or these are bytes of a next request: whether it
            // goes after them cannot be seen from here.
            pending::<()>().await;
        }
    }

    /// Gives up what is only kept to be used again.
    pub fn shed(&self) {
        self.canceller.set(None);
    }

    fn verdict(&self, result: &io::Result<usize>) -> Result<usize, Broken> {
        match result {
            Ok(0) if self.reading.severed() => Err(Broken::TimedOut),
            Ok(0) => Err(Broken::Closed),
            Ok(n) => Ok(*n),
            Err(_) if self.reading.severed() => Err(Broken::TimedOut),
            Err(_) => Err(Broken::Reset),
        }
    }

    /// Writes all bytes of the block, which is empty then; `patience` is for each bit of progress.
    ///
    /// # Errors
    /// [`Broken`]; some bytes may have gone.
    pub async fn write(&self, block: &mut Block, patience: Duration) -> Result<(), Broken> {
        while !block.is_empty() {
            self.write_some(block, patience, |_| None).await?;
        }
        Ok(())
    }

    /// Writes as many bytes of the block as the kernel takes at once, and drops them from it: they are counted. When the
    /// kernel takes none for `patience`, `late` is told how many bytes the other side has yet to acknowledge of all that
    /// was written, and says how much longer to wait; if it says nothing, the direction ends.
    ///
    /// # Errors
    /// [`Broken`], but not `Closed`.
    #[inline]
    pub async fn write_some(
        &self,
        block: &mut Block,
        patience: Duration,
        mut late: impl FnMut(u64) -> Option<Duration>,
    ) -> Result<usize, Broken> {
        let given_up = Cell::new(false);
        let late = || {
            let more = late(self.socket.unacknowledged());
            if more.is_none() {
                given_up.set(true);
                // Its own direction alone: what the other side says meanwhile may still be wanted, and the end of it must
                // be its own.
                self.writing.sever(Cut::Write);
            }
            more
        };
        self.writing.arm_look(patience);
        let write = pin!(self.socket.write(std::mem::take(block)));
        let (result, back) = urged(&self.writing, write, late).await;
        *block = back;
        match result {
            Ok(n) if n > 0 => {
                block.consume(n);
                Ok(n)
            }
            _ if given_up.get() => Err(Broken::TimedOut),
            _ => Err(Broken::Reset),
        }
    }

    /// The coarse time, for telling how long something took.
    #[inline]
    #[must_use]
    pub fn coarse(&self) -> Duration {
        self.writing.coarse()
    }

    /// Says the end to the other side; what it still sends can be read.
    pub fn finish(&self) {
        socket::cut(self.socket.fd(), Cut::Write);
    }

    /// Ends the connection by a reset, whatever is in flight on it: that completes.
    pub fn abort(&self) {
        socket::abort(self.socket.fd());
    }

    /// The deadline of reads.
    #[inline]
    #[must_use]
    pub fn reading(&self) -> &Deadline {
        &self.reading
    }

    /// The socket below.
    #[inline]
    #[must_use]
    pub fn socket(&self) -> &Socket {
        &self.socket
    }

    /// Says the end to the other side and reads what it still sends, for at most `patience` in all and until nothing comes
    /// for `pause`, so that it can read our last words before the connection goes (RFC 9112 §9.6).
    pub async fn linger(&self, pause: Duration, patience: Duration) {
        self.finish();
        // Nothing is written any more: that deadline is free for the whole.
        self.writing.arm(patience, Cut::Both);
        let mut block = Block::with_room(LINGER_ROOM);
        loop {
            block.clear();
            self.reading.arm(pause, Cut::Both);
            if self.read(&mut block, LINGER_ROOM).await.is_err() {
                return;
            }
        }
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line").field("socket", &self.socket).finish_non_exhaustive()
    }
}

/// How long nobody looks whether the other side has gone.
const MOMENT: Duration = Duration::from_millis(100);

const LINGER_ROOM: usize = 16 * 1024;
