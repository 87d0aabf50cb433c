//! What a request takes of the allocator on its core, once its connections are warm: nothing. The gateway runs in a process
//! of this program's own, with an allocator that counts for each thread. It refuses to know where a block comes from instead.

#![expect(unsafe_code, reason = "an allocator is unsafe by its nature")]
#![expect(clippy::disallowed_methods, reason = "nothing here is a core: files may be read and written")]

use std::alloc::GlobalAlloc;
use std::alloc::Layout;
use std::cell::Cell;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::process::Child;
use std::process::Command;
use std::process::ExitCode;
use std::process::Stdio;
use std::sync::atomic::AtomicI32;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::Duration;

use mimalloc::MiMalloc;

/// The product's allocator, which counts.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const THREADS: usize = 64;
/// What each thread has asked for, in the order of their first wishes.
static WISHES: [AtomicU64; THREADS] = [const { AtomicU64::new(0) }; THREADS];
/// The numbers of those threads.
static NUMBERS: [AtomicI32; THREADS] = [const { AtomicI32::new(0) }; THREADS];
static NEXT: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static PLACE: Cell<Option<usize>> = const { Cell::new(None) };
}

fn count() {
    // At a thread's very end it has no place any more.
    let place = PLACE.try_with(|place| {
        place.get().unwrap_or_else(|| {
            let next = NEXT.fetch_add(1, Relaxed);
            if let Some(number) = NUMBERS.get(next) {
                // SAFETY: it asks for nothing and touches no memory.
                number.store(unsafe { libc::gettid() }, Relaxed);
            }
            place.set(Some(next));
            next
        })
    });
    if let Some(wishes) = place.ok().and_then(|place| WISHES.get(place)) {
        wishes.fetch_add(1, Relaxed);
    }
}

// SAFETY: each call is handed on as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as the caller promises.
        unsafe { MiMalloc.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as the caller promises.
        unsafe { MiMalloc.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as the caller promises.
        unsafe { MiMalloc.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { MiMalloc.dealloc(block, layout) }
    }
}

/// The word on its command line by which this program is the gateway.
const GATEWAY: &str = "--as-gateway";
/// Requests before anything is counted: of that many all stocks are full.
const WARM: usize = 200;
const COUNTED: usize = 1000;
const CLIENTS: usize = 8;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    match arguments.iter().position(|word| word == GATEWAY) {
        Some(place) => {
            thread::spawn(tell);
            ringway::app::main(arguments.into_iter().skip(place))
        }
        None => test(),
    }
}

/// Says for each line that is read what the core has asked for so far.
fn tell() {
    for _ in std::io::stdin().lines() {
        let core = NUMBERS.iter().position(|number| {
            let name = std::fs::read_to_string(format!("/proc/self/task/{}/comm", number.load(Relaxed)));
            name.is_ok_and(|name| name.trim() == "core-0")
        });
        let wishes = core.and_then(|core| WISHES.get(core)).map_or(0, |wishes| wishes.load(Relaxed));
        println!("WISHES {wishes}");
    }
}

/// The gateway, and what it says.
struct Gateway {
    child: Child,
    said: Box<dyn BufRead>,
}

impl Gateway {
    fn start(config: &str) -> (Self, SocketAddr) {
        let file = std::env::temp_dir().join(format!("ringway-allocations-{}.toml", std::process::id()));
        std::fs::write(&file, config).unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([GATEWAY, "run", "-c"])
            .arg(&file)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said = Box::new(BufReader::new(child.stdout.take().unwrap()));
        let mut gateway = Self { child, said };
        let listens = gateway.line_of("LISTEN");
        gateway.line_of("READY");
        std::fs::remove_file(&file).unwrap();
        (gateway, listens.rsplit(' ').next().unwrap().parse().unwrap())
    }

    fn line_of(&mut self, word: &str) -> String {
        loop {
            let mut line = String::new();
            assert!(self.said.read_line(&mut line).unwrap() > 0, "the gateway ended before it said {word}");
            if line.starts_with(word) {
                return line.trim().to_owned();
            }
        }
    }

    fn wishes(&mut self) -> u64 {
        self.child.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
        self.line_of("WISHES").rsplit(' ').next().unwrap().parse().unwrap()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads a head and as many bytes behind it as it says; false at the end.
fn read_message(stream: &mut TcpStream) -> bool {
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&bytes).to_ascii_lowercase();
        if let Some((head, _)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if bytes.len() >= head.len() + 4 + length.map_or(0, |length| length.parse().unwrap()) {
                return true;
            }
        }
        match stream.read(&mut piece) {
            Ok(0) | Err(_) => return false,
            Ok(n) => bytes.extend_from_slice(&piece[..n]),
        }
    }
}

/// Answers whatever it is asked, until nobody asks any more.
fn origin() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            thread::spawn(move || {
                let answer = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello";
                while read_message(&mut stream) && stream.write_all(answer).is_ok() {}
            });
        }
    });
    address
}

fn test() -> ExitCode {
    let config = format!(
        "[process]\ncores = 1\nadmin = \"127.0.0.1:0\"\naccess_log = \"off\"\n\n[listen.http]\nbind = \"127.0.0.1:0\"\n\n\
         [upstream.app]\nendpoints = [\"{}\"]\n\n[host.\"*\"]\nroutes = [{{ path = \"/*\", upstream = \"app\" }}]\n",
        origin()
    );
    let (mut gateway, address) = Gateway::start(&config);
    let mut clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let stream = TcpStream::connect(address).unwrap();
            stream.set_nodelay(true).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
            stream
        })
        .collect();
    let fields = "Host: app.test\r\nUser-Agent: test\r\nAccept: */*\r\nX-Own: something of its own\r\n";
    let requests = [
        format!("GET /things?of=many HTTP/1.1\r\n{fields}\r\n"),
        format!("POST /things HTTP/1.1\r\n{fields}Content-Length: 1000\r\n\r\n{}", "x".repeat(1000)),
    ];
    for request in &requests {
        let mut ask = |times: usize| {
            for nth in 0..times {
                let client = &mut clients[nth % CLIENTS];
                client.write_all(request.as_bytes()).unwrap();
                assert!(read_message(client), "no answer");
            }
        };
        ask(WARM);
        let before = gateway.wishes();
        assert!(before > 0, "the core's thread is not found");
        ask(COUNTED);
        let wishes = gateway.wishes() - before;
        let line = request.lines().next().unwrap_or_default();
        println!("{line}: {wishes} blocks for {COUNTED} requests");
        // Some for what a core does every tick, whoever asks.
        assert!(wishes < COUNTED as u64 / 20, "{line}: {wishes} blocks were asked for by {COUNTED} requests");
    }
    ExitCode::SUCCESS
}
