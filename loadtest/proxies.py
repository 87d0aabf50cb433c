"""The proxies that Ringway is compared with, and Ringway: each is started in front of an origin, and gives its address
and its processes. It knows nothing of what is measured."""

import os
import shutil
import subprocess

import stage

# The connections that a proxy is to hold at once, unless the measurement asks for more.
CONNECTIONS = 8000


def start_ringway(folder, origin, cpu, connections=CONNECTIONS):
    del connections  # its default bound is far above
    config = stage.fill("ringway.toml.in", "ringway.toml", ORIGIN=origin, CPU=cpu, IO="auto")
    child, address, *_ = stage.start_ringway(folder, config, cpu)
    return address, [child.pid]


def start_relay(folder, origin, cpu, connections=CONNECTIONS):
    del connections
    relay = stage.start([os.path.join(folder, "examples", "relay"), "--listen", "127.0.0.1:0", "--to", origin], cpu,
                        log="relay.log")
    address, _ = stage.await_line(relay, "READY")
    return address, [relay.pid]


def start_nginx(_folder, origin, cpu, connections=CONNECTIONS):
    address = f"127.0.0.1:{stage.free_port()}"
    user = "root" if os.geteuid() == 0 else "nobody"
    config = stage.fill("nginx.conf.in", "nginx.conf", ORIGIN=origin, LISTEN=address, DIR=stage.workdir(), USER=user,
                        CONNECTIONS=connections * 9 // 8)  # it closes idle ones once fewer than a sixteenth are free
    nginx = stage.start([nginx_path(), "-p", stage.workdir(), "-c", config], cpu, log="nginx.log")
    stage.await_port(nginx, address)
    return address, stage.processes(nginx.pid)


def start_haproxy(_folder, origin, cpu, connections=CONNECTIONS):
    address = f"127.0.0.1:{stage.free_port()}"
    config = stage.fill("haproxy.cfg.in", "haproxy.cfg", ORIGIN=origin, LISTEN=address, CONNECTIONS=connections)
    haproxy = stage.start(["haproxy", "-db", "-f", config], cpu, log="haproxy.log")
    stage.await_port(haproxy, address)
    return address, stage.processes(haproxy.pid)


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


def install(package):
    """Installs a package of Debian, whose program has its name, where it is missing, without letting it start its
    service."""
    if find(package):
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
