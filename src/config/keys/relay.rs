//! The keys of listeners that carry bytes instead of reading requests. It refuses to know how a key is read or shown.

use std::time::Duration;

use super::DAY;
use crate::config::key::Key;
use crate::config::key::Need::Default;
use crate::config::kind::Time;
use crate::config::plain::Off;
use crate::config::relays::Names;
use crate::config::routes::Reference;

pub(in crate::config) static TCP: Key<Off<Reference>> = Key {
    name: "tcp",
    kind: Off(Reference),
    need: Default(None),
    doc: "The upstream that every connection is carried to as it is: no requests are read, and what concerns requests and TLS \
          is not to be said of the listener.",
    example: "\"postgres\"",
};

pub(in crate::config) static PASSTHROUGH: Key<Off<Names>> = Key {
    name: "passthrough",
    kind: Off(Names),
    need: Default(None),
    doc: "The upstreams that TLS connections are carried to as they are, by the name that the client's hello asks for: a name \
          (`shop.example.com`), any name below one (`*.example.com`), or whatever is left (`*`), also of clients that ask for no \
          name. The most specific pattern wins, whatever the order. A connection that none takes is refused by the alert \
          `unrecognized_name`. Of `handshake`, `timeout` and `hello` hold for the hello.",
    example: "{ \"shop.example.com\" = \"shop\", \"*.example.com\" = \"others\", \"*\" = \"rest\" }",
};

pub(in crate::config) static CARRIED_TIMEOUT: Key<Time> = Key {
    name: "carried",
    kind: Time { min: Duration::from_secs(1), max: DAY },
    need: Default(Duration::from_hours(1)),
    doc: "Of a listener with `tcp` or `passthrough`: a connection that carries nothing, either way, ends after this.",
    example: "\"10m\"",
};
