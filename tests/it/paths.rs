//! Paths: what is routed is what is forwarded, and no spelling of a path reaches what another one may not.

use crate::support::Gateway;
use crate::support::Origin;
use crate::support::Raw;
use crate::support::Response;
use crate::support::get;
use crate::support::ok;

const DEFAULT: &str = "";
const RESOLVE: &str = "path = { dots = \"resolve\", slashes = \"resolve\", encoded_slashes = \"resolve\" }";
const REFUSE: &str = "path = { dots = \"refuse\", slashes = \"refuse\", encoded_slashes = \"refuse\" }";
const KEEP: &str = "path = { dots = \"keep\", slashes = \"keep\", encoded_slashes = \"keep\" }";

/// `admin` behind `/admin/*`, `app` behind all else; each answers with its name and the target that it received.
fn two(listen: &str) -> ([Origin; 2], Gateway) {
    let origins = ["admin", "app"].map(|name| Origin::answer(move |request| ok(&format!("{name} {}", request.target))));
    let gateway = Gateway::start(&format!(
        "[listen.http]\nbind = \"127.0.0.1:0\"\n{listen}\n\
         [upstream.admin]\nendpoints = [\"{}\"]\n[upstream.app]\nendpoints = [\"{}\"]\n\
         [host.\"*\"]\nroutes = [{{ path = \"/admin/*\", upstream = \"admin\" }}, {{ path = \"/*\", upstream = \"app\" }}]\n",
        origins[0].addr(),
        origins[1].addr()
    ));
    (origins, gateway)
}

fn show(response: &Response) -> String {
    if response.status == 200 { response.text().into() } else { response.status.to_string() }
}

/// The path as the most generous reader takes it: everything decoded, twice the slashes one, parameters cut off, and the
/// dots resolved last.
fn generous(target: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = target.split(['?', '#']).next().unwrap().bytes();
    while let Some(byte) = rest.next() {
        let digits: Vec<u8> = if byte == b'%' { rest.by_ref().take(2).collect() } else { Vec::new() };
        let decoded = std::str::from_utf8(&digits).ok().and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(decoded.unwrap_or(byte));
    }
    let text = String::from_utf8_lossy(&bytes).replace('\\', "/");
    let mut kept = Vec::new();
    for segment in text.split('/').map(|segment| segment.split(';').next().unwrap()) {
        match segment {
            "" | "." => {}
            ".." => drop(kept.pop()),
            segment => kept.push(segment),
        }
    }
    format!("/{}", kept.join("/"))
}

/// Other spellings of `/admin/x`, or of what somebody takes for it.
const SPELLINGS: &[&str] = &[
    "/admin/x",
    "/%61dmin/x",
    "/%61%64%6D%69%6e/x",
    "/admin/%78",
    "/a/../admin/x",
    "/a/%2e%2e/admin/x",
    "/a/.%2E/admin/x",
    "/./admin/x",
    "/%2e/admin/x",
    "/admin/./x",
    "/../admin/x",
    "/a/../../admin/x",
    "/..%2fadmin/x",
    "/a/..%2Fadmin/x",
    "/a/..%5cadmin/x",
    "/a/..\\admin/x",
    "/a\\..\\admin/x",
    "/a%2f..%2fadmin/x",
    "/a%5C%2e%2E%5Cadmin/x",
    "/a/..;/admin/x",
    "/a/..;b=c/admin/x",
    "/a/..%3b/admin/x",
    "/a/..%2fadmin%2fx",
    "/admin/x/../../admin/x",
    "/admin/../admin/x",
    "/b/c/../.././admin/x?q=/../..",
    "http://test.example/a/../admin/x",
    "http://test.example/%61dmin/x",
];
/// The same by slashes alone: for those who merge or decode them.
const SLASHES: &[&str] = &[
    "//admin/x",
    "/a/..//admin/x",
    "///admin///x",
    "/%2fadmin/x",
    "/%2Fadmin%2Fx",
    "/admin%2fx",
    "/admin%5Cx",
    "/%5cadmin/x",
    "/a/%2f../..%2f/admin/x",
];

#[test]
fn a_route_is_not_passed_by_another_spelling() {
    for (listen, spellings) in
        [(DEFAULT, [SPELLINGS, &[]]), (RESOLVE, [SPELLINGS, SLASHES]), (REFUSE, [SPELLINGS, SLASHES])]
    {
        let ([admin, app], gateway) = two(listen);
        for target in spellings.concat() {
            let response = get(gateway.http(), target);
            let expected = response.status == 400 || response.text().starts_with("admin /admin/x");
            assert!(expected, "{listen} {target}: {response:?}");
        }
        assert!(admin.requests().len() > 1);
        let targets = |origin: &Origin| origin.requests().into_iter().map(|request| request.target).collect::<Vec<_>>();
        assert!(targets(&admin).iter().all(|target| generous(target) == "/admin/x"), "{listen} {:?}", targets(&admin));
        assert_eq!(targets(&app), [""; 0], "{listen}");
    }
}

#[test]
fn a_path_without_a_route_is_not_reached_from_within_another() {
    for listen in [DEFAULT, RESOLVE, REFUSE] {
        let origin = Origin::named("public");
        let gateway = Gateway::start(&format!(
            "[listen.http]\nbind = \"127.0.0.1:0\"\n{listen}\n[upstream.app]\nendpoints = [\"{}\"]\n\
             [host.\"*\"]\nroutes = [{{ path = \"/public/*\", upstream = \"app\" }}]\n",
            origin.addr()
        ));
        for spelling in SPELLINGS.iter().chain(SLASHES) {
            let target = format!("/public/..{}", spelling.trim_start_matches("http://test.example"));
            assert!(matches!(get(gateway.http(), &target).status, 400 | 404), "{listen} {target}");
            let target = target.replace("..", "a/../..");
            assert!(matches!(get(gateway.http(), &target).status, 400 | 404), "{listen} {target}");
        }
        assert_eq!(get(gateway.http(), "/public/../public/x").status, if listen == REFUSE { 400 } else { 200 });
        assert!(origin.requests().iter().all(|request| request.target == "/public/x"));
    }
}

#[test]
fn the_origin_receives_what_was_matched_and_the_log_keeps_what_came() {
    let ([_admin, _app], gateway) = two(DEFAULT);
    let mut raw = Raw::connect(gateway.http());
    for (target, expected) in [
        ("/a/../admin/%7ex/.?q=/../%2e%zz", "admin /admin/~x/?q=/../%2e%zz"),
        ("/plain?a=%61", "app /plain?a=%61"),
        ("/%e2%82%ac%2f", "app /%E2%82%AC%2F"),
        ("/admin/../b//c", "app /b//c"),
        ("/a%20b%25", "app /a%20b%25"),
        ("http://test.example/admin/..?x", "app /?x"),
        ("http://test.example", "app /"),
        ("http://test.example?x=/..", "app /?x=/.."),
        ("/.well-known/x", "app /.well-known/x"),
        ("/admin", "admin /admin"),
        ("/admin/..", "app /"),
        ("/administrator/../admin/", "admin /admin/"),
    ] {
        let response = raw.get(target);
        assert_eq!(show(&response), expected, "{target}");
        gateway.wait_log(|line| line.path() == target);
    }
    raw.send("OPTIONS * HTTP/1.1\r\nHost: test.example\r\n\r\n");
    assert_eq!(raw.read_response().text(), "app *");
}

#[test]
fn each_rule_does_what_it_says() {
    for (listen, cases) in [
        (
            KEEP,
            [
                ("/a/../admin/x", "app /a/../admin/x"),
                ("/a/%2e%2e/b", "app /a/../b"),
                ("/../a", "app /../a"),
                ("/admin/..%2fx", "admin /admin/..%2Fx"),
                ("//admin//x", "app //admin//x"),
                ("/a%5cb%2Fc", "app /a%5Cb%2Fc"),
                ("/a%2", "400"),
                ("/a%00b", "400"),
                ("/a%0d%0aX:%20y", "400"),
                ("/a%0Db", "400"),
                ("/a%0Ab", "400"),
            ],
        ),
        (
            RESOLVE,
            [
                ("/a/../admin/x", "admin /admin/x"),
                ("/a/%2e%2e/b", "app /b"),
                ("/../a", "400"),
                ("/admin/..%2fx", "app /x"),
                ("//admin//x", "admin /admin/x"),
                ("/a%5cb%2Fc", "app /a/b/c"),
                ("/a%2", "400"),
                ("/a%00b", "400"),
                ("/a%0d%0aX:%20y", "400"),
                ("/a%0Db", "400"),
                ("/a%0Ab", "400"),
            ],
        ),
        (
            REFUSE,
            [
                ("/a/../admin/x", "400"),
                ("/a/%2e%2e/b", "400"),
                ("/../a", "400"),
                ("/admin/..%2fx", "400"),
                ("//admin//x", "400"),
                ("/a%5cb%2Fc", "400"),
                ("/a%2", "400"),
                ("/a%00b", "400"),
                ("/a%0d%0aX:%20y", "400"),
                ("/a%0Db", "400"),
                ("/a%0Ab", "400"),
            ],
        ),
    ] {
        let ([_admin, _app], gateway) = two(listen);
        for (target, expected) in cases {
            assert_eq!(show(&get(gateway.http(), target)), expected, "{listen} {target}");
        }
    }
}

#[test]
fn a_refused_path_is_told_which_rule_and_ends_as_a_bad_request() {
    let ([admin, app], gateway) = two(REFUSE);
    for (n, (target, words)) in [
        ("/a%2", "not followed by two hexadecimal digits"),
        ("/a%00", "encoded NUL"),
        ("/a%0A", "encoded CR or LF"),
        ("/a%2Fb", "encoded slash"),
        ("/a//b", "several slashes in a row"),
        ("/a/./b", "has a dot segment"),
        ("/a/..\\b", "hides a dot segment"),
    ]
    .into_iter()
    .enumerate()
    {
        let mut raw = Raw::connect(gateway.http());
        raw.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
        let response = raw.read_response();
        assert_eq!((response.status, response.closes()), (400, true), "{target}");
        assert!(response.text().contains("bad_request") && response.text().contains(words), "{}", response.text());
        raw.expect_closed();
        let line = gateway.wait_log(|line| line.path() == target);
        assert_eq!((line.ended(), line.str("who")), ("bad_request", "client"), "{target}");
        assert_eq!(gateway.log_lines().len(), n + 1);
    }
    let ([_admin, _app], resolving) = two(DEFAULT);
    assert!(get(resolving.http(), "/a/../..").text().contains("above its root"));
    assert_eq!((admin.requests(), app.requests()), (vec![], vec![]));
}

#[test]
fn a_path_written_anew_is_that_of_its_request_alone_and_of_each_try() {
    let dead = Origin::refusing();
    let origin = Origin::answer(|request| ok(&request.target));
    let toml = crate::support::simple(&[&dead, &origin], "balance = \"round_robin\"\nretry = { attempts = 2 }", "");
    let gateway = Gateway::start(&toml);
    let mut raw = Raw::connect(gateway.http());
    raw.send("GET /x/../1?q HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\nGET /%33 HTTP/1.1\r\nHost: a\r\n\r\n");
    for expected in ["/1?q", "/2", "/3"] {
        assert_eq!(raw.read_response().text(), expected);
    }
    assert!(gateway.wait_log_lines(3, |_| true).iter().any(|line| line.num("attempts") == 2));
}
