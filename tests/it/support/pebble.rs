//! Pebble, the ACME server that Let's Encrypt tests clients with, as a process; and names that all lead to this machine.

use std::net::UdpSocket;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;

use super::eventually;
use super::tls::Authority;

/// The process; it does not outlive the test.
pub struct Pebble {
    child: Child,
    port: u16,
    authority: Authority,
}

impl Pebble {
    /// Whether there is the program. Where there is none, the authority of these tests stands for it, which checks the same.
    pub fn is_there() -> bool {
        let there = Command::new("pebble").arg("-version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        there.is_ok()
    }

    /// Starts it. It looks for what is to be certified at these ports, by plain HTTP and by TLS.
    #[track_caller]
    pub fn start(plain: u16, secure: u16) -> Self {
        let authority = Authority::new();
        let shown = authority.issue("directory", &["127.0.0.1"]);
        let config = serde_json::json!({ "pebble": {
            "listenAddress": "127.0.0.1:0",
            "managementListenAddress": "",
            "certificate": shown.cert,
            "privateKey": shown.key,
            "httpPort": plain,
            "tlsPort": secure,
        } });
        let config = authority.scratch.write("pebble.json", &config.to_string());
        let spawned = Command::new("pebble")
            .args(["-config", config.to_str().unwrap(), "-strict", "-dnsserver", &names().to_string()])
            .env("PEBBLE_VA_NOSLEEP", "1")
            // Those that are refused by chance are tested elsewhere, by plan.
            .env("PEBBLE_WFE_NONCEREJECT", "0")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let child = spawned.unwrap_or_else(|fault| panic!("this test needs the program pebble: {fault}"));
        let mut pebble = Self { child, port: 0, authority };
        eventually("pebble to listen", || {
            pebble.port = pebble.listens().unwrap_or(0);
            pebble.port != 0
        });
        pebble
    }

    /// The lines of `[acme]`: this directory, and a folder of the test's own.
    pub fn table(&self, more: &str) -> String {
        format!(
            "[acme]\naccept_terms = true\ndirectory = \"https://127.0.0.1:{}/dir\"\nfolder = \"{}\"\nca = \"{}\"\n{more}\n",
            self.port,
            self.folder().display(),
            self.authority.ca().display(),
        )
    }

    fn folder(&self) -> PathBuf {
        self.authority.scratch.path().join("acme")
    }

    /// The port that it listens on, once it does: the kernel chose it.
    fn listens(&self) -> Option<u16> {
        let open = std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).ok()?;
        let links = open.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
        let sockets: Vec<String> = links
            .filter_map(|link| link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']').map(str::to_owned))
            .collect();
        let table = std::fs::read_to_string("/proc/net/tcp").ok()?;
        table.lines().skip(1).find_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let listens =
                words.get(3) == Some(&"0A") && sockets.iter().any(|socket| words.get(9) == Some(&socket.as_str()));
            let port = words.get(1)?.split(':').nth(1)?;
            listens.then(|| u16::from_str_radix(port, 16).ok())?
        })
    }
}

impl Drop for Pebble {
    fn drop(&mut self) {
        drop(self.child.kill()); // it may have ended
        self.child.wait().unwrap();
    }
}

/// Answers every question for a name's IPv4 address with this machine's, and every other with nothing (RFC 1035 §4).
fn names() -> std::net::SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let addr = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut asked = [0; 512];
        while let Ok((len, from)) = socket.recv_from(&mut asked) {
            let Some(name) = asked[12..len].iter().position(|byte| *byte == 0) else { continue };
            let question = &asked[12..12 + name + 5];
            let address = question[name + 1..name + 3] == [0, 1];
            let mut said = vec![asked[0], asked[1], 0x81, 0x80, 0, 1, 0, u8::from(address), 0, 0, 0, 0];
            said.extend_from_slice(question);
            if address {
                // The name is the one that was asked for.
                said.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, 127, 0, 0, 1]);
            }
            drop(socket.send_to(&said, from));
        }
    });
    addr
}
