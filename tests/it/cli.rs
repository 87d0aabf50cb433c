//! Commands as a user types them: what they print, and their exit codes. 0 fine, 1 configuration or start, 2 usage.

use std::io::BufRead as _;
use std::io::BufReader;
use std::io::pipe;
use std::process::Command;
use std::process::Stdio;

use crate::support::Authority;
use crate::support::Gateway;
use crate::support::Origin;
use crate::support::Raw;
use crate::support::Scratch;
use crate::support::get;
use crate::support::ok;
use crate::support::run;
use crate::support::simple;

/// A file with this configuration, and the folder that holds it.
fn file(toml: &str) -> (Scratch, String) {
    let scratch = Scratch::new();
    let path = scratch.write("gateway.toml", toml).to_str().unwrap().to_owned();
    (scratch, path)
}

fn valid() -> String {
    "[process]\ncores = 1\nadmin = \"127.0.0.1:0\"\n".to_owned() + &simple(&[&Origin::refusing()], "", "")
}

#[test]
fn version_says_the_version() {
    let exit = run(&["version"]);
    assert_eq!(exit.code, 0, "{exit:?}");
    assert!(exit.stdout.contains(&format!("ringway {}", env!("CARGO_PKG_VERSION"))), "{exit:?}");
}

#[test]
fn wrong_usage_is_exit_code_2_and_says_what_is_right() {
    for args in [&[][..], &["fly"], &["run", "-x"], &["serve"], &["version", "please"]] {
        let exit = run(args);
        assert_eq!(exit.code, 2, "{args:?}: {exit:?}");
        assert!(exit.stderr.contains("Usage"), "{args:?}: {exit:?}");
    }
}

#[test]
fn help_is_fine_and_names_every_command() {
    let exit = run(&["--help"]);
    assert_eq!(exit.code, 0);
    for command in ["demo", "run", "serve", "check", "schema", "version"] {
        assert!(exit.stdout.contains(command), "{command}: {}", exit.stdout);
    }
}

#[test]
fn a_configuration_without_fault_is_checked_and_not_started() {
    let (_scratch, path) = file(&valid());
    for args in [["check", "-c", &path], ["-t", "-c", &path]] {
        let exit = run(&args);
        assert_eq!(exit.code, 0, "{args:?}: {exit:?}");
        assert!(!exit.stdout.contains("READY"));
        std::fs::write(&path, valid().replace("bind", "bnid")).unwrap();
        assert_eq!(run(&args).code, 1, "{args:?}: a fault is seen");
        std::fs::write(&path, valid()).unwrap();
    }
}

#[test]
fn every_fault_of_a_configuration_is_told_at_its_place() {
    let toml = valid()
        .replace("[upstream.app]", "[upstream.app]\nretries = 3")
        .replace("upstream = \"app\"", "upstream = \"apq\"");
    let (_scratch, path) = file(&toml);
    for args in [["check", "-c", &path], ["-t", "-c", &path], ["run", "-c", &path]] {
        let exit = run(&args);
        assert_eq!(exit.code, 1, "{args:?}: {exit:?}");
        let place = |part: &str| {
            let line = 1 + toml.lines().position(|line| line.contains(part)).unwrap();
            format!("gateway.toml:{line}:")
        };
        assert!(exit.stderr.contains(&place("retries")), "{args:?}: {}", exit.stderr);
        assert!(exit.stderr.contains(&place("apq")), "{args:?}: {}", exit.stderr);
        assert!(exit.stderr.contains('^') && exit.stderr.contains("app"), "{args:?}: {}", exit.stderr);
    }
}

#[test]
fn a_file_that_is_not_there_is_one_clear_line() {
    for command in ["run", "check"] {
        let exit = run(&[command, "-c", "no-such-file.toml"]);
        assert_eq!((exit.code, exit.stdout.as_str()), (1, ""), "{exit:?}");
        assert_eq!(exit.stderr.trim().lines().count(), 1, "{exit:?}");
        assert!(exit.stderr.contains("no-such-file.toml"), "{exit:?}");
    }
}

#[test]
fn a_port_in_use_is_one_clear_line() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    for toml in [
        valid().replace("bind = \"127.0.0.1:0\"", &format!("bind = \"{addr}\"")),
        valid().replace("admin = \"127.0.0.1:0\"", &format!("admin = \"{addr}\"")),
    ] {
        let (_scratch, path) = file(&toml);
        let exit = run(&["run", "-c", &path]);
        assert_eq!(exit.code, 1, "{exit:?}");
        assert!(!exit.stdout.contains("READY"), "{exit:?}");
        let told = exit.stderr.lines().filter(|line| line.contains(&addr)).count();
        assert_eq!(told, 1, "{exit:?}");
        assert!(!exit.stderr.contains("panicked"), "{exit:?}");
    }
}

#[test]
fn an_address_that_is_not_ours_is_one_clear_line() {
    let (_scratch, path) = file(&valid().replace("bind = \"127.0.0.1:0\"", "bind = \"192.0.2.1:0\""));
    let exit = run(&["run", "-c", &path]);
    assert_eq!(exit.code, 1, "{exit:?}");
    assert_eq!(exit.stderr.lines().filter(|line| line.contains("192.0.2.1")).count(), 1, "{exit:?}");
}

#[test]
fn the_configurations_that_the_documents_show_are_fine() {
    for document in ["README.md", "docs/guide.md"] {
        let text = std::fs::read_to_string(document).unwrap();
        let blocks: Vec<&str> = text.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
        assert!(!blocks.is_empty(), "{document}");
        for block in blocks {
            let scratch = Scratch::new();
            let path = scratch.path().join("shown.toml");
            // What it names is there.
            let authority = Authority::new();
            authority.issue("shop", &["shop.example.com"]);
            std::fs::copy(authority.ca(), authority.scratch.path().join("internal-ca.pem")).unwrap();
            let here = format!("{}/", authority.scratch.path().display());
            std::fs::write(&path, block.replace("/etc/ringway/", &here)).unwrap();
            let exit = run(&["check", "-c", path.to_str().unwrap()]);
            assert_eq!(exit.code, 0, "{document}: {exit:?}");
        }
    }
}

#[test]
fn the_schema_is_json_and_knows_the_tables() {
    let exit = run(&["schema"]);
    assert_eq!(exit.code, 0);
    let schema: serde_json::Value = serde_json::from_str(&exit.stdout).unwrap();
    for table in ["process", "listen", "upstream", "host", "defaults"] {
        assert!(schema["properties"].get(table).is_some(), "{table}");
    }
}

#[test]
fn serve_needs_no_file_and_prints_what_it_stands_for() {
    let folder = Scratch::new();
    let path = folder.path().join("app.sock").display().to_string();
    for origin in [Origin::named("served"), Origin::answer_at(&format!("unix:{path}"), |_| ok("served"))] {
        let to = origin.address().to_string();
        let gateway = Gateway::launch(&["serve", "--to", &to, "--listen", "127.0.0.1:0"], Scratch::new());
        let listen: Vec<_> =
            gateway.stdout().iter().filter_map(|line| line.strip_prefix("LISTEN ").map(str::to_owned)).collect();
        assert_eq!(listen.len(), 1);
        let (name, _) = listen[0].split_once(' ').unwrap();
        assert_eq!(get(gateway.addr(name), "/").text(), "served");
        let printed = gateway.printed();
        assert!(printed.contains("[listen.") && printed.contains("[upstream.") && printed.contains(&to), "{printed}");
        assert_eq!(gateway.stop().code(), Some(0));
    }
}

#[test]
fn serve_to_what_is_no_address_is_told() {
    for to in ["nonsense", "unix:nonsense"] {
        let exit = run(&["serve", "--to", to, "--listen", "127.0.0.1:0"]);
        assert!(matches!(exit.code, 1 | 2), "{exit:?}");
        assert!(exit.stderr.contains(to), "{exit:?}");
    }
}

#[test]
fn faults_that_nobody_reads_change_no_exit_code() {
    let (_scratch, path) = file("x = 1\n");
    for args in [["check", "-c", &path], ["run", "-c", &path], ["run", "-c", "no-such-file.toml"]] {
        let (reader, writer) = pipe().unwrap();
        drop(reader);
        let ended = Command::new(env!("CARGO_BIN_EXE_ringway")).args(args).stderr(writer).status().unwrap();
        assert_eq!(ended.code(), Some(1), "{args:?}");
    }
}

#[test]
fn a_gateway_outlives_the_reader_of_its_log() {
    let (_scratch, path) = file(&valid());
    let (reader, writer) = pipe().unwrap();
    let mut gateway = Command::new(env!("CARGO_BIN_EXE_ringway"))
        .args(["run", "-c", &path])
        .stdout(Stdio::piped())
        .stderr(writer)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(gateway.stdout.take().unwrap()).lines().map(Result::unwrap);
    let admin = lines.find_map(|line| line.strip_prefix("ADMIN ").map(str::to_owned)).unwrap().parse().unwrap();
    assert!(lines.any(|line| line == "READY"));
    drop(reader);
    let mut raw = Raw::connect(admin);
    // Each reload is worth a line or two.
    let answers = [(); 2].map(|()| {
        raw.try_send("POST /v1/reload HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n").map_err(drop)?;
        raw.try_read_response().map_err(drop)
    });
    gateway.kill().unwrap();
    gateway.wait().unwrap();
    for answer in answers {
        assert_eq!(answer.expect("it lives").status, 200);
    }
}
