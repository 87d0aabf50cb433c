//! The gateway as its users have it: the real binary, a file of TOML, signals, its two streams of text and its admin
//! interface.
//!
//! Every test asserts, without saying so, that the gateway did not panic, logged no error that was not expected, and
//! counted no panic; dropping or stopping a [`Gateway`] looks.

use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::ExitStatus;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;

use ringway::address::Address;
use serde_json::Value;

use super::PATIENCE;
use super::gate::Gate;
use super::log::LogLine;
use super::loops::chosen;
use super::message::Response;
use super::metrics::Metrics;
use super::origin::Origin;
use super::raw::Raw;
use super::rings;
use super::rings::Rings;
use super::scratch::Scratch;

/// What a configuration without `[process]` begins with.
const PROCESS: &str = "[process]\ncores = 2\nadmin = \"127.0.0.1:0\"\naccess_log = \"stdout\"\n\n";

/// One running gateway.
pub struct Gateway {
    process: Process,
    scratch: Scratch,
    listeners: Vec<(String, Address)>,
    admin: SocketAddr,
    /// Whether it was told to end, so that its admin interface may be gone.
    ending: bool,
    /// Parts of error lines that the test expects.
    expected: Vec<String>,
    /// The `[process]` table it was started with, for reloads that name none: most of it is fixed at start.
    head: String,
}

/// Where the listeners are, by name, and the admin interface.
pub type Addresses = (Vec<(String, Address)>, SocketAddr);

/// What a process that ended by itself left behind.
#[derive(Debug)]
pub struct Exit {
    /// The exit code; -1 if a signal ended it.
    pub code: i32,
    /// Everything it printed.
    pub stdout: String,
    /// Everything it complained of.
    pub stderr: String,
}

/// What a process can be sent.
#[derive(Clone, Copy, Debug)]
pub enum Signal {
    /// Reload.
    Hup,
    /// Drain.
    Term,
    /// Drain.
    Int,
    /// End at once.
    Quit,
    /// Reopen logs.
    Usr1,
    /// Stand still, whatever comes.
    Stop,
    /// Go on.
    Cont,
}

/// Runs the program with these arguments until it ends by itself.
#[track_caller]
pub fn run(args: &[&str]) -> Exit {
    finish(Process::spawn(args, Path::new(env!("CARGO_TARGET_TMPDIR"))))
}

/// Starts `ringway run` on a kernel of such rings and waits until it ends by itself.
#[track_caller]
pub fn run_on(rings: Rings, toml: &str) -> Exit {
    let scratch = Scratch::new();
    let file = scratch.write("gateway.toml", toml);
    finish(rings::under(rings, || Process::spawn(&["run", "-c", file.to_str().unwrap()], scratch.path())))
}

/// Starts `ringway run` under limits of the shell and ends it by TERM once it is ready, unless it has ended by itself.
#[track_caller]
pub fn run_under(limits: &str, toml: &str) -> Exit {
    let scratch = Scratch::new();
    let file = scratch.write("gateway.toml", toml);
    let process = Process::spawn_under(limits, &["run", "-c", file.to_str().unwrap()], scratch.path());
    let ready = |output: &Output| output.stdout.iter().any(|line| line == "READY");
    if ready(&process.output.wait("it to be ready, or to end", |output| output.ended || ready(output))) {
        process.signal(Signal::Term);
    }
    finish(process)
}

#[track_caller]
fn finish(mut process: Process) -> Exit {
    let status = process.wait();
    let output = process.output.lock();
    Exit { code: status.code().unwrap_or(-1), stdout: output.stdout.join("\n"), stderr: output.stderr.join("\n") }
}

impl Gateway {
    /// Starts `ringway run` with this configuration and waits until it is ready. Without `[process]`, it gets two cores,
    /// an admin port and its access log on standard output.
    #[track_caller]
    pub fn start(toml: &str) -> Self {
        let scratch = Scratch::new();
        let toml = with_process(toml, PROCESS);
        let file = scratch.write("gateway.toml", &toml);
        let mut gateway = Self::launch(&["run", "-c", file.to_str().unwrap()], scratch);
        process_table(&toml).unwrap().clone_into(&mut gateway.head);
        gateway
    }

    /// Starts `ringway run` under limits of the shell, `ulimit -n 100` say, with a whole configuration.
    #[track_caller]
    pub fn start_under(limits: &str, toml: &str) -> Self {
        let scratch = Scratch::new();
        let file = scratch.write("gateway.toml", toml);
        let process = Process::spawn_under(limits, &["run", "-c", file.to_str().unwrap()], scratch.path());
        Self::ready(process, scratch, told_addresses)
    }

    /// Starts `ringway run` with a whole configuration; nobody reads its standard error until [`Gateway::listen`].
    #[track_caller]
    pub fn start_unheard(toml: &str) -> Self {
        let scratch = Scratch::new();
        let file = scratch.write("gateway.toml", toml);
        let process = Process::spawn_deaf(&["run", "-c", file.to_str().unwrap()], scratch.path());
        Self::ready(process, scratch, told_addresses)
    }

    /// Reads standard error from now on.
    pub fn listen(&self) {
        self.process.ears.open();
    }

    /// Starts `ringway run` on a kernel of such rings, with a whole configuration.
    #[track_caller]
    pub fn start_on(rings: Rings, toml: &str) -> Self {
        let scratch = Scratch::new();
        let file = scratch.write("gateway.toml", toml);
        let process = rings::under(rings, || Process::spawn(&["run", "-c", file.to_str().unwrap()], scratch.path()));
        Self::ready(process, scratch, told_addresses)
    }

    /// Starts a gateway with one listener, `http`, and one route: everything goes to these origins, the upstream `app`.
    #[track_caller]
    pub fn before(origins: &[&Origin]) -> Self {
        Self::start(&simple(origins, "", ""))
    }

    /// Starts the program with these arguments; for commands other than `run` that serve all the same.
    #[track_caller]
    pub fn launch(args: &[&str], scratch: Scratch) -> Self {
        Self::launch_until(args, scratch, told_addresses)
    }

    /// Starts the program and waits until `find` knows, from what it has printed, where it listens and where its admin
    /// interface is.
    #[track_caller]
    pub fn launch_until(args: &[&str], scratch: Scratch, find: impl Fn(&[String]) -> Option<Addresses>) -> Self {
        Self::ready(Process::spawn(args, scratch.path()), scratch, find)
    }

    #[track_caller]
    fn ready(process: Process, scratch: Scratch, find: impl Fn(&[String]) -> Option<Addresses>) -> Self {
        let ready = |output: &Output| output.ended || find(&output.stdout).is_some();
        let output = process.output.wait("the gateway to be ready", ready);
        let found = find(&output.stdout);
        let (listeners, admin) = found.unwrap_or_else(|| panic!("the gateway did not start:\n{}", output.dump()));
        drop(output);
        Self { process, scratch, listeners, admin, ending: false, expected: Vec::new(), head: String::new() }
    }

    /// The first IP address of a listener.
    #[track_caller]
    pub fn addr(&self, listener: &str) -> SocketAddr {
        let found = self.addresses(listener).into_iter().find_map(|address| address.ip());
        found.unwrap_or_else(|| panic!("no listener {listener} in {:?}", self.listeners))
    }

    /// Every address that it told of a listener, in order.
    pub fn addresses(&self, listener: &str) -> Vec<Address> {
        let own = self.listeners.iter().filter(|(name, _)| name == listener);
        own.map(|(_, address)| address.clone()).collect()
    }

    /// The address of the listener `http`.
    #[track_caller]
    pub fn http(&self) -> SocketAddr {
        self.addr("http")
    }

    /// The address of the admin interface.
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.process.child.id()
    }

    /// The folder of its configuration, `gateway.toml`.
    pub fn scratch(&self) -> &Scratch {
        &self.scratch
    }

    /// Sends a signal.
    pub fn signal(&mut self, signal: Signal) {
        self.ending |= matches!(signal, Signal::Term | Signal::Int | Signal::Quit);
        self.process.signal(signal);
    }

    /// Writes the configuration anew, without telling the gateway. Without `[process]`, that table stays as it was.
    pub fn rewrite(&self, toml: &str) {
        self.scratch.write("gateway.toml", &with_process(toml, &self.head));
    }

    /// Writes the configuration anew and reloads it by the admin interface: 200, or 422 with the faults.
    #[track_caller]
    pub fn reload(&self, toml: &str) -> Response {
        self.rewrite(toml);
        self.ask("POST", "/v1/reload")
    }

    /// Asks the admin interface.
    #[track_caller]
    pub fn ask(&self, method: &str, path: &str) -> Response {
        ask(self.admin, method, path)
    }

    /// The JSON at a path of the admin interface, which answers 200.
    #[track_caller]
    pub fn get_json(&self, path: &str) -> Value {
        let response = self.ask("GET", path);
        assert_eq!(response.status, 200, "{path}: {}", response.text());
        serde_json::from_str(response.text()).unwrap_or_else(|fault| panic!("{path}: {fault}: {}", response.text()))
    }

    /// A scrape.
    #[track_caller]
    pub fn metrics(&self) -> Metrics {
        let response = self.ask("GET", "/metrics");
        assert_eq!(response.status, 200);
        Metrics::parse(response.text())
    }

    /// Every line of the access log so far.
    pub fn log_lines(&self) -> Vec<LogLine> {
        self.process.output.lock().log()
    }

    /// Every line on standard output so far.
    pub fn stdout(&self) -> Vec<String> {
        self.process.output.lock().stdout.clone()
    }

    /// Everything printed so far, on both streams.
    pub fn printed(&self) -> String {
        let output = self.process.output.lock();
        output.stdout.join("\n") + "\n" + &output.stderr.join("\n")
    }

    /// Waits for a line on standard output for which the condition holds.
    #[track_caller]
    pub fn wait_stdout(&self, condition: impl Fn(&str) -> bool) -> String {
        let find = |output: &Output| output.stdout.iter().find(|line| condition(line)).cloned();
        let output = self.process.output.wait("a line on standard output", |output| find(output).is_some());
        find(&output).unwrap()
    }

    /// The first line of the access log that the condition holds for; waits until it is there.
    #[track_caller]
    pub fn wait_log(&self, condition: impl Fn(&LogLine) -> bool) -> LogLine {
        self.wait_log_lines(1, condition).remove(0)
    }

    /// Every line of the access log that the condition holds for; waits until there are `n`.
    #[track_caller]
    pub fn wait_log_lines(&self, n: usize, condition: impl Fn(&LogLine) -> bool) -> Vec<LogLine> {
        let matching = |output: &Output| output.log().into_iter().filter(&condition).collect::<Vec<_>>();
        let output = self.process.output.wait("a line of the access log", |output| matching(output).len() >= n);
        matching(&output)
    }

    /// Waits for a line on standard error that contains this.
    #[track_caller]
    pub fn wait_stderr(&self, part: &str) -> String {
        let find = |output: &Output| output.stderr.iter().find(|line| line.contains(part)).cloned();
        let output = self.process.output.wait(part, |output| find(output).is_some());
        find(&output).unwrap()
    }

    /// Lets error lines that contain this pass.
    pub fn expect_error(&mut self, part: &str) {
        self.expected.push(part.to_owned());
    }

    /// Ends it with TERM and waits for the end of its drain.
    #[track_caller]
    pub fn stop(mut self) -> ExitStatus {
        self.assert_no_panic_counted();
        self.signal(Signal::Term);
        self.wait_exit()
    }

    /// Resident memory of the process, in KiB.
    pub fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Processor time that it has used, in user space and in the kernel.
    pub fn cpu_time(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap();
        let (_, fields) = stat.rsplit_once(')').unwrap();
        let ticks: u64 = fields.split_whitespace().skip(11).take(2).map(|field| field.parse::<u64>().unwrap()).sum();
        Duration::from_millis(ticks * 10) // a hundred a second, on every machine
    }

    /// Descriptors that it has open.
    pub fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.pid())).unwrap().count()
    }

    /// Waits until it has ended by itself, or by a signal that was sent.
    #[track_caller]
    pub fn wait_exit(mut self) -> ExitStatus {
        self.ending = true;
        self.process.wait() // dropping self looks at what it left behind
    }

    #[track_caller]
    fn assert_no_panic_counted(&self) {
        assert!(self.metrics().sum("ringway_panics_total", &[]) < 0.5, "the gateway counted a panic");
    }

    #[track_caller]
    fn assert_nothing_wrong(&self) {
        let output = self.process.output.lock();
        for line in &output.stderr {
            let wrong = line.contains("panicked at") || line.contains("ERROR");
            let expected = self.expected.iter().any(|part| line.contains(part.as_str()));
            assert!(!wrong || expected, "the gateway complained: {line}\n{}", output.dump());
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.process.kill();
            eprintln!("{}", self.process.output.lock().dump());
            return;
        }
        if !self.ending {
            self.assert_no_panic_counted();
        }
        self.process.kill();
        self.assert_nothing_wrong();
    }
}

/// Asks the admin interface at an address.
#[track_caller]
pub fn ask(admin: SocketAddr, method: &str, path: &str) -> Response {
    let mut raw = Raw::connect(admin);
    raw.send(format!("{method} {path} HTTP/1.1\r\nHost: {admin}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"));
    raw.read_response()
}

/// A configuration of one listener `http` and one upstream `app` behind every host and path. `app` and `listen` are more
/// lines for their tables.
pub fn simple(origins: &[&Origin], app: &str, listen: &str) -> String {
    let list: Vec<String> = origins.iter().map(|origin| format!("\"{}\"", origin.address())).collect();
    format!(
        "[listen.http]\nbind = \"127.0.0.1:0\"\n{listen}\n\n[upstream.app]\nendpoints = [{}]\n{app}\n\n\
         [host.\"*\"]\nroutes = [{{ path = \"/*\", upstream = \"app\" }}]\n",
        list.join(", ")
    )
}

/// The addresses of `LISTEN name address` and `ADMIN address`, once there is `READY`.
fn told_addresses(lines: &[String]) -> Option<Addresses> {
    lines.iter().find(|line| *line == "READY")?;
    let word = |word: &'static str| lines.iter().filter_map(move |line| line.strip_prefix(word));
    let listeners = word("LISTEN ")
        .map(|rest| rest.split_once(' ').expect("LISTEN name address"))
        .map(|(name, addr)| (name.to_owned(), addr.parse().expect("an address")));
    Some((listeners.collect(), word("ADMIN ").next().expect("an ADMIN line").parse().expect("an address")))
}

fn with_process(toml: &str, head: &str) -> String {
    let head = if process_table(toml).is_some() { "" } else { head };
    chosen(&format!("{head}{toml}"))
}

/// The text of the `[process]` table, if there is one.
fn process_table(toml: &str) -> Option<&str> {
    let begin = toml.find("[process]")?;
    let end = toml[begin..].find("\n[").map_or(toml.len(), |end| begin + end + 1);
    Some(&toml[begin..end])
}

// === impl Process ===

/// A child whose output is collected, and which does not outlive the test.
struct Process {
    child: Child,
    output: Arc<Collected>,
    readers: Vec<JoinHandle<()>>,
    /// Opened for those who are to read standard error.
    ears: Gate,
}

impl Process {
    fn spawn(args: &[&str], folder: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringway"));
        command.args(args);
        Self::run(command, folder, false)
    }

    fn spawn_deaf(args: &[&str], folder: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringway"));
        command.args(args);
        Self::run(command, folder, true)
    }

    fn spawn_under(limits: &str, args: &[&str], folder: &Path) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("{limits} && exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_ringway")]).args(args);
        Self::run(command, folder, false)
    }

    /// Nobody reads the standard error of a process that is `deaf`, until its ears are opened.
    fn run(mut command: Command, folder: &Path, deaf: bool) -> Self {
        let mut child = command
            .current_dir(folder)
            .env_remove("RUST_LOG")
            .env("NO_COLOR", "1")
            .env("RUST_BACKTRACE", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (output, ears) = (Arc::new(Collected::default()), Gate::new());
        let shut = deaf.then(|| ears.clone());
        let readers = vec![
            collect(child.stdout.take().unwrap(), &output, None, |output, line| {
                if let Some(line) = line { output.stdout.push(line) } else { output.ended = true }
            }),
            collect(child.stderr.take().unwrap(), &output, shut, |output, line| output.stderr.extend(line)),
        ];
        Self { child, output, readers, ears }
    }

    fn signal(&self, signal: Signal) {
        let name = format!("{signal:?}").to_uppercase();
        let sent = Command::new("sh").args(["-c", &format!("kill -s {name} {}", self.child.id())]).status().unwrap();
        assert!(sent.success(), "{name} to {}: {sent}", self.child.id());
    }

    /// Waits for the end, and for the last of its output.
    #[track_caller]
    fn wait(&mut self) -> ExitStatus {
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if begun.elapsed() > PATIENCE * 2 {
                self.kill();
                panic!("the process did not end:\n{}", self.output.lock().dump());
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        self.join();
        status
    }

    fn kill(&mut self) {
        drop(self.child.kill()); // it may have ended
        self.child.wait().unwrap();
        self.join();
    }

    fn join(&mut self) {
        self.ears.open();
        for reader in self.readers.drain(..) {
            reader.join().unwrap();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

#[derive(Default)]
struct Collected {
    output: Mutex<Output>,
    changed: Condvar,
}

#[derive(Default)]
struct Output {
    stdout: Vec<String>,
    stderr: Vec<String>,
    ended: bool,
}

impl Collected {
    fn lock(&self) -> MutexGuard<'_, Output> {
        self.output.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[track_caller]
    fn wait(&self, what: &str, condition: impl Fn(&Output) -> bool) -> MutexGuard<'_, Output> {
        let output = self.lock();
        let (output, late) = self.changed.wait_timeout_while(output, PATIENCE, |output| !condition(output)).unwrap();
        assert!(!late.timed_out(), "waited in vain for {what}\n{}", output.dump());
        output
    }
}

impl Output {
    fn log(&self) -> Vec<LogLine> {
        self.stdout.iter().filter_map(|line| LogLine::parse(line)).collect()
    }

    fn dump(&self) -> String {
        format!("--- stdout\n{}\n--- stderr\n{}\n---", self.stdout.join("\n"), self.stderr.join("\n"))
    }
}

/// Hands on every line, and then none; begins once the gate is open.
fn collect(
    stream: impl Read + Send + 'static,
    output: &Arc<Collected>,
    gate: Option<Gate>,
    take: impl Fn(&mut Output, Option<String>) + Send + 'static,
) -> JoinHandle<()> {
    let output = output.clone();
    std::thread::spawn(move || {
        gate.iter().for_each(Gate::wait_long);
        let mut lines = BufReader::new(stream).split(b'\n');
        loop {
            let line = lines.next().map(|line| String::from_utf8_lossy(&line.unwrap_or_default()).into_owned());
            let last = line.is_none();
            take(&mut output.lock(), line);
            output.changed.notify_all();
            if last {
                return;
            }
        }
    })
}
