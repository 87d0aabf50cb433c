//! Endpoints that are processes of their own, so that they can be killed and stopped as processes are; and clients that
//! ask all the time, and note what they got.
//!
//! An endpoint is this same test binary, started anew with [`PORT`] in its environment: the test that calls [`serve`] is
//! its `main`. It follows words on its standard input, and ends with it, so that none is left behind.

use std::collections::BTreeMap;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::process::Child;
use std::process::ChildStdin;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU8;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::JoinHandle;
use std::time::Duration;

use socket2::SockRef;
use socket2::Socket;

use super::in_the_end;
use super::raw::Raw;

/// How an endpoint behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Mood {
    /// Answers 200 with its name after [`PACE`].
    Well,
    /// Answers 500 at once.
    Failing,
    /// Reads requests and never answers.
    Silent,
    /// Ten times as slow.
    Slow,
    /// Resets the connection in the middle of the body.
    Cutting,
}

const MOODS: [Mood; 5] = [Mood::Well, Mood::Failing, Mood::Silent, Mood::Slow, Mood::Cutting];

/// How long a well endpoint takes.
const PACE: Duration = Duration::from_millis(5);

/// Where its port stands in an endpoint's environment.
const PORT: &str = "RINGWAY_TEST_PORT";

/// An endpoint in a process of its own.
pub struct Endpoint {
    addr: SocketAddr,
    /// Holds the port while no process does.
    _reserved: Socket,
    process: Option<(Child, ChildStdin)>,
}

impl Endpoint {
    /// Starts one on a port of the kernel's choice; `main` is the full name of the test that calls [`serve`].
    pub fn start(main: &'static str) -> Self {
        let reserved = reserve(([127, 0, 0, 1], 0).into());
        let addr = reserved.local_addr().unwrap().as_socket().unwrap();
        let mut endpoint = Self { addr, _reserved: reserved, process: None };
        endpoint.restart(main);
        endpoint
    }

    /// Where it listens; also its name.
    pub fn name(&self) -> String {
        self.addr.to_string()
    }

    /// Starts it again, and waits until it listens.
    pub fn restart(&mut self, main: &'static str) {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", main, "--nocapture", "--test-threads=1"])
            .env(PORT, self.addr.port().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let orders = child.stdin.take().unwrap();
        self.process = Some((child, orders));
        in_the_end("an endpoint listens", || TcpStream::connect(self.addr).is_ok());
    }

    /// Tells it how to behave from the next request on.
    pub fn set(&mut self, mood: Mood) {
        let (_, orders) = self.process.as_mut().unwrap();
        orders.write_all(format!("{}\n", mood as u8).as_bytes()).unwrap();
    }

    /// KILL: it is gone, and its port refuses.
    pub fn kill(&mut self) {
        if let Some((mut child, _)) = self.process.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// STOP or CONT: it stands still, while the kernel goes on accepting for it; or goes on.
    pub fn signal(&self, signal: &str) {
        let pid = self.process.as_ref().unwrap().0.id();
        let sent = Command::new("sh").args(["-c", &format!("kill -s {signal} {pid}")]).status().unwrap();
        assert!(sent.success(), "{signal} to {pid}: {sent}");
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.kill();
    }
}

fn reserve(addr: SocketAddr) -> Socket {
    let socket = Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.bind(&addr.into()).unwrap();
    socket
}

/// Is an endpoint, if the environment says so, for as long as its standard input lasts.
pub fn serve() {
    let Some(port) = std::env::var(PORT).ok().and_then(|port| port.parse::<u16>().ok()) else { return };
    let socket = reserve(([127, 0, 0, 1], port).into());
    socket.listen(1024).unwrap();
    let (listener, mood) = (TcpListener::from(socket), Arc::new(AtomicU8::new(0)));
    let own = mood.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mood = own.clone();
            std::thread::spawn(move || converse(stream, port, &mood));
        }
    });
    for line in std::io::stdin().lines() {
        mood.store(line.unwrap().trim().parse().unwrap(), Relaxed);
    }
}

fn converse(stream: TcpStream, port: u16, mood: &AtomicU8) {
    let (mut lines, mut stream) = (BufReader::new(stream.try_clone().unwrap()), stream);
    stream.set_nodelay(true).unwrap();
    loop {
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            if !matches!(lines.read_line(&mut line), Ok(n) if n > 0) {
                return;
            }
        }
        let name = format!("127.0.0.1:{port}");
        let answer =
            |status: &str, length: usize| format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{name}");
        let (pause, answer) = match MOODS[usize::from(mood.load(Relaxed))] {
            Mood::Well => (PACE, answer("200 OK", name.len())),
            Mood::Slow => (PACE * 10, answer("200 OK", name.len())),
            Mood::Failing => (Duration::ZERO, answer("500 Broken", name.len())),
            Mood::Cutting => (PACE, answer("200 OK", 2 * name.len())),
            Mood::Silent => {
                drop(lines.read_to_end(&mut Vec::new()));
                return;
            }
        };
        std::thread::sleep(pause);
        if stream.write_all(answer.as_bytes()).is_err() {
            return;
        }
        if answer.contains(&format!("Length: {}", 2 * name.len())) {
            SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
            return;
        }
    }
}

/// Clients that ask all the time.
pub struct Load {
    told: Arc<Mutex<Told>>,
    over: Arc<AtomicBool>,
    clients: Vec<JoinHandle<()>>,
}

/// What they got.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// Good answers, by the endpoint that gave them.
    pub good: BTreeMap<String, usize>,
    /// What else there was, in words.
    pub bad: Vec<String>,
}

impl Load {
    /// So many clients, one request of each after the other.
    pub fn start(addr: SocketAddr, clients: usize) -> Self {
        let (told, over) = (Arc::<Mutex<Told>>::default(), Arc::<AtomicBool>::default());
        let ask = || {
            let (told, over) = (told.clone(), over.clone());
            std::thread::spawn(move || {
                let mut raw = None;
                while !over.load(Relaxed) {
                    ask(addr, &mut raw, &told);
                }
            })
        };
        let clients = (0..clients).map(|_| ask()).collect();
        Self { told, over, clients }
    }

    /// What they got so far.
    pub fn told(&self) -> Told {
        self.told.lock().unwrap().clone()
    }

    /// Good answers so far.
    pub fn all(&self) -> usize {
        self.told().good.values().sum()
    }

    /// Good answers of an endpoint so far.
    pub fn of(&self, endpoint: &Endpoint) -> usize {
        self.told().good.get(&endpoint.name()).copied().unwrap_or(0)
    }

    /// Waits for so many more good answers, of whomever.
    #[track_caller]
    pub fn go_on(&self, n: usize) {
        let before = self.all();
        in_the_end("requests are answered", || self.all() >= before + n);
    }

    /// Waits for so many more good answers of this endpoint.
    #[track_caller]
    pub fn wait_for(&self, endpoint: &Endpoint, n: usize) {
        let before = self.of(endpoint);
        in_the_end("the endpoint answers its share", || self.of(endpoint) >= before + n);
    }

    /// Ends them.
    pub fn stop(mut self) -> Told {
        self.over.store(true, Relaxed);
        self.clients.drain(..).for_each(|client| client.join().unwrap());
        self.told()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.over.store(true, Relaxed);
    }
}

fn ask(addr: SocketAddr, raw: &mut Option<Raw>, told: &Mutex<Told>) {
    let client = raw.get_or_insert_with(|| Raw::connect(addr));
    let sent = client.try_send("GET / HTTP/1.1\r\nHost: test.example\r\n\r\n");
    let answer = sent.map_err(|fault| fault.to_string());
    let answer = answer.and_then(|()| client.try_read_response().map_err(|broken| broken.to_string()));
    let mut told = told.lock().unwrap();
    match answer {
        Ok(response) if response.status == 200 => {
            *told.good.entry(response.text().to_owned()).or_default() += 1;
            if response.closes() {
                *raw = None;
            }
        }
        Ok(response) => {
            told.bad.push(format!("{}: {}", response.status, response.text()));
            *raw = None;
            drop(told);
            // A gateway that has nobody to ask answers at once: it is not to be asked all the faster for it.
            std::thread::sleep(PACE);
        }
        Err(broken) => {
            told.bad.push(broken);
            *raw = None;
        }
    }
}
