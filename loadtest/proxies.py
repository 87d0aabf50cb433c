"""The proxies that Ringway is compared with, and Ringway: each is started in front of an origin, and gives its addresses
(`plain` and `tls`) and its processes. It knows nothing of what is measured."""

import os
import shutil
import subprocess

import certificates
import stage

# The connections that a proxy is to hold at once, unless the measurement asks for more.
CONNECTIONS = 8000


def start_ringway(folder, origin, cpu, connections=CONNECTIONS):
    del connections  # its default bound is far above
    plain = stage.fill("ringway.toml.in", "ringway.toml", ORIGIN=origin, CPU=cpu, IO="auto")
    config = stage.fill("ringway-tls.toml.in", "ringway-tls.toml", PLAIN=os.path.basename(plain),
                        CERTIFICATES=certificates.made())
    child, listeners, *_ = stage.start_listeners(folder, config, cpu)
    return {"plain": listeners["http"], "tls": listeners["https"]}, [child.pid]


def start_relay(folder, origin, cpu, connections=CONNECTIONS):
    del connections
    words = ["--listen", "127.0.0.1:0", "--tls", "127.0.0.1:0", "--to", origin]
    for name in certificates.KEYS:
        words += ["--pair", os.path.join(certificates.made(), f"{name}.pem")]
    relay = stage.start([os.path.join(folder, "examples", "relay"), *words], cpu, log="relay.log")
    tls, _ = stage.await_line(relay, "TLS")
    plain, _ = stage.await_line(relay, "READY")
    return {"plain": plain, "tls": tls}, [relay.pid]


def start_nginx(_folder, origin, cpu, connections=CONNECTIONS):
    addresses = free_addresses()
    user = "root" if os.geteuid() == 0 else "nobody"
    config = stage.fill("nginx.conf.in", "nginx.conf", ORIGIN=origin, LISTEN=addresses["plain"], TLS=addresses["tls"],
                        CERTIFICATES=certificates.made(), DIR=stage.workdir(), USER=user,
                        CONNECTIONS=connections * 9 // 8)  # it closes idle ones once fewer than a sixteenth are free
    nginx = stage.start([nginx_path(), "-p", stage.workdir(), "-c", config], cpu, log="nginx.log")
    stage.await_port(nginx, addresses["tls"])
    return addresses, stage.processes(nginx.pid)


def start_haproxy(_folder, origin, cpu, connections=CONNECTIONS):
    addresses = free_addresses()
    config = stage.fill("haproxy.cfg.in", "haproxy.cfg", ORIGIN=origin, LISTEN=addresses["plain"], TLS=addresses["tls"],
                        CERTIFICATES=certificates.made(), CONNECTIONS=connections)
    haproxy = stage.start(["haproxy", "-db", "-f", config], cpu, log="haproxy.log")
    stage.await_port(haproxy, addresses["tls"])
    return addresses, stage.processes(haproxy.pid)


def free_addresses():
    return {kind: f"127.0.0.1:{stage.free_port()}" for kind in ("plain", "tls")}


STARTERS = {"ringway": start_ringway, "relay": start_relay, "nginx": start_nginx, "haproxy": start_haproxy}
VERSIONS = {
    "ringway": lambda: "ringway " + stage.output_of("git", "-C", stage.ROOT, "describe", "--always", "--dirty"),
    "relay": lambda: "relay of the same commit",
    "nginx": lambda: stage.output_of(nginx_path(), "-v").removeprefix("nginx version: "),
    "haproxy": lambda: " ".join(stage.output_of("haproxy", "-v").split()[:3]),
}


def nginx_path():
    return find("nginx")


def find(program):
    return shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")


def install(package, program=None):
    """Installs a package of Debian, whose program has its name or another, where it is missing, without letting it start
    its service."""
    if find(program or package):
        return
    if os.geteuid() != 0:
        stage.fail(f"{package} is missing; install it, or run this as root")
    policy, aside = "/usr/sbin/policy-rc.d", "/usr/sbin/policy-rc.d.loadtest"
    had_one = os.path.exists(policy)
    if had_one:
        os.rename(policy, aside)
    try:
        with open(policy, "w", encoding="ascii") as script:
            script.write("#!/bin/sh\nexit 101\n")
        os.chmod(policy, 0o755)
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        quiet = {"env": environment, "stdout": subprocess.DEVNULL, "check": True}
        subprocess.run(["apt-get", "update"], **quiet)
        subprocess.run(["apt-get", "install", "-y", "--no-install-recommends", package], **quiet)
    finally:
        os.remove(policy)
        if had_one:
            os.rename(aside, policy)
