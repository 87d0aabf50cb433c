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
use crate::io::veil::Cipher;
use crate::io::veil::Facts;
use crate::io::veil::Fault;
use crate::io::veil::News;
use crate::io::veil::Stage;
use crate::io::veil::Veil;

/// A socket and its deadlines. The deadlines come first, so that they leave the wheel before the descriptor closes; so
/// does the veil, which may have a last word to say.
pub struct Line {
    reading: Deadline,
    writing: Deadline,
    /// What lies over the socket, if what is said is not said in the open.
    veil: Option<Box<Veil>>,
    socket: Socket,
    /// Kept between two waits, since making one allocates.
    canceller: Cell<Option<Canceller>>,
}

/// Why nothing more comes, or goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// The other side closed; under a cipher: and it had said that it would.
    Closed,
    /// The other side reset the connection, or the way to it broke, or what came under a cipher was not to be trusted or
    /// not brought to its end.
    Reset,
    /// The deadline passed.
    TimedOut,
}

/// Why a cipher was not settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unsettled {
    /// The connection broke, or took too long.
    Broken(Broken),
    /// The other side says what it must not, or is not who it must be.
    Faulty(Fault),
    /// The other side has said more than it may.
    TooLong,
}

impl Line {
    /// Puts a socket under the deadlines of a wheel.
    #[must_use]
    pub fn new(wheel: &Rc<Wheel>, socket: Socket) -> Self {
        let reading = Deadline::of(wheel, socket.fd());
        let writing = Deadline::of(wheel, socket.fd());
        Self { reading, writing, veil: None, socket, canceller: Cell::new(None) }
    }

    /// Reads at most `max` bytes behind those of the block, under the deadline that is armed. Under a cipher it may be more:
    /// whole records are read, and the block grows for them.
    ///
    /// # Errors
    /// [`Broken`]; the bytes of the block are as they were.
    #[inline]
    pub async fn read(&self, block: &mut Block, max: usize) -> Result<usize, Broken> {
        loop {
            // One wait for both: a connection keeps room for what it may wait for.
            let (tail, most) = match &self.veil {
                None => (std::mem::take(block), max),
                Some(veil) => match before(veil, block) {
                    Some(done) => return done,
                    None => (veil.to_read(max), usize::MAX),
                },
            };
            let (result, back) = self.socket.read(tail, most).await;
            let verdict = self.verdict(&result);
            let Some(veil) = &self.veil else {
                *block = back;
                return verdict;
            };
            match verdict {
                Ok(_) => match unveil(veil, back, block)? {
                    0 => {}
                    n => return Ok(n),
                },
                // Anybody could have ended it there: only the cipher's own end is one.
                Err(Broken::Closed) => return Err(Broken::Reset),
                Err(broken) => return Err(broken),
            }
        }
    }

    /// Reads as [`read`](Self::read) does, but gives up when nothing has come for `grace`: then there are 0 bytes, and none
    /// is lost. A drain ends the wait.
    ///
    /// # Errors
    /// [`Broken`], but not `TimedOut`.
    pub async fn read_for(&self, block: &mut Block, mut grace: Duration) -> Result<usize, Broken> {
        let began = self.coarse();
        loop {
            let tail = match &self.veil {
                None => std::mem::take(block),
                Some(veil) => match before(veil, block) {
                    Some(done) => return done,
                    None => veil.to_read(block.spare()),
                },
            };
            let canceller = self.canceller.take().unwrap_or_default();
            let read = pin!(self.socket.read_until(tail, canceller.handle()));
            let place = Cell::new(Some(canceller));
            self.reading.arm_wake(grace);
            let late = || {
                drop(place.take().map(Canceller::cancel));
                None
            };
            let (result, back) = urged(&self.reading, read, late).await;
            self.canceller.set(place.take());
            let cancelled = matches!(&result, Err(error) if error.raw_os_error() == Some(libc::ECANCELED));
            match &self.veil {
                None => *block = back,
                Some(veil) if matches!(result, Ok(1..)) => {
                    let n = unveil(veil, back, block)?;
                    grace = grace.saturating_sub(self.coarse().saturating_sub(began));
                    if n == 0 && !grace.is_zero() {
                        continue;
                    }
                    return Ok(n);
                }
                Some(_) => {}
            }
            return match result {
                Ok(0) if self.veil.is_some() => Err(Broken::Reset),
                Ok(0) => Err(Broken::Closed),
                Ok(n) => Ok(n),
                Err(_) if cancelled => Ok(0),
                Err(_) => Err(Broken::Reset),
            };
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

    /// Waits until the other side has gone, and says so within a moment or two, or, where it has sent something more before that
    /// nobody reads, within a second or two. For whoever waits for something else and would like to know that it is in vain.
    pub async fn gone(&self) {
        // What is over soon is not worth a look.
        self.reading.sleep(MOMENT).await;
        let readable = self.socket.readable().await.is_ok();
        let says = match &self.veil {
            None => self.socket.has_bytes(),
            Some(veil) => self.look(veil).await == News::Content,
        };
        if readable && says {
            self.watch(Socket::has_ended).await;
        } else if self.writing.severed() {
            // It was we who cut it, as the write in flight will say.
            pending::<()>().await;
        }
    }

    /// Looks now and then, since nothing else tells what comes behind bytes that nobody reads. Not whether we have cut it.
    async fn watch(&self, over: impl Fn(&Socket) -> bool) {
        while self.writing.severed() || !over(&self.socket) {
            self.reading.sleep(WATCH).await;
        }
    }

    /// Waits until the connection is broken, as [`gone`](Self::gone) waits until the other side has gone: by a reset, or by
    /// us. Its end alone is none here, since whoever has said all may still want to hear. For what is said in the open.
    pub async fn broken(&self) {
        self.reading.sleep(MOMENT).await;
        if self.socket.readable().await.is_ok() {
            self.watch(Socket::has_broken).await;
        }
    }

    /// Waits until there is news: what is no content says nothing.
    async fn look(&self, veil: &Veil) -> News {
        loop {
            match veil.listen() {
                News::None if self.socket.readable().await.is_ok() => {}
                News::None => return News::End,
                // Whoever says so much that is nothing is looked at again when others have had their turn.
                News::More => self.reading.sleep(MOMENT).await,
                news => return news,
            }
        }
    }

    /// Whether the other side has said anything (bytes, the end, a reset), without reading it. What is under a cipher is
    /// looked into; of what can be looked into once more of it has come, it has said a part. A system call, mostly.
    #[must_use]
    pub fn has_news(&self) -> bool {
        match &self.veil {
            None => self.socket.has_news(),
            Some(veil) => veil.listen() != News::None || veil.waiting() > 0,
        }
    }

    /// Which of these lines [have news](Self::has_news), a bit for each; of those past [`LOOKS`](Self::LOOKS) it says nothing. One
    /// system call for all that are said in the open.
    #[must_use]
    pub fn news<'a>(lines: impl Iterator<Item = &'a Self> + Clone) -> u16 {
        let open = lines.clone().all(|line| line.veil.is_none());
        let told = open.then(|| socket::news(lines.clone().map(|line| line.socket.fd()))).flatten();
        told.unwrap_or_else(|| {
            lines.take(Self::LOOKS).zip(0..).fold(0, |bits, (line, nth)| bits | u16::from(line.has_news()) << nth)
        })
    }

    /// Lines that [`news`](Self::news) looks at, at the most.
    pub const LOOKS: usize = socket::LOOKS;

    /// Whether something has come under a cipher, its end included, of which a [`park`](Self::park) might not be told. A
    /// system call there, mostly; of what is said in the open the kernel tells all.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.veil.as_ref().is_some_and(|veil| veil.is_over() || self.is_amid() || self.has_bytes())
    }

    /// Whether a part of something has come, of which nothing can be read before the rest has.
    #[must_use]
    pub fn is_amid(&self) -> bool {
        self.veil.as_ref().is_some_and(|veil| veil.waiting() > 0)
    }

    /// Whether the other side has sent bytes, without reading them. A system call, mostly.
    #[must_use]
    pub fn has_bytes(&self) -> bool {
        self.veil.as_ref().is_some_and(|veil| veil.holds_content()) || self.socket.has_bytes()
    }

    /// What has come already, as far as there is `room` for it, without waiting; nothing, if that is nothing, or the end. Under
    /// a cipher nothing is read: an empty block says that something has come. One system call.
    #[must_use]
    pub fn collect(&self, room: usize) -> Option<Block> {
        if self.veil.is_some() {
            return self.has_bytes().then(Block::none);
        }
        let mut block = Block::with_room(room);
        matches!(socket::receive_now(self.socket.fd(), &mut block), Ok(1..)).then_some(block)
    }

    /// Gives up what is only kept to be used again.
    pub fn shed(&self) {
        self.canceller.set(None);
        self.veil.iter().for_each(|veil| veil.shed());
    }

    /// Lets go of the task that has used it, for another may.
    pub fn part(&self) {
        self.reading.forget();
        self.writing.forget();
    }

    /// Lays a cipher over the socket, for good; `wire` has come of what it is to open.
    pub fn cover(&mut self, cipher: Box<dyn Cipher>, wire: Block) {
        self.veil = Some(Box::new(Veil::over(self.socket.fd(), cipher, wire)));
    }

    /// Settles the cipher with the other side, under the deadline of reads that is armed; `patience` is for each write.
    /// Before the other side has said what it must say first, it may say `most` bytes.
    ///
    /// # Errors
    /// [`Unsettled`]; the connection is of no use.
    pub async fn settle(&self, most: usize, patience: Duration) -> Result<Facts, Unsettled> {
        let Some(veil) = &self.veil else { return Ok(Facts::default()) };
        let (mut content, mut most) = (Block::none(), most);
        loop {
            let opened = veil.open(&mut content);
            if opened.is_err() {
                return Err(Unsettled::Faulty(veil.fault().unwrap_or(Fault::of(""))));
            }
            if veil.has_answer() {
                // Content is written as it is said: this says none.
                self.answer(veil, patience).await.map_err(Unsettled::Broken)?;
                most = most.max(SETTLING_BYTES);
            }
            match veil.stage() {
                Stage::Settling if veil.waiting() > most => return Err(Unsettled::TooLong),
                Stage::Settling => {}
                Stage::Ready => break,
                Stage::Ended => return Err(Unsettled::Broken(Broken::Closed)),
            }
            let (result, back) = self.socket.read(veil.to_read(SETTLING_ROOM), usize::MAX).await;
            self.verdict(&result).map_err(Unsettled::Broken)?;
            veil.read(back);
        }
        veil.hold(content);
        Ok(veil.facts())
    }

    /// Writes what is to be said that is no content.
    async fn answer(&self, veil: &Veil, patience: Duration) -> Result<(), Broken> {
        let mut nothing = Block::none();
        loop {
            self.write_some(&mut nothing, patience, |_| None).await?;
            if !veil.has_more() {
                return Ok(());
            }
        }
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
                // be its own. But whoever takes its time must not find a clean end behind the half that it was given.
                self.writing.sever_words(&self.reading);
            }
            more
        };
        let front = match &self.veil {
            None => std::mem::take(block),
            Some(veil) => veil.to_write(block.bytes())?,
        };
        self.writing.arm_look(patience);
        let write = pin!(self.socket.write(front));
        let (result, back) = urged(&self.writing, write, late).await;
        let taken = *result.as_ref().unwrap_or(&0);
        let gone = match &self.veil {
            None => {
                *block = back;
                taken
            }
            Some(veil) => veil.wrote(back, taken),
        };
        match result {
            Ok(n) if n > 0 => {
                block.consume(gone);
                Ok(gone)
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
        self.veil.iter().for_each(|veil| veil.say_end());
        socket::cut(self.socket.fd(), Cut::Write);
    }

    /// Ends the connection by a reset, whatever is in flight on it: that completes. A Unix socket knows no reset, and ends.
    pub fn abort(&self) {
        self.veil.iter().for_each(|veil| veil.silence());
        socket::abort(self.socket.fd());
        socket::cut(self.socket.fd(), Cut::Both);
    }

    /// Makes the close a reset, so that the other side cannot take what it has for the whole.
    pub fn reset_on_close(&self) {
        self.veil.iter().for_each(|veil| veil.silence());
        self.socket.reset_on_close();
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

    /// Says the end to the other side and takes what it still sends, for at most `patience` in all and until nothing comes
    /// for `pause`, so that it can read our last words before the connection goes (RFC 9112 §9.6). What comes is nobody's:
    /// nothing of it is opened, and nothing need be whole.
    pub async fn linger(&self, pause: Duration, patience: Duration) {
        self.finish();
        // Nothing is written any more: that deadline is free for the whole.
        self.writing.arm(patience, Cut::Both);
        let mut block = Block::with_room(LINGER_ROOM);
        loop {
            block.clear();
            self.reading.arm(pause, Cut::Both);
            let (result, back) = self.socket.read(block, LINGER_ROOM).await;
            block = back;
            if self.verdict(&result).is_err() {
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

/// What a read finds before it asks the socket.
fn before(veil: &Veil, block: &mut Block) -> Option<Result<usize, Broken>> {
    match veil.take_held(block) {
        0 if veil.is_over() => Some(Err(veil.over_by())),
        0 => None,
        n => Some(Ok(n)),
    }
}

/// Opens what a read has brought, and says how much content it was.
fn unveil(veil: &Veil, back: Block, block: &mut Block) -> Result<usize, Broken> {
    let before = block.len();
    veil.read(back);
    let opened = veil.open(block);
    match block.len() - before {
        // What came whole before something faulty, or before the end, came whole.
        0 => opened.and_then(|stage| if stage == Stage::Ended { Err(Broken::Closed) } else { Ok(0) }),
        n => Ok(n),
    }
}

/// How long nobody looks whether the other side has gone.
const MOMENT: Duration = Duration::from_millis(100);

/// How often it is looked what has come behind bytes that nobody reads.
const WATCH: Duration = Duration::from_secs(1);

const LINGER_ROOM: usize = 16 * 1024;

/// Bytes that may wait to be opened while a cipher is settled, once the other side has begun well: a chain of certificates.
const SETTLING_BYTES: usize = 72 * 1024;
/// Room for what is said while a cipher is settled.
const SETTLING_ROOM: usize = 4000;

#[cfg(test)]
#[path = "line_tests.rs"]
mod tests;
