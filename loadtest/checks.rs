//! What health checks cost: a gateway with thousands of endpoints to check and no requests to serve, and the CPU time it
//! takes, against one without checks. The endpoints are addresses of 127.0.0.0/8, all answered by this program.
//!
//! `cargo run --release --example checks [-- ENDPOINTS INTERVAL_SECONDS MEASURED_SECONDS KIND]`, KIND one of http, tcp and
//! grpc; without arguments 10,000 endpoints every 5 s, measured for 30 s. Wants `target/release/ringway` to be built, and a
//! limit of descriptors of twice the endpoints. Exit code 1: over 10 % of one core.

#![expect(clippy::disallowed_methods, reason = "a program that measures may wait, for a time and for a disk")]

use std::error::Error;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::ExitCode;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// The most that checks may take of one core, in percent.
const BAR: f64 = 10.0;
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

struct Plan {
    endpoints: usize,
    interval: u64,
    seconds: u64,
    kind: String,
}

fn main() -> ExitCode {
    match measure() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("checks: {error}");
            ExitCode::from(2)
        }
    }
}

fn measure() -> Outcome<bool> {
    let mut arguments = std::env::args().skip(1);
    let mut number = |otherwise: u64| arguments.next().map_or(Ok(otherwise), |text| text.parse::<u64>());
    let (endpoints, interval, seconds) = (usize::try_from(number(10_000)?)?, number(5)?, number(30)?);
    let plan = Plan { endpoints, interval, seconds, kind: arguments.next().unwrap_or_else(|| "http".into()) };
    let port = serve(plan.kind == "grpc")?;
    let idle = run(&plan, port, false)?;
    let busy = run(&plan, port, true)?;
    let percent = |time: Duration| time.as_secs_f64() / plan.seconds as f64 * 100.0;
    let checks = percent(busy) - percent(idle);
    let a_second = plan.endpoints as f64 / plan.interval as f64;
    println!(
        "{} endpoints, {} checks every {} s: {:.2} % of one core ({:.2} % with them, {:.2} % without), {:.1} µs a check",
        plan.endpoints,
        plan.kind,
        plan.interval,
        checks,
        percent(busy),
        percent(idle),
        checks / 100.0 / a_second * 1e6
    );
    Ok(checks <= BAR)
}

/// Answers at every address of this machine, on a thread of its own; the port.
fn serve(grpc: bool) -> Outcome<u16> {
    let listener = std::net::TcpListener::bind("0.0.0.0:0")?;
    listener.set_nonblocking(true)?;
    let port = listener.local_addr()?.port();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::spawn(move || {
        runtime.block_on(async move {
            let Ok(listener) = TcpListener::from_std(listener) else { return };
            loop {
                let Ok((stream, _)) = listener.accept().await else { continue };
                tokio::spawn(async move { if grpc { call(stream).await } else { answer(stream).await } });
            }
        });
    });
    Ok(port)
}

async fn answer(mut stream: tokio::net::TcpStream) {
    let mut block = [0; 512];
    while stream.read(&mut block).await.is_ok_and(|n| n > 0) {
        let close = block.windows(17).any(|part| part == b"Connection: close");
        if stream.write_all(ANSWER).await.is_err() || close {
            break;
        }
    }
}

async fn call(stream: tokio::net::TcpStream) {
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    while let Some(Ok((_, mut respond))) = connection.accept().await {
        let Ok(mut stream) = respond.send_response(http::Response::new(()), false) else { return };
        let mut trailers = http::HeaderMap::new();
        trailers.insert("grpc-status", http::HeaderValue::from_static("0"));
        drop(stream.send_data(bytes::Bytes::from_static(&[0, 0, 0, 0, 2, 8, 1]), false));
        drop(stream.send_trailers(trailers));
    }
}

/// Runs a gateway over the plan's endpoints, and gives the CPU time that it took while it was measured.
fn run(plan: &Plan, port: u16, with_checks: bool) -> Outcome<Duration> {
    let file = configuration(plan, port, with_checks)?;
    let target = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target");
    let program = std::env::var_os("CARGO_TARGET_DIR").map_or(target, PathBuf::from).join("release/ringway");
    let mut child = Command::new(program)
        .args(["run", "-c"])
        .arg(&file)
        .env("RINGWAY_LOG", "error")
        .stdout(Stdio::piped())
        .spawn()?;
    let measured = watch(&mut child, plan, with_checks);
    child.kill()?;
    child.wait()?;
    std::fs::remove_file(file)?;
    measured
}

fn watch(child: &mut Child, plan: &Plan, with_checks: bool) -> Outcome<Duration> {
    let mut admin = None;
    for line in BufReader::new(child.stdout.take().ok_or("no output")?).lines() {
        let line = line?;
        if let Some(address) = line.strip_prefix("ADMIN ") {
            admin = Some(address.parse::<SocketAddr>()?);
        }
        if line == "READY" {
            break;
        }
    }
    let admin = admin.ok_or("the gateway did not start")?;
    // First checks are spread over the interval; what starting up costs is over by then.
    std::thread::sleep(Duration::from_secs(plan.interval + 2));
    let up = if with_checks { metric(admin, "ringway_endpoint_health{")? } else { plan.endpoints };
    if up != plan.endpoints {
        return Err(format!("only {up} of {} endpoints are up", plan.endpoints).into());
    }
    let (began, before) = (Instant::now(), cpu(child.id())?);
    std::thread::sleep(Duration::from_secs(plan.seconds));
    let (took, after) = (began.elapsed(), cpu(child.id())?);
    Ok((after - before).mul_f64(plan.seconds as f64 / took.as_secs_f64()))
}

/// How many samples of a metric are 1.
fn metric(admin: SocketAddr, begin: &str) -> Outcome<usize> {
    let mut stream = TcpStream::connect(admin)?;
    write!(
        stream,
        "GET /metrics?only=ringway_endpoint_health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text.lines().filter(|line| line.starts_with(begin) && line.ends_with(" 1")).count())
}

fn configuration(plan: &Plan, port: u16, with_checks: bool) -> Outcome<PathBuf> {
    let list: Vec<_> = (0..plan.endpoints)
        .map(|n| format!("\"127.{}.{}.{}:{port}\"", 1 + n / 62_500, n / 250 % 250, 1 + n % 250))
        .collect();
    let probe = match plan.kind.as_str() {
        "http" => "path = \"/healthz\"",
        "tcp" => "tcp = true",
        "grpc" => "grpc = \"\"",
        other => return Err(format!("there is no check of the kind {other}").into()),
    };
    let health = match with_checks {
        true => format!("health = {{ {probe}, interval = \"{}s\", timeout = \"1s\" }}\n", plan.interval),
        false => String::new(),
    };
    let text = format!(
        "[process]\ncores = 1\nadmin = \"127.0.0.1:0\"\nconnections = 1000\naccess_log = \"off\"\n[listen.http]\nbind = \"127.0.0.1:0\"\n\
         [upstream.app]\nendpoints = [{}]\n{health}[host.\"*\"]\nroutes = [{{ path = \"/*\", upstream = \"app\" }}]\n",
        list.join(", ")
    );
    let file = std::env::temp_dir().join(format!("ringway-checks-{}.toml", std::process::id()));
    std::fs::write(&file, text)?;
    Ok(file)
}

/// CPU time of all threads of a process, as the scheduler counts it.
fn cpu(pid: u32) -> Outcome<Duration> {
    let mut sum = 0;
    for task in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let text = std::fs::read_to_string(task?.path().join("schedstat"))?;
        sum += text.split_whitespace().next().ok_or("no schedstat")?.parse::<u64>()?;
    }
    Ok(Duration::from_nanos(sum))
}
