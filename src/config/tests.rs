//! What every configuration promises: faulty files are explained to the letter, good ones load, every key has an effect,
//! what a model stands for reads back as the same model, and the reference is neither stale nor incomplete.

#![expect(clippy::disallowed_methods, reason = "tests read and write files")]

use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value as Json;

use super::load;
use super::load_text;
use super::property_tests::with_secrets;
use super::serve;
use super::to_toml;
use crate::address;
use crate::address::Networks;
use crate::id::UpstreamIndex;
use crate::model::Balance;
use crate::model::Chunks;
use crate::model::HostPattern;
use crate::model::KeepAlive;
use crate::model::Listener;
use crate::model::LogFormat;
use crate::model::LogTarget;
use crate::model::Model;
use crate::model::Passthrough;
use crate::model::PathPattern;
use crate::model::PathRule;
use crate::model::Paths;
use crate::model::ProxyVersion;
use crate::model::Relay;
use crate::model::ResponseLimits;
use crate::model::Route;
use crate::model::Server;
use crate::model::Way;
use crate::model::fixture;

mod keys;
mod upstreams;

fn files(directory: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    files.sort();
    files
}

fn model(text: &str) -> Model {
    load_text("test", text).unwrap_or_else(|report| panic!("{report}\nof\n{text}")).model
}

fn faults(text: &str) -> Vec<String> {
    let report = load_text("test", text).expect_err(text).to_json();
    report.as_array().unwrap().iter().map(|fault| fault["message"].as_str().unwrap().to_owned()).collect()
}

const SMALL: &str = "[listen.http]\nbind = \"127.0.0.1:8080\"\n[upstream.app]\nendpoints = [\"10.0.0.1:3000\"]\n\
                     [host.\"*\"]\nroutes = [{ path = \"/*\", upstream = \"app\" }]\n";

// === faults ===

#[test]
fn every_faulty_file_is_explained() {
    let files = files("tests/config/faulty");
    assert!(files.len() >= 75);
    let held = std::fs::read_dir("tests/config/snapshots").unwrap().count();
    assert_eq!(held, files.len(), "a snapshot without its file");
    insta::with_settings!({
        snapshot_path => "../../tests/config/snapshots",
        prepend_module_to_snapshot => false,
        omit_expression => true,
    }, {
        for path in files {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let report = load(&path).expect_err(&name);
            insta::assert_snapshot!(name, report.render(false));
        }
    });
}

#[test]
fn a_report_as_json_has_the_same_faults_and_places() {
    for path in files("tests/config/faulty") {
        let report = load(&path).unwrap_err();
        let (text, json) = (report.render(false), report.to_json());
        let list = json.as_array().unwrap();
        assert_eq!(list.len(), report.len(), "{}", path.display());
        for fault in list {
            let place = format!("{}:{}:{}\n", fault["file"].as_str().unwrap(), fault["line"], fault["column"]);
            assert!(text.contains(&place), "{place} is not in\n{text}");
            assert!(text.contains(fault["message"].as_str().unwrap()));
        }
    }
}

#[test]
fn a_file_that_cannot_be_read_is_one_line() {
    let report = load(Path::new("tests/config/none.toml")).unwrap_err();
    assert_eq!(
        report.to_string(),
        "error: cannot read tests/config/none.toml: No such file or directory (os error 2)\n"
    );
    assert_eq!(report.to_json()[0]["file"], Json::Null);
    let report = load(Path::new("tests/config")).unwrap_err();
    assert!(report.to_string().starts_with("error: cannot read tests/config: it is a directory\n"));
}

#[test]
fn colour_changes_no_word() {
    let report = load(Path::new("tests/config/faulty/01-everything-at-once.toml")).unwrap_err();
    let styled = report.render(true);
    let mut parts = styled.split("\u{1b}[");
    let mut plain = parts.next().unwrap().to_owned();
    parts.for_each(|part| plain.push_str(part.split_once('m').unwrap().1));
    assert!(styled.contains("\u{1b}["));
    assert_eq!(plain, report.render(false));
}

#[test]
fn the_terminal_is_not_written_to_by_the_file() {
    for text in ["# \u{1b}[31m\nx = 1\n", "\"\\u001b[31m\" = 1\n", "[listen.\"\\u001b[31m\"]\nbind = \"\\u001b[2J\"\n"]
    {
        let report = load_text("test", text).unwrap_err().render(false);
        assert!(!report.contains('\u{1b}'), "{report:?}");
    }
}

#[test]
fn many_faults_are_counted_and_some_shown() {
    let many: String = (0..20_000).map(|number| format!("knob{number} = {number}\n")).collect();
    let report = load_text("test", &format!("{SMALL}[process]\n{many}")).unwrap_err();
    assert_eq!(report.len(), 20_000);
    assert_eq!(report.to_json().as_array().unwrap().len(), 100);
    assert!(report.render(false).ends_with("\n20000 errors, the first 100 shown: configuration not loaded\n"));
}

#[test]
fn a_large_file_with_every_reference_wrong_is_answered() {
    let upstreams: String =
        (0..5_000).map(|number| format!("[upstream.service-{number}]\nendpoints = [\"10.0.0.1:3000\"]\n")).collect();
    let routes: String =
        (0..5_000).map(|number| format!("{{ path = \"/{number}\", upstream = \"srevice-{number}\" }},\n")).collect();
    let text = format!("[listen.http]\nbind = \":80\"\n{upstreams}[host.\"*\"]\nroutes = [\n{routes}]\n");
    assert_eq!(load_text("test", &text).unwrap_err().len(), 5_000);
}

#[test]
fn depth_is_bounded() {
    for text in [
        format!("a = {}", "[".repeat(100_000)),
        format!("a = {}1{}", "[".repeat(100_000), "]".repeat(100_000)),
        format!("{}a = 1", "a.".repeat(50_000)),
        format!("[{}a]\nb = 1", "a.".repeat(50_000)),
        format!("a = {}", "{ a = ".repeat(50_000)),
    ] {
        assert!(!load_text("test", &text).unwrap_err().is_empty());
    }
}

#[test]
fn a_section_without_fault_does_not_hide_the_faults_of_others() {
    let text = SMALL.replace("\"10.0.0.1:3000\"]", "\"10.0.0.1:3000\"]\nweight = 3\nbalance = \"hash\"");
    assert_eq!(
        faults(&text),
        ["unknown key `weight` in upstream \"app\"", "`balance` of upstream \"app\" cannot be \"hash\""]
    );
}

#[test]
fn a_text_cannot_include_files() {
    let found = faults(&format!("include = [\"conf.d/*.toml\"]\n{SMALL}"));
    assert_eq!(found, ["a configuration that is no file cannot include files"]);
}

#[test]
fn an_upstream_that_no_route_uses_is_a_warning() {
    let loaded = load_text("test", &format!("{SMALL}[upstream.spare]\nendpoints = [\"10.0.0.2:3000\"]\n")).unwrap();
    let [warning] = loaded.warnings.as_slice() else { panic!("{:?}", loaded.warnings) };
    assert_eq!(warning.message(), "upstream \"spare\" is not used by any route");
    assert!(warning.render(false).starts_with("warning: upstream \"spare\""), "{warning}");
    assert_eq!((&warning.to_json()["line"], &warning.to_json()["column"]), (&Json::from(7), &Json::from(11)));
}

#[test]
fn hosts_that_no_listener_asks_are_a_warning() {
    let loaded = load_text("test", &SMALL.replace("8080\"", "8080\"\ntcp = \"app\"")).unwrap();
    let [warning] = loaded.warnings.as_slice() else { panic!("{:?}", loaded.warnings) };
    assert_eq!(warning.message(), "hosts are defined, and no listener reads requests");
}

/// Of the defaults, what concerns requests and TLS is for other listeners; without one of those no host is needed.
#[test]
fn what_a_file_says_of_carried_bytes_is_what_the_model_holds() {
    let text = "[defaults.listen]\nconnections = 7\nhead = \"9KiB\"\nserver = \"off\"\nredirect = \"https\"\n\
                timeout = { idle = \"5s\", carried = \"10m\" }\nhandshake = { hello = \"2KiB\", policy = \"modern\" }\n\
                [listen.db]\nbind = \"127.0.0.1:5432\"\ntcp = \"z\"\n\
                [listen.edge]\nbind = \"127.0.0.1:8443\"\ntimeout.carried = \"1m\"\n\
                passthrough = { \"*\" = \"a\", \"Shop.example.com\" = \"z\", \"*.example.com\" = \"a\" }\n\
                [upstream.z]\nendpoints = [\"10.0.0.1:1\"]\n[upstream.a]\nendpoints = [\"10.0.0.2:1\"]\n";
    let loaded = load_text("test", text).unwrap_or_else(|report| panic!("{report}"));
    assert!(loaded.warnings.is_empty() && loaded.model.hosts.is_empty(), "{:?}", loaded.warnings);
    let [db, edge] = loaded.model.listeners.as_slice() else { panic!() };
    let plain = |name, bind: &str, relay| Listener {
        connections_max: 7,
        relay: Some(relay),
        ..fixture::listener(name, bind.parse().unwrap())
    };
    let (a, z) = (UpstreamIndex(0), UpstreamIndex(1));
    let tcp = Relay { way: Way::Tcp(z), idle: Duration::from_mins(10) };
    assert_eq!(*db, plain("db", "127.0.0.1:5432", tcp));
    let names = vec![
        (HostPattern::Any, a),
        (HostPattern::Wildcard("example.com".into()), a),
        (HostPattern::Exact("shop.example.com".into()), z),
    ];
    let passthrough = Passthrough { names, hello_bytes: 2048, timeout: Duration::from_secs(10) };
    let relay = Relay { way: Way::Passthrough(passthrough), idle: Duration::from_mins(1) };
    assert_eq!(*edge, plain("edge", "127.0.0.1:8443", relay));
    assert_eq!(model(&to_toml(&loaded.model)), loaded.model);
}

// === good files ===

#[test]
fn the_smallest_file_loads() {
    let loaded = load(Path::new("config/gateway.toml")).unwrap();
    assert_eq!(loaded.sources, [Path::new("config/gateway.toml")]);
    assert!(loaded.warnings.is_empty());
    assert_eq!(loaded.model.upstreams[0].endpoints.len(), 2);
}

#[test]
fn every_example_loads_says_what_it_shows_and_reads_back() {
    let examples = files("config/examples");
    assert!(examples.len() >= 13);
    for path in examples {
        let loaded = load(&path).unwrap_or_else(|report| panic!("{report}"));
        assert!(loaded.warnings.is_empty(), "{}", path.display());
        assert!(std::fs::read_to_string(&path).unwrap().starts_with("# "), "{}", path.display());
        let shown = with_secrets(&to_toml(&loaded.model), &loaded.model);
        assert_eq!(model(&shown), loaded.model);
    }
}

#[test]
fn included_files_are_read_in_order_and_share_the_defaults() {
    let loaded = load(Path::new("config/examples/includes.toml")).unwrap();
    let names: Vec<_> = loaded.sources.iter().map(|path| path.strip_prefix("config/examples").unwrap()).collect();
    assert_eq!(names, ["includes.toml", "conf.d/orders.toml", "conf.d/payments.toml"].map(Path::new));
    let [orders, payments] = loaded.model.upstreams.as_slice() else { panic!() };
    assert_eq!((orders.timeout.connect.as_millis(), orders.timeout.response.as_secs()), (250, 5));
    assert_eq!((payments.timeout.connect.as_millis(), payments.timeout.response.as_secs()), (250, 30));
    assert_eq!((orders.retry.attempts, payments.retry.attempts), (2, 1));
}

#[test]
fn a_star_means_the_files_beside_once_each_and_none_that_hide() {
    let loaded = load(Path::new("tests/config/good/shelf/gateway.toml")).unwrap_or_else(|report| panic!("{report}"));
    let names: Vec<_> = loaded.sources.iter().map(|path| path.file_name().unwrap()).collect();
    assert_eq!(names, ["gateway.toml", "a-hosts.toml", "z-upstreams.toml"]);
    assert_eq!(loaded.model.process.cores, crate::model::Cores::Count(2));
}

#[test]
fn serve_is_what_it_prints() {
    let model = serve("[::1]:3000".parse().unwrap(), "127.0.0.1:8080".parse().unwrap());
    assert_eq!(
        to_toml(&model),
        "[listen.http]\nbind = \"127.0.0.1:8080\"\n\n[upstream.app]\nendpoints = [\"[::1]:3000\"]\n\n\
         [host.\"*\"]\nroutes = [\n  { path = \"/*\", upstream = \"app\" },\n]\n"
    );
    assert_eq!(self::model(&to_toml(&model)), model);
    let model = serve("unix:/run/app.sock".parse().unwrap(), "unix:/run/http.sock".parse().unwrap());
    assert!(to_toml(&model).contains("bind = \"unix:/run/http.sock\"\n"), "{}", to_toml(&model));
    assert!(to_toml(&model).contains("endpoints = [\"unix:/run/app.sock\"]\n"), "{}", to_toml(&model));
    assert_eq!(self::model(&to_toml(&model)), model);
}

#[test]
fn what_a_file_says_is_what_the_model_holds() {
    let model = model(
        "[process]\ncores = [1, 0]\naccess_log = { format = \"combined\" }\n[listen.b]\nbind = \":80\"\n[listen.a]\n\
         bind = \"[::]:0\"\nhead = \"1.5KiB\"\ntarget = \"1KB\"\n[upstream.z]\nendpoints = [\"10.0.0.1:1\"]\n\
         [upstream.a]\nendpoints = [{ address = \"10.0.0.1:1\", weight = 7 }]\nbalance = \"round_robin\"\n\
         [host.\"*.Example.com\"]\nroutes = [{ path = \"/a/*\", upstream = \"z\" }, { path = \"/a/\", upstream = \"a\" }]\n\
         [host.\"[0:0::1]\"]\nroutes = [{ path = \"/*\", upstream = \"z\", max_body = \"10MB\" }]\n",
    );
    assert_eq!(
        (&model.process.access_log.to, model.process.access_log.format),
        (&LogTarget::Stdout, LogFormat::Combined)
    );
    assert_eq!(model.listeners.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!((model.listeners[0].head_bytes, model.listeners[0].target_bytes), (1536, 1000));
    assert_eq!(model.listeners[1].bind, ["0.0.0.0:80".parse().unwrap()]);
    assert_eq!((model.upstreams[0].balance.clone(), model.upstreams[0].endpoints[0].weight), (Balance::RoundRobin, 7));
    assert_eq!(model.hosts[0].pattern, HostPattern::Wildcard("example.com".into()));
    assert_eq!(model.hosts[1].pattern, HostPattern::Exact("[::1]".into()));
    assert_eq!(model.hosts[0].routes[0].path, PathPattern::Prefix("/a".into()));
    assert_eq!(model.hosts[0].routes[1].path, PathPattern::Exact("/a/".into()));
    assert_eq!(model.hosts[0].routes.iter().map(|route| route.upstream.0).collect::<Vec<_>>(), [1, 0]);
    assert_eq!(
        (model.hosts[1].routes[0].path.clone(), model.hosts[1].routes[0].max_body),
        (PathPattern::Prefix(String::new()), Some(10_000_000))
    );
}

/// Every setting of the edge, none of them the default.
#[test]
fn what_a_file_says_of_the_edge_is_what_the_model_holds() {
    let model = load(Path::new("tests/config/good/edge.toml")).unwrap_or_else(|report| panic!("{report}")).model;
    let [direct, proxied] = model.listeners.as_slice() else { panic!() };
    let networks = |list: &[&str]| list.iter().map(|text| address::network(text).unwrap()).collect::<Vec<_>>();
    let trusted =
        Networks { list: networks(&["10.0.0.0/8", "192.168.1.7/32", "fd00::/8", "::1/128", "0.0.0.0/0"]), unix: true };
    assert_eq!(
        *proxied,
        Listener {
            client_connections_max: Some(50),
            trusted,
            proxy_protocol: true,
            paths: Paths { dots: PathRule::Keep, slashes: PathRule::Resolve, encoded_slashes: PathRule::Refuse },
            server: Server::Set("shop 1.0 (edge)".into()),
            min_rate: 1024,
            tunnel_timeout: Duration::from_mins(10),
            max_body: Some(1 << 30),
            chunks: Chunks { line_bytes: 64, extension_bytes: 0 },
            keep_alive: KeepAlive { requests: 100, age: Duration::from_mins(10) },
            connections_max: 100_000,
            ..fixture::listener("proxied", "127.0.0.1:8081".parse().unwrap())
        }
    );
    // Key by key: what it says itself, what the defaults say, what is built in.
    assert_eq!(
        *direct,
        Listener {
            client_connections_max: Some(50),
            paths: Paths { dots: PathRule::Refuse, slashes: PathRule::Resolve, encoded_slashes: PathRule::Keep },
            server: Server::Off,
            max_body: Some(1 << 20),
            min_rate: 0,
            connections_max: 100_000,
            ..fixture::listener("direct", "127.0.0.1:8080".parse().unwrap())
        }
    );
    let [app, live] = model.upstreams.as_slice() else { panic!() };
    assert_eq!(
        app.response,
        ResponseLimits { head_bytes: 65_536, fields: 50, interim: 0, ..fixture::upstream("", &[]).response }
    );
    assert_eq!((app.min_rate, app.proxy_protocol), (2048, Some(ProxyVersion::V2)));
    assert_eq!(live.response, ResponseLimits { head_bytes: 65_536, ..fixture::upstream("", &[]).response });
    assert_eq!((live.min_rate, live.proxy_protocol), (0, Some(ProxyVersion::V1)));
    let plain = |path: &str, upstream| fixture::route(PathPattern::Prefix(path.into()), upstream);
    assert_eq!(
        model.hosts[0].routes,
        [
            plain("", 0),
            Route {
                upgrade: vec!["websocket".into(), "x-feed".into()],
                connect: true,
                tunnel_timeout: Some(Duration::from_hours(1)),
                connect_timeout: Some(Duration::from_millis(250)),
                response_timeout: Some(Duration::from_secs(5)),
                body_timeout: Some(Duration::from_mins(2)),
                min_rate: Some(0),
                attempts: Some(1),
                ..plain("/live", 1)
            },
            Route { response_timeout: Some(Duration::from_mins(1)), ..plain("/reports", 0) },
        ]
    );
}

mod environment {
    use super::super::env::escape;
    use super::super::env::expand;
    use super::super::report::Faults;
    use super::super::report::Span;

    fn filled(text: &str) -> Option<String> {
        let env = |name: &str| match name {
            "HOST" => Some("10.0.0.1".to_owned()),
            "EMPTY" => Some(String::new()),
            "NESTED" => Some("${HOST}".to_owned()),
            _ => None,
        };
        let mut faults = Faults::default();
        let filled = expand(text, text, Span { file: 0, start: 0, end: text.len() }, &env, &mut faults);
        assert_eq!(filled.is_none(), !faults.is_empty());
        filled
    }

    #[test]
    fn variables_are_filled_in() {
        for (text, value) in [
            ("", Some("")),
            ("plain $ { } $HOST", Some("plain $ { } $HOST")),
            ("${HOST}:80", Some("10.0.0.1:80")),
            ("${HOST}${HOST}", Some("10.0.0.110.0.0.1")),
            ("${NONE:-127.0.0.1}:80", Some("127.0.0.1:80")),
            ("${NONE:-}", Some("")),
            ("${EMPTY}", Some("")),
            ("${EMPTY:-x}", Some("x")),
            ("${HOST:-x}", Some("10.0.0.1")),
            // A value is not read again: what the environment holds cannot ask for more of it.
            ("${NESTED}", Some("${HOST}")),
            ("$${HOST}", Some("${HOST}")),
            ("$$${HOST}", Some("$${HOST}")),
            ("${NONE}", None),
            ("${HOST", None),
            ("${}", None),
            ("${1A}", None),
            ("${A B}", None),
        ] {
            assert_eq!(filled(text).as_deref(), value, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_escaped_comes_back(text in "[${}aH:-]{0,20}") {
            proptest::prop_assert_eq!(filled(&escape(&text)), Some(text));
        }
    }
}
