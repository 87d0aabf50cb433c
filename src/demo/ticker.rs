//! A line a second of what is happening, asked from the admin interface. It refuses to know the process it runs in: it
//! sees what any operator sees, and goes on when nobody answers.

use std::fmt::Display;
use std::io;
use std::io::Read as _;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::thread;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;

use serde_json::Value;
use tokio::sync::oneshot;
use tokio::sync::oneshot::error::TryRecvError;

use crate::demo::answer;
use crate::demo::tally::Tally;

/// Between two lines.
const TICK: Duration = Duration::from_secs(1);
/// Longest time that one question may take.
const TIME: Duration = Duration::from_millis(400);

/// The lines, being written.
#[derive(Debug)]
pub struct Ticker {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Ticker {
    /// Begins to write a line a second to standard output.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(admin: SocketAddr) -> io::Result<Self> {
        Self::start_into(admin, TICK, io::stdout())
    }

    /// Ends it, after at most the time that two questions may take.
    pub fn stop(self) {
        // Fails only if the thread has ended already.
        let _ = self.stop.send(());
        self.thread.thread().unpark();
        if self.thread.join().is_err() {
            tracing::warn!("the demo's ticker ended by a fault");
        }
    }

    fn start_into(admin: SocketAddr, tick: Duration, out: impl Write + Send + 'static) -> io::Result<Self> {
        let admin = super::reachable(admin);
        let (stop, stopped) = oneshot::channel();
        let thread = thread::Builder::new().name("demo-ticker".into()).spawn(move || run(admin, tick, out, stopped))?;
        Ok(Self { stop, thread })
    }
}

fn run(admin: SocketAddr, tick: Duration, mut out: impl Write, mut stopped: oneshot::Receiver<()>) {
    let mut before = tally(admin).ok().map(|tally| (Instant::now(), tally));
    let mut next = Instant::now() + tick;
    while stopped.try_recv() == Err(TryRecvError::Empty) {
        let left = next.saturating_duration_since(Instant::now());
        if !left.is_zero() {
            // May end early, for no reason or because it is to stop.
            thread::park_timeout(left);
            continue;
        }
        next = (next + tick).max(Instant::now());
        let text = match tally(admin) {
            Ok(now) => {
                let asked = Instant::now();
                let text = match &before {
                    Some((then, before)) => {
                        let millis = asked.duration_since(*then).as_millis();
                        now.line(before, u64::try_from(millis).unwrap_or(u64::MAX))
                    }
                    None => "the admin interface answers".into(),
                };
                before = Some((asked, now));
                text
            }
            Err(fault) => format!("the admin interface at {admin} does not answer: {fault}"),
        };
        // Nobody may be reading; that is no reason to end.
        drop(writeln!(out, "{}  {text}", clock(SystemTime::now())));
        drop(out.flush());
    }
}

fn tally(admin: SocketAddr) -> io::Result<Tally> {
    Ok(Tally::read(&ask(admin, "/v1/overview")?, &ask(admin, "/v1/upstreams")?))
}

fn ask(admin: SocketAddr, path: &str) -> io::Result<Value> {
    let deadline = Instant::now() + TIME;
    let mut stream = TcpStream::connect_timeout(&admin, TIME)?;
    stream.set_write_timeout(Some(TIME))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n")?;
    let mut bytes = Vec::new();
    let mut part = [0; 4096];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        let count = match stream.read(&mut part) {
            Ok(count) => count,
            // So the kernel calls a time that is over.
            Err(fault) if fault.kind() == io::ErrorKind::WouldBlock => return Err(io::ErrorKind::TimedOut.into()),
            Err(fault) => return Err(fault),
        };
        bytes.extend_from_slice(part.get(..count).unwrap_or_default());
        if let Some(answer) = answer::read(&bytes, count == 0)? {
            return match answer.status {
                200 => Ok(serde_json::from_slice(&answer.body)?),
                status => Err(io::Error::other(format!("{path} was answered {status}"))),
            };
        }
    }
}

/// The time of day, in UTC.
fn clock(now: SystemTime) -> impl Display {
    let seconds = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    format!("{:02}:{:02}:{:02}Z", seconds / 3600 % 24, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::sync::mpsc::Receiver;
    use std::sync::mpsc::SyncSender;
    use std::sync::mpsc::sync_channel;

    use super::*;

    /// Sends on each line.
    struct Lines(SyncSender<String>, Vec<u8>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.1.extend_from_slice(bytes);
            while let Some(end) = self.1.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.1.drain(..=end).collect();
                self.0.send(String::from_utf8(line).unwrap().trim_end().into()).map_err(io::Error::other)?;
            }
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn start(admin: SocketAddr) -> (Ticker, Receiver<String>) {
        let (sender, lines) = sync_channel(10_000);
        (Ticker::start_into(admin, Duration::from_millis(20), Lines(sender, Vec::new())).unwrap(), lines)
    }

    /// Answers the next question with what `say` makes of its path.
    fn answer(listener: &TcpListener, status: &str, mut say: impl FnMut(&str) -> String) {
        let (mut stream, _) = listener.accept().unwrap();
        let mut bytes = Vec::new();
        let mut byte = [0];
        while !bytes.ends_with(b"\r\n\r\n") {
            // One who waited for too long has gone away.
            let Ok(()) = stream.read_exact(&mut byte) else { return };
            bytes.extend_from_slice(&byte);
        }
        let body = say(String::from_utf8(bytes).unwrap().split(' ').nth(1).unwrap());
        drop(write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
    }

    /// The lines up to the first that holds a text.
    fn until(lines: &Receiver<String>, text: &str) -> String {
        let mut each = std::iter::from_fn(|| lines.recv_timeout(Duration::from_secs(20)).ok());
        each.find(|line| line.contains(text)).unwrap_or_else(|| panic!("no line with {text}"))
    }

    #[test]
    fn lines_tell_what_the_admin_interface_said() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (ticker, lines) = start(listener.local_addr().unwrap());
        let (mut requests, mut attempts) = (0, 0);
        let mut seen = Vec::new();
        while !seen.iter().any(|line: &String| line.contains("  in flight 4 | orders 3")) {
            answer(&listener, "200 OK", |path| match path {
                "/v1/overview" => {
                    requests += 2;
                    format!(r#"{{"requests_total":{requests},"in_flight":4}}"#)
                }
                "/v1/upstreams" => {
                    attempts += 3;
                    format!(
                        r#"{{"upstreams":[{{"name":"orders","endpoints":[{{"address":"a","attempts":{attempts}}}]}}]}}"#
                    )
                }
                other => panic!("asked for {other}"),
            });
            seen.extend(lines.try_iter());
            assert!(seen.len() < 1_000, "{seen:?}");
        }
        drop(listener);
        until(&lines, "does not answer");
        ticker.stop();
    }

    #[test]
    fn it_survives_an_admin_interface_that_refuses_fails_or_stays_silent() {
        // Bound, so that nobody else gets the port, but not listening.
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        let closed = socket.local_addr().unwrap().as_socket().unwrap();
        let (ticker, lines) = start(closed);
        assert!(until(&lines, "does not answer").contains(&closed.to_string()));
        until(&lines, "does not answer");
        ticker.stop();

        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let (ticker, lines) = start(silent.local_addr().unwrap());
        until(&lines, "timed out");
        ticker.stop();

        let failing = TcpListener::bind("127.0.0.1:0").unwrap();
        let (ticker, lines) = start(failing.local_addr().unwrap());
        for _ in 0..4 {
            answer(&failing, "503 Service Unavailable", |_| String::new());
        }
        assert!(until(&lines, "503").ends_with("does not answer: /v1/overview was answered 503"));
        ticker.stop();
    }

    #[test]
    fn the_clock_is_the_time_of_day() {
        let at = |seconds| clock(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)).to_string();
        assert_eq!(at(0), "00:00:00Z");
        assert_eq!(at(1_795_560_606), "22:50:06Z");
    }
}
