"""Load by the generators that others trust, wrk and oha, in the words of `drive`'s reports. It knows nothing of proxies.

They are closed loops unless a rate is named: what they say of latency is then how long their queue is. They do not look
at what they are answered beyond its status, and they share the origin's CPU."""

import json
import os
import re
import subprocess

import proxies
import stage

INSTALL = {"wrk": lambda: proxies.from_debian("wrk"), "oha": lambda: proxies.from_crates("oha", "~1.16")}
VERSIONS = {"wrk": lambda: " ".join(stage.output_of(proxies.find("wrk"), "-v").split()[:2]),
            "oha": lambda: stage.output_of(proxies.find("oha"), "--version")}
UNITS_US = {"us": 1, "ms": 1e3, "s": 1e6, "m": 6e7}


def run(tool, to, seconds, pids, cpu, load):
    """One run of a tool; gives a report as `drive` does, with what the tool does not say left out."""
    url = f"http{'s' if load.get('tls') else ''}://{to}{load.get('path', '/128')}"
    before = stage.cpu_ns(pids)
    report = {"wrk": by_wrk, "oha": by_oha}[tool](url, seconds, cpu, load)
    spent = stage.cpu_ns(pids) - before
    return {"cpu_us_per_request": spent / 1e3 / max(report["requests"], 1), "lag_p99_us": None, "on_time": True,
            "rps": report["requests"] / report["seconds"], "totals": {}, **report}


def by_wrk(url, seconds, cpu, load):
    text = output([proxies.find("wrk"), "-t1", f"-c{load['connections']}", f"-d{max(1, round(seconds))}s", "--latency", url],
                  cpu)
    requests, length = re.search(r"(\d+) requests in ([\d.]+\w+),", text).groups()
    points = {name: microseconds(value) for name, value in re.findall(r"^ +(\d+)% +([\d.]+\w+)", text, re.MULTILINE)}
    worst = re.search(r"Latency +\S+ +\S+ +(\S+)", text)[1]
    faults = {name: int(count) for name, count in re.findall(r"(connect|read|write|timeout|responses):? (\d+)", text)}
    # It counts what was refused or late among the requests as well.
    good = int(requests) - faults.get("responses", 0) - faults.get("timeout", 0)
    return {"requests": good, "errors": sum(faults.values()), "seconds": microseconds(length) / 1e6, "p50_us": points["50"],
            "p90_us": points["90"], "p99_us": points["99"], "p99_9_us": None, "p99_99_us": None,
            "max_us": microseconds(worst)}


def by_oha(url, seconds, cpu, load):
    words = [proxies.find("oha"), "--no-tui", "--output-format", "json", "--insecure", "-c", str(load["connections"]), "-z",
             f"{seconds:.2f}s", "--redirect", "0"]
    if load.get("new_connections"):
        words.append("--disable-keepalive")
    if load.get("rate"):
        words += ["-q", str(load["rate"]), "--latency-correction"]
    if load.get("body"):
        words += ["-m", "POST", "-d", "z" * load["body"]]
    report = json.loads(output([*words, url], cpu))
    statuses, points = report["statusCodeDistribution"], report["latencyPercentiles"]
    good = sum(count for status, count in statuses.items() if int(status) < 400)
    # What the end of the run cut is no error.
    errors = sum(count for words, count in report["errorDistribution"].items() if "deadline" not in words)
    at = {f"p{name.replace('.', '_')}_us": of_seconds(points.get(f"p{name}")) for name in ("50", "90", "99", "99.9", "99.99")}
    return {"requests": good, "errors": errors + sum(statuses.values()) - good, "seconds": report["summary"]["total"],
            "max_us": of_seconds(report["summary"]["slowest"]), **at}


def output(words, cpu):
    def pin():
        os.sched_setaffinity(0, {cpu})
        # As the proxies and the origin have it.
        stage.prefer([os.getpid()])
    done = subprocess.run(words, capture_output=True, text=True, check=False, preexec_fn=pin, start_new_session=True)
    if done.returncode:
        raise stage.Fault(f"{words[0]}: {done.stderr or done.stdout}")
    return done.stdout


def of_seconds(value):
    """In microseconds; nothing where too few requests were made to say it."""
    return None if value is None else value * 1e6


def microseconds(text):
    value, unit = re.fullmatch(r"([\d.]+)([a-z]+)", text).groups()
    return float(value) * UNITS_US[unit]
