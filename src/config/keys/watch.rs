//! The keys of `health` and `ejection`: how the endpoints of an upstream are watched. It refuses to know how a key is read
//! or shown.

use std::time::Duration;

use super::HOUR;
use super::MINUTE;
use super::PERCENT;
use crate::config::key::Group;
use crate::config::key::Key;
use crate::config::key::Need::Default;
use crate::config::key::Need::Optional;
use crate::config::key::Switched;
use crate::config::kind::Integer;
use crate::config::kind::Switch;
use crate::config::kind::Time;
use crate::config::kind::Words;
use crate::config::plain::Off;
use crate::config::plain::Text;
use crate::config::plain::Token;
use crate::config::statuses::Statuses;

// === health ===

pub(in crate::config) static HEALTH: Switched = Switched(Group {
    name: "health",
    keys: &[
        &HEALTH_PATH,
        &HEALTH_TCP,
        &HEALTH_GRPC,
        &HEALTH_HOST,
        &HEALTH_METHOD,
        &HEALTH_STATUS,
        &HEALTH_BODY,
        &HEALTH_INTERVAL,
        &HEALTH_DOUBT,
        &HEALTH_TIMEOUT,
        &HEALTH_RISE,
        &HEALTH_FALL,
        &HEALTH_PORT,
        &HEALTH_INITIALLY,
    ],
    doc: "An active check of each endpoint, once for the whole process, by one of `path`, `tcp` and `grpc`; without them \
          there is none. `\"off\"` is `{ path = \"off\", tcp = false, grpc = \"off\" }`.",
});

pub(in crate::config) static HEALTH_PATH: Key<Off<Text>> = Key {
    name: "path",
    kind: Off(Text::Target),
    need: Default(None),
    doc: "Asks for this by HTTP/1.1.",
    example: "\"/healthz\"",
};

pub(in crate::config) static HEALTH_TCP: Key<Switch> =
    Key { name: "tcp", kind: Switch, need: Default(false), doc: "Opens a connection, and no more.", example: "true" };

pub(in crate::config) static HEALTH_GRPC: Key<Off<Text>> = Key {
    name: "grpc",
    kind: Off(Text::Service),
    need: Default(None),
    doc: "Asks `grpc.health.v1.Health` for this service, over HTTP/2; `\"\"` is the server as a whole.",
    example: "\"shop.Orders\"",
};

pub(in crate::config) static HEALTH_HOST: Key<Text> = Key {
    name: "host",
    kind: Text::Host,
    need: Optional,
    doc: "The `Host` of a check by `path`. Without it the endpoint's address.",
    example: "\"shop.example.com\"",
};

pub(in crate::config) static HEALTH_METHOD: Key<Token> = Key {
    name: "method",
    kind: Token::Method,
    need: Default(std::borrow::Cow::Borrowed("GET")),
    doc: "The method of a check by `path`.",
    example: "\"HEAD\"",
};

pub(in crate::config) static HEALTH_STATUS: Key<Statuses> = Key {
    name: "status",
    kind: Statuses,
    need: Default(std::borrow::Cow::Borrowed(&[200..=299])),
    doc: "The statuses that are good, of a check by `path`.",
    example: "[\"200-399\", \"401\"]",
};

pub(in crate::config) static HEALTH_BODY: Key<Text> = Key {
    name: "body",
    kind: Text::Part,
    need: Optional,
    doc: "What the first 64 KiB of the body must contain, of a check by `path`. Without it any body is good.",
    example: "\"ok\"",
};

pub(in crate::config) static HEALTH_INTERVAL: Key<Time> = Key {
    name: "interval",
    kind: Time { min: Duration::from_millis(10), max: HOUR },
    need: Default(Duration::from_secs(2)),
    doc: "Between two checks of an endpoint, give or take a tenth by chance.",
    example: "\"5s\"",
};

pub(in crate::config) static HEALTH_DOUBT: Key<Time> = Key {
    name: "doubt",
    kind: Time { min: Duration::from_millis(10), max: HOUR },
    need: Default(Duration::from_millis(500)),
    doc: "Between two checks while the last results differ from the endpoint's state; at most `interval`.",
    example: "\"250ms\"",
};

pub(in crate::config) static HEALTH_TIMEOUT: Key<Time> = Key {
    name: "timeout",
    kind: Time { min: Duration::from_millis(10), max: MINUTE },
    need: Default(Duration::from_secs(1)),
    doc: "How long a check may take; at most `interval`.",
    example: "\"250ms\"",
};

pub(in crate::config) static HEALTH_RISE: Key<Integer<u32>> = Key {
    name: "rise",
    kind: Integer { min: 1, max: 100 },
    need: Default(2),
    doc: "Good checks in a row that bring an endpoint up.",
    example: "1",
};

pub(in crate::config) static HEALTH_FALL: Key<Integer<u32>> = Key {
    name: "fall",
    kind: Integer { min: 1, max: 100 },
    need: Default(3),
    doc: "Bad checks in a row that take it down.",
    example: "2",
};

pub(in crate::config) static HEALTH_PORT: Key<Integer<u16>> = Key {
    name: "port",
    kind: Integer { min: 1, max: 65_535 },
    need: Optional,
    doc: "The port that is asked. Without it the endpoint's own. A Unix socket has none, and is asked itself.",
    example: "8081",
};

pub(in crate::config) static HEALTH_INITIALLY: Key<Words<bool>> = Key {
    name: "initially",
    kind: Words { words: &[("up", true), ("down", false)] },
    need: Default(true),
    doc: "Whether an endpoint takes requests before its first check.",
    example: "\"down\"",
};

// === ejection ===

pub(in crate::config) static EJECTION: Switched = Switched(Group {
    name: "ejection",
    keys: &[
        &EJECTION_FAILURES,
        &EJECTION_SUCCESS,
        &EJECTION_REQUESTS,
        &EJECTION_TIME,
        &EJECTION_TIME_MAX,
        &EJECTION_SHARE,
    ],
    doc: "When an endpoint that fails requests is left out for a while. `\"off\"` is `{ failures = 0, success = 0 }`.",
});

pub(in crate::config) static EJECTION_FAILURES: Key<Integer<u32>> = Key {
    name: "failures",
    kind: Integer { min: 0, max: 1000 },
    need: Default(5),
    doc: "Failures in a row; 0: their number is no reason.",
    example: "3",
};

pub(in crate::config) static EJECTION_SUCCESS: Key<Integer<u32>> = Key {
    name: "success",
    kind: PERCENT,
    need: Default(50),
    doc: "Percent of good answers below which it is left out; 0: their share is no reason.",
    example: "80",
};

pub(in crate::config) static EJECTION_REQUESTS: Key<Integer<u32>> = Key {
    name: "requests",
    kind: Integer { min: 1, max: 1_000_000 },
    need: Default(20),
    doc: "Requests within ten seconds from which on the share of good answers counts.",
    example: "100",
};

pub(in crate::config) static EJECTION_TIME: Key<Time> = Key {
    name: "time",
    kind: EJECTED,
    need: Default(Duration::from_secs(1)),
    doc: "The first time out; doubled from one to the next, give or take a fifth by chance.",
    example: "\"2s\"",
};

pub(in crate::config) static EJECTION_TIME_MAX: Key<Time> = Key {
    name: "time_max",
    kind: EJECTED,
    need: Default(MINUTE),
    doc: "The longest time out, at least `time`.",
    example: "\"5m\"",
};

pub(in crate::config) static EJECTION_SHARE: Key<Integer<u32>> = Key {
    name: "share",
    kind: PERCENT,
    need: Default(50),
    doc: "Percent of the endpoints that may be out at once.",
    example: "30",
};

const EJECTED: Time = Time { min: Duration::from_millis(10), max: HOUR };
