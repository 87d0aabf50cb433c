//! What stands in the labels of metrics, for their reference page.

/// What stands in each label, in Markdown.
pub(super) const LABELS: &[(&str, &str)] = &[
    ("route", "host pattern and path pattern of the route, with a space between; `_other`: no route took the request"),
    ("method", "`GET` `HEAD` `POST` `PUT` `DELETE` `OPTIONS` `TRACE` `CONNECT` `PATCH`, else `_OTHER`"),
    ("status_class", "`1xx` `2xx` `3xx` `4xx` `5xx`; `none`: there was no status"),
    ("protocol", "`1.0` or `1.1`"),
    ("upstream", "name of the upstream"),
    ("endpoint", "address of the endpoint"),
    ("listener", "name of the listener"),
    (
        "reason",
        "of one refused, whose bound it was: `listener`, `process` or `client`; or `untrusted`, or `overload`; of one closed, \
         `idle`, `requests` or `age`: its bound was reached; `drain`: the gateway ends; `removed`: the listener has left",
    ),
    (
        "parting",
        "`idle`, `age` or `requests`: its bound was reached; `surplus`: there are enough; `removed`: the endpoint has left \
         or was ordered out; `endpoint`: it was closed there",
    ),
    ("resource", "`memory`, `descriptors` or `lag`"),
    ("thrift", "`kept`: with a response, though it would have been kept; `parked`: while it was idle"),
    ("to", "what it became: `up`, `down`, `ejected`, `returned` or `ordered`"),
    ("core", "number of the core, from 0"),
    ("io", "`io_uring` or `epoll`"),
    ("flags", "the ring flags in force"),
    ("cause", "see below"),
    ("who", "`client`, `gateway` or `upstream`"),
    ("version", "version of the program"),
    ("kind", "`upgrade` or `connect`; `tcp` or `passthrough`: what the listener carries"),
    (
        "hedge",
        "`made`: a second attempt began; `won`: it answered first; `cancelled`: the slower of two, either of them; `unpaid`: it \
         was wanted and not made, since the budget was spent",
    ),
    ("result", "`full` `resumed` `failed` `timed_out` `refused` `plain`"),
    (
        "hello",
        "`routed`; `unknown_name` or `no_name`: carried nowhere; `malformed`, `too_long` or `plain`: none that can be read; \
         `unfinished`: not whole in time, or before the end of the connection",
    ),
    ("side", "`listener`: to clients; `upstream`: to an upstream"),
    ("of", "name of the listener or the upstream"),
    ("file", "path of the certificate's file"),
    ("certificate", "the first of its names"),
    ("outcome", "`issued` or `failed`"),
    ("le", "upper bound of a histogram's bucket, in seconds"),
];
