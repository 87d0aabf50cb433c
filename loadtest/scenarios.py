"""What loadtest/run measures: scenarios, and the bars that figures of them must meet. It knows nothing of how.

One more scenario is one more line here. Its options are those of the generator that it names: `drive` (loadtest/drive/plan.rs:
`connections`, `rate`, `path`, `body`, `tls`, …), `wrk` or `oha` (loadtest/suites.py)."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Scenario:
    """A load, and the world that it needs."""
    name: str
    words: str
    # Options of the generator. `share` is a rate in percent of the proxy's own peak.
    load: dict
    # How long its window is beside the others'. 0: as long as a fixed number of requests takes.
    weight: float = 1
    # How proxies are configured for it: a key of WORLDS.
    world: str = "plain"
    tool: str = "drive"
    # Seconds between two reloads of the proxy's configuration meanwhile.
    reload: float | None = None
    # Whether the proxy's memory is looked at meanwhile.
    memory: bool = False

    @property
    def opens(self):
        """Whether the load comes at a rate of its own."""
        return "rate" in self.load or "share" in self.load

    @property
    def is_alike(self):
        """Whether every proxy has the same load, and not a share of what it can do: only then their figures compare."""
        return "share" not in self.load

    @property
    def is_large(self):
        """Whether its figures are given by the GiB."""
        return self.weight == 0


@dataclasses.dataclass(frozen=True)
class World:
    """What proxies are configured with: the origin's listeners by name, and how many routes lie before the one for all."""
    endpoints: tuple = ("origin",)
    routes: int = 0


WORLDS = {
    "plain": World(),
    "routes": World(routes=10_000),
    "slow": World(endpoints=("origin", "prompt", "slow")),
    "failing": World(endpoints=("origin", "prompt", "failing")),
    "refusing": World(endpoints=("origin", "prompt", "nobody")),
    # Started anew for it: a proxy that was reloaded may have more processes than before.
    "reload": World(),
}

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30


def fixed(requests, size, **more):
    """So many requests one after the other, whatever time that takes."""
    return {"requests": requests, "connections": 1, "path": f"/{size}", **more}


BASIC = [
    Scenario("keepalive-64", "128 B, 64 connections", {"connections": 64}, 2),
    Scenario("keepalive-1", "128 B, 1 connection", {"connections": 1}),
    Scenario("keepalive-16", "128 B, 16 connections", {"connections": 16}),
    Scenario("keepalive-512", "128 B, 512 connections", {"connections": 512}, memory=True),
    Scenario("new-connections", "128 B, a connection each, 64 at a time", {"connections": 64, "new_connections": True}),
    Scenario("post-1k", "POST 1 KiB, 64 connections", {"connections": 64, "body": KIB}),
    Scenario("get-16k", "16 KiB, 64 connections", {"connections": 64, "path": f"/{16 * KIB}"}),
    Scenario("get-1m", "1 MiB, 16 connections", {"connections": 16, "path": f"/{MIB}"}),
    Scenario("open-10k", "128 B, 10,000/s open loop, 64 connections", {"connections": 64, "rate": 10_000}, 5),
    Scenario("open-30k", "128 B, 30,000/s open loop, 64 connections", {"connections": 64, "rate": 30_000}, 3),
]

LARGE = [
    Scenario("get-100m", "100 MiB down", fixed(12, 100 * MIB), 0),
    Scenario("get-1g", "1 GiB down", fixed(2, GIB), 0),
    Scenario("get-1g-chunked", "1 GiB down, in chunks", fixed(2, f"{GIB}?chunked"), 0),
    Scenario("post-1g", "1 GiB up", fixed(2, 64, body=GIB), 0),
    Scenario("post-1g-chunked", "1 GiB up, in chunks", fixed(2, 64, body=GIB, chunked=True), 0),
]

# TLS 1.3 by one suite (AES-128-GCM) and one group (X25519), which the client sees to.
TLS = [
    Scenario("tls-128", "128 B by TLS, 64 connections", {"tls": "ecdsa", "connections": 64}),
    Scenario("tls-16k", "16 KiB by TLS, 64 connections",
             {"tls": "ecdsa", "connections": 64, "path": f"/{16 * KIB}"}),
    Scenario("tls-1m", "1 MiB by TLS, 16 connections", {"tls": "ecdsa", "connections": 16, "path": f"/{MIB}"}),
    Scenario("tls-handshake-ecdsa", "128 B, a full handshake each (P-256), 64 at a time",
             {"tls": "ecdsa", "connections": 64, "new_connections": True}),
    Scenario("tls-handshake-rsa", "128 B, a full handshake each (RSA-2048), 64 at a time",
             {"tls": "rsa", "connections": 64, "new_connections": True}),
    Scenario("tls-handshake-hybrid",
             "128 B, a full handshake each (P-256; X25519MLKEM768 where it is known), 64 at a time",
             {"tls": "ecdsa", "hybrid": True, "connections": 64, "new_connections": True}),
    Scenario("tls-resumed", "128 B, a handshake by ticket each, 64 at a time",
             {"tls": "ecdsa", "resume": True, "connections": 64, "new_connections": True}),
]
# Those of BASIC that TLS has not had yet.
TLS += [dataclasses.replace(row, name=f"tls-{row.name}", words=f"{row.words}, by TLS", load={**row.load, "tls": "ecdsa"})
        for row in BASIC + LARGE[:1]
        if row.name in {"keepalive-1", "keepalive-16", "keepalive-512", "post-1k", "open-10k", "get-100m"}]

# Many, and trouble.
MANY = [
    Scenario("idle-10k", "128 B, 10,000/s open loop, 64 connections beside 10,000 idle ones",
             {"connections": 64, "rate": 10_000, "idle": 10_000}, 2, memory=True),
    Scenario("routes-10k", "128 B, 64 connections, 10,000 routes in turn", {"connections": 64, "routes": 10_000},
             world="routes"),
]
TROUBLE = [
    Scenario("slow-endpoint", "128 B, 5,000/s open loop, one endpoint of three takes 20 ms",
             {"connections": 256, "rate": 5_000}, 3, world="slow"),
    Scenario("failing-endpoint", "128 B, 5,000/s open loop, one endpoint of three resets each request",
             {"connections": 256, "rate": 5_000}, 3, world="failing"),
    Scenario("refusing-endpoint", "128 B, 5,000/s open loop, at one endpoint of three nobody listens",
             {"connections": 256, "rate": 5_000}, 3, world="refusing"),
    Scenario("reload", "128 B, 5,000/s open loop, a reload each second", {"connections": 64, "rate": 5_000}, 4,
             world="reload", reload=1),
]

# Latency against offered load: shares of each proxy's own peak (keepalive-64), to beyond collapse.
SWEEP = [Scenario(f"load-{share}", f"128 B, {share} % of the own peak, open loop", {"connections": 64, "share": share})
         for share in range(10, 121, 10)]

# The same by generators that others trust. They share the origin's CPU, and are closed loops unless a rate is named.
WRK = [
    Scenario("wrk-1", "wrk: 128 B, 1 connection", {"connections": 1}, tool="wrk"),
    Scenario("wrk-64", "wrk: 128 B, 64 connections", {"connections": 64}, tool="wrk"),
    Scenario("wrk-512", "wrk: 128 B, 512 connections", {"connections": 512}, tool="wrk"),
    Scenario("wrk-16k", "wrk: 16 KiB, 64 connections", {"connections": 64, "path": f"/{16 * KIB}"}, tool="wrk"),
    Scenario("wrk-tls-64", "wrk: 128 B by TLS, 64 connections", {"connections": 64, "tls": True}, tool="wrk"),
]
OHA = [
    Scenario("oha-64", "oha: 128 B, 64 connections", {"connections": 64}, tool="oha"),
    Scenario("oha-new-connections", "oha: 128 B, a connection each, 64 at a time",
             {"connections": 64, "new_connections": True}, tool="oha"),
    Scenario("oha-post-1k", "oha: POST 1 KiB, 64 connections", {"connections": 64, "body": KIB}, tool="oha"),
    Scenario("oha-5k", "oha: 128 B, 5,000/s, latency from the due time", {"connections": 64, "rate": 5_000}, 2,
             tool="oha"),
    Scenario("oha-tls-64", "oha: 128 B by TLS, 64 connections", {"connections": 64, "tls": True}, tool="oha"),
]

GROUPS = {"basic": BASIC, "large": LARGE, "tls": TLS, "many": MANY, "trouble": TROUBLE, "sweep": SWEEP, "wrk": WRK,
          "oha": OHA}
EVERY = [row for group in GROUPS.values() for row in group]


def chosen(words):
    """The scenarios of these names, which may be those of groups or `all`; without names, the basic ones. Gives too what
    is unknown of the words."""
    names = {row.name for row in BASIC} if not words else set()
    unknown = []
    for word in words:
        if word in GROUPS or word == "all":
            names |= {row.name for row in GROUPS.get(word, EVERY)}
        elif word in {row.name for row in EVERY}:
            names.add(word)
        else:
            unknown.append(word)
    return [row for row in EVERY if row.name in names], unknown


# Scenario, figure, compared with, at most that many times as much.
BARS = [
    ("keepalive-64", "cpu_us_per_request", "relay", 1.15),
    ("keepalive-64", "cpu_us_per_request", "nginx", 0.85),
    ("keepalive-64", "cpu_us_per_request", "haproxy", 0.70),
    ("keepalive-64", "cpu_us_per_request", "pingora", 0.50),
    ("keepalive-64", "cpu_us_per_request", "envoy", 0.30),
    ("keepalive-1", "p50_us", "nginx", 1.00),
    ("new-connections", "cpu_us_per_request", "nginx", 1.00),
    ("get-1m", "cpu_us_per_request", "nginx", 1.00),
    ("get-100m", "cpu_us_per_request", "nginx", 1.00),
    ("open-10k", "p50_us", "relay", 1.06),
    ("open-10k", "p99_us", "relay", 1.25),
    ("open-10k", "p50_us", "nginx", 1.00),
    ("open-10k", "p90_us", "nginx", 1.00),
    ("open-10k", "p99_us", "nginx", 1.00),
    ("open-10k", "p99_9_us", "nginx", 1.00),
    ("open-10k", "p99_99_us", "nginx", 1.00),
    ("open-30k", "p99_us", "nginx", 0.50),
    ("keepalive-512", "memory_mib", "nginx", 1.00),
    ("idle-10k", "memory_mib", "nginx", 1.00),
    ("tls-128", "cpu_us_per_request", "nginx", 0.90),
    ("tls-16k", "cpu_us_per_request", "nginx", 0.90),
    ("tls-1m", "cpu_us_per_request", "nginx", 1.10),
    ("tls-handshake-ecdsa", "cpu_us_per_request", "nginx", 1.10),
    ("tls-handshake-rsa", "cpu_us_per_request", "nginx", 1.10),
    ("tls-resumed", "cpu_us_per_request", "nginx", 1.10),
]
