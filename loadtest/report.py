#!/usr/bin/env python3
"""The report of a run as one page: `loadtest/report.py FOLDER` makes it anew from what the run has left in its folder. It
measures nothing."""

import html
import json
import os
import sys

import figures
import plots
import proxies
import scenarios as what
import stage

FIGURES = {"cpu_us_per_request": "CPU", "p50_us": "p50", "p90_us": "p90", "p99_us": "p99", "p99_9_us": "p99.9",
           "p99_99_us": "p99.99", "memory_mib": "memory"}


# A proxy that is less busy while its clients wait for nothing else waits for the generator itself, and what it takes for a request
# is that of a proxy with time to spare.
BUSY = 0.95


def write(folder):
    """Writes report.html beside the run's other files, and gives its path."""
    with open(os.path.join(folder, "run.json"), encoding="utf-8") as source:
        run = json.load(source)
    facts, rows = run["facts"], run["rows"]
    chosen = [row for row in what.EVERY if row.name in facts["scenarios"]]
    parts = [head(facts), bars(folder, rows), overview(rows, chosen, facts["peers"]), curves(folder, rows, chosen, facts["peers"]),
             sweep(rows, facts["peers"]), lost(folder, rows, chosen, facts["peers"]), tables(rows, chosen, facts),
             method(), configurations(facts["peers"])]
    path = os.path.join(folder, "report.html")
    with open(path, "w", encoding="utf-8") as target:
        target.write(f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><meta name="viewport" '
                     f'content="width=device-width, initial-scale=1"><title>Ringway: load test of {facts["machine"]["date"]}'
                     f'</title>\n<style>{style()}</style>\n<main>\n{chr(10).join(filter(None, parts))}\n</main></html>\n')
    return path


def units(scenario):
    """By what CPU and rate are divided and multiplied, and what they are then called."""
    if scenario.is_large:
        mib = 100 if "100m" in scenario.name else 1024
        return 1e3 * mib / 1024, mib, ("CPU ms/GiB", "MiB/s")
    return 1, 1, ("CPU µs/request", "requests/s")


def notes(scenario, rows, proxy):
    """What a reader of a proxy's figures has to know."""
    own = [row for row in rows if row["proxy"] == proxy]
    found = []
    if errors := sum(row["errors"] for row in own):
        share = 100 * errors / max(1, errors + sum(row["requests"] for row in own))
        found.append(f"{errors} errors ({share:.2g} %)")
    if late := sum(not row["on_time"] for row in own):
        found.append(f"generator late in {late} of {len(own)}")
    part = figures.busy(rows, proxy)
    if part and part < BUSY and not scenario.opens and not scenario.is_large and scenario.load["connections"] > 1:
        found.append(f"its CPU busy for {100 * part:.0f} %")
    if gone := sum(row["idle_lost"] or 0 for row in own):
        found.append(f"{gone} idle ones lost")
    full = sum(row["handshakes_full"] or 0 for row in own) - len(own) * scenario.load["connections"]
    if scenario.load.get("resume") and full > 0:
        found.append(f"{full} handshakes not resumed")
    return found


# The parts of the page.

def head(facts):
    its = facts["machine"]
    versions = ", ".join([*its["versions"].values(), *its["tools"].values(), its["rustc"]])
    reasons = {}
    for name, scenario, reason in facts["skipped"]:
        reasons.setdefault((name, reason), []).append(scenario)
    left_out = "".join(f"<li>{html.escape(name)} ({html.escape(', '.join(gone))}): {html.escape(reason)}</li>"
                       for (name, reason), gone in reasons.items())
    return (f'<h1>Ringway, measured beside others</h1>'
            f'<p class="sub">{its["date"]} · {html.escape(its["cpu"])}, {its["cpus"]} CPUs · Linux {html.escape(its["kernel"])} '
            f'· load {its["load"]} · {facts["rounds"]} rounds of {facts["window_s"]:g} s, {facts["took_s"] / 60:.0f} minutes'
            f'</p><p>{html.escape(versions)}.</p>'
            '<p>Every proxy has one CPU to itself; the load generator and the origin are one thread on the other. Figures are '
            'medians over the rounds with their range; ratios are medians of each round’s own ratio. They belong to this '
            f'machine and this hour: <code>{html.escape(facts["command"])}</code> makes them again on yours.</p>'
            + (f"<p>Left out:</p><ul>{left_out}</ul>" if left_out else ""))


def bars(folder, rows):
    if not any(row["proxy"] == "ringway" for row in rows):
        return ""
    found, cells = figures.bars(rows, what.BARS, folder), ""
    # The build by a profile of its own work is told of, and judged by nobody.
    profiled = figures.bars(rows, what.BARS, folder, "ringway-pgo")
    has_profiled = any(bar.value is not None for bar in profiled)
    measured = [bar for bar in found if bar.value is not None]
    for bar, other in zip(found, profiled):
        cells += (f'<tr><td class="{bar.verdict.split()[0]}">{bar.verdict}</td><td>{bar.scenario}</td>'
                  f'<td>{FIGURES[bar.figure]}</td><td class="n">≤ {bar.limit:.2f} × {bar.other}</td><td class="n">{measure(bar)}</td>'
                  + (f'<td class="n">{measure(other)}</td>' if has_profiled else "")
                  + f'<td>{f"{bar.errors} errors" if bar.errors else ""}</td></tr>')
    return (f'<h2>Bars</h2><p><b>{sum(bar.verdict == "met" for bar in measured)} of {len(measured)} met</b>, {len(found) - len(measured)} '
            'not measured. Latencies of an open loop are compared over all rounds together, the rest by the median of each '
            'round’s own ratio; small: the least and the most of those. One that is missed is exit code 1.</p><div class="wide"><table>'
            '<tr><th></th><th>scenario</th><th>figure</th><th class="n">at most</th><th class="n">measured</th>'
            + ('<th class="n">ringway-pgo</th>' if has_profiled else "") + f'<th></th></tr>{cells}</table></div>')


def measure(bar):
    if bar.value is None:
        return ""
    return f"{bar.value:.2f} <small>{bar.least:.2f}–{bar.most:.2f}</small>"


def overview(rows, chosen, names):
    """CPU of all beside Ringway's."""
    if "ringway" not in names or len(names) < 2:
        return ""
    shown, seen = [], set()
    for scenario in chosen:
        own = [row for row in rows if row["scenario"] == scenario.name]
        row = {name: figures.ratio(own, name, "ringway", "cpu_us_per_request") for name in names}
        row = {name: value for name, value in row.items() if value}
        if len(row) > 1 and scenario.is_alike:
            shown.append((scenario.name, row))
            seen |= row.keys()
    if not shown:
        return ""
    plot = plots.dots(shown, "CPU per request of each proxy divided by Ringway's", "CPU per request, divided by Ringway’s")
    return ('<h2>CPU per request</h2><p>A dot right of 1 × takes more CPU for a request than Ringway, one left of it less. '
            'Logarithmic.</p>' + plots.legend([name for name in names if name in seen]) + f"<figure>{plot}</figure>")


def curves(folder, rows, chosen, names):
    """Latency by percentile, of each scenario that comes at a rate of its own."""
    parts = []
    for scenario in chosen:
        if not (scenario.opens and scenario.is_alike) or scenario.tool != "drive":
            continue
        own = [row for row in rows if row["scenario"] == scenario.name]
        found = {name: figures.latencies(folder, scenario.name, name, figures.by_round(own, name, "p50_us")) for name in names}
        found = {name: [point for point in points if point[0] <= 10_000] for name, points in found.items()}
        late = {row["proxy"] for row in own} - {row["proxy"] for row in own if row["on_time"]}
        late = f" The generator kept time in no round of {', '.join(sorted(late))}." if late else ""
        found = {name: thinned(points) for name, points in found.items() if points}
        if found:
            parts.append(f"<h3>{scenario.name}</h3><p>{html.escape(scenario.words)}.{late}</p><figure>{curve(found)}</figure>")
    if not parts:
        return ""
    return ('<h2>Latency by percentile</h2><p>From the time a request was due to the last byte of its answer, all rounds '
            'together in which the generator kept time; both axes logarithmic. The files are beside this report (HdrHistogram’s percentile format).</p>'
            + "".join(parts))


def curve(found):
    values = [value for points in found.values() for _, value in points]
    least, most = min(values) / 1.1, max(values) * 1.2
    x = plots.Axis(2, 10_000, plots.LEFT, plots.WIDTH - plots.RIGHT,
                   [(2, "50 %"), (10, "90 %"), (100, "99 %"), (1000, "99.9 %"), (10_000, "99.99 %")], log=True)
    y = plots.Axis(least, most, plots.HEIGHT - plots.BOTTOM, plots.TOP, plots.log_ticks(least, most, duration), log=True)
    series = {name: [(max(turned, 2), value, True) for turned, value in points] for name, points in found.items()}
    return plots.lines(series, x, y, "percentile", "latency", "latency by percentile")


def thinned(points):
    """At most some 40 points for each factor of ten, from the median on."""
    kept, last = [], 0
    for turned, value in points:
        if turned >= 2 and turned >= last * 1.06:
            kept.append((turned, value))
            last = turned
    return kept


def sweep(rows, names):
    """Latency against offered load."""
    shares = [row for row in what.SWEEP if any(one["scenario"] == row.name for one in rows)]
    if not shares:
        return ""
    parts = []
    for figure, words in [("p50_us", "median"), ("p99_us", "99th percentile")]:
        series = {}
        for name in names:
            points = []
            for scenario in shares:
                own = [row for row in rows if row["scenario"] == scenario.name and row["proxy"] == name]
                if found := figures.middle(own, name, figure):
                    points.append((figures.middle(own, name, "rate")[0], found[0], all(row["on_time"] for row in own)))
            series[name] = points
        values = [value for points in series.values() for _, value, _ in points]
        most_rate = max(rate for points in series.values() for rate, _, _ in points) * 1.02
        x = plots.Axis(0, most_rate, plots.LEFT, plots.WIDTH - 24,
                       plots.even_ticks(most_rate, lambda value: f"{value / 1000:g} k"))
        y = plots.Axis(min(values) / 1.2, max(values) * 1.2, plots.HEIGHT - plots.BOTTOM, plots.TOP,
                       plots.log_ticks(min(values) / 1.2, max(values) * 1.2, duration), log=True)
        parts.append(f"<h3>{words}</h3><figure>"
                     + plots.lines(series, x, y, "requests a second offered", "latency", f"{words} against load", named=False) + "</figure>")
    return ('<h2>Latency against offered load</h2><p>From 10 % to 120 % of each proxy’s own peak with 64 connections, arrivals '
            'at random (Poisson). An open dot: the generator itself could not keep time in some round, so what is to its '
            'right says as much of the generator as of the proxy.</p>' + plots.legend(names) + "".join(parts))


def lost(folder, rows, chosen, names):
    if "ringway" not in names:
        return ""
    found = figures.lost(rows, chosen, [name for name in names if name != "ringway-pgo"], folder)
    cells = "".join(f'<tr><td>{scenario}</td><td>{FIGURES[figure]}</td><td>{other}</td><td class="n">{value:.2f} ×</td></tr>'
                    for scenario, figure, other, value in found)
    table = (f'<div class="wide"><table><tr><th>scenario</th><th>figure</th><th>better</th><th class="n">Ringway’s, divided by '
             f'its</th></tr>{cells}</table></div>') if found else "<p>None.</p>"
    return ('<h2>Where Ringway loses</h2><p>Every figure in which another did better by more than 3 % at the same load: '
            'CPU in all scenarios, latency in those of an open loop, memory where it is looked at.</p>' + table)


def tables(rows, chosen, facts):
    parts = ["<h2>All figures</h2>"]
    for scenario in chosen:
        per_cpu, per_rate, (cpu_words, rate_words) = units(scenario)
        columns = [("cpu_us_per_request", cpu_words, per_cpu, 2), ("rps", rate_words, 1 / per_rate, 0)]
        columns += [(name, f"{words} µs", 1, 0) for name, words in FIGURES.items() if name.startswith("p")]
        columns += [("memory_mib", "MiB", 1, 1)] if scenario.memory else []
        lines = []
        for name in facts["peers"]:
            own = [row for row in rows if row["scenario"] == scenario.name and row["proxy"] == name]
            if own:
                cells = "".join(cell(figures.middle(own, name, figure), by, digits) for figure, _, by, digits in columns)
                times = figures.ratio([row for row in rows if row["scenario"] == scenario.name], name, "ringway", "cpu_us_per_request")
                times = f"{times:.2f}" if times and scenario.is_alike and "ringway" in facts["peers"] else ""
                cells = f'<td class="n">{times}</td>{cells}'
                lines.append(f'<tr><td><i class="{name}"></i>{name}</td>{cells}<td>{", ".join(notes(scenario, own, name))}</td></tr>')
        heads = "".join(f'<th class="n">{words}</th>' for words in ("CPU × Ringway", *(words for _, words, _, _ in columns)))
        if lines:
            parts.append(f'<h3>{scenario.name}</h3><p>{html.escape(scenario.words)}</p><div class="wide"><table><tr><th></th>'
                         f'{heads}<th></th></tr>{"".join(lines)}</table></div>')
    if facts["memory_mib"]:
        cells = "".join(f'<tr><td><i class="{name}"></i>{name}</td><td class="n">{mib:.1f}</td></tr>'
                        for name, mib in facts["memory_mib"].items())
        parts.append(f'<h3>Memory</h3><p>After the load, what processes share counted once.</p><div class="wide"><table><tr><th></th><th class="n">MiB'
                     f'</th></tr>{cells}</table></div>')
    return "".join(parts)


def cell(found, by, digits):
    if not found:
        return "<td></td>"
    value, least, most = (number / by for number in found)
    return f'<td class="n">{value:,.{digits}f} <small>{least:,.{digits}f}–{most:,.{digits}f}</small></td>'


def method():
    return ('<h2>Method</h2><ul>'
            '<li>All proxies run all the time; only one has load. Each scenario goes through every proxy before the next begins, '
            'in an order that is drawn each time.</li>'
            '<li>CPU per request is what the scheduler counted for all threads of all processes of the proxy, the kernel’s work '
            'for it included, divided by the requests that ended in the window.</li>'
            '<li>In a closed loop each connection asks again as soon as it was answered: that gives CPU and peak, and its latencies '
            'only say how long the queue is. In an open loop requests are due at random times (Poisson) of a fixed rate, and latency '
            'counts from the time a request was due; one that found no free connection is charged for its wait.</li>'
            '<li>A run in which the generator’s own lag was above 0.5 ms at p99 is repeated while time allows, and otherwise left out of '
            'every ratio and every bar; figures of a proxy that has no other are marked.</li>'
            '<li>Where the proxy was busy for less than 95 % of a closed loop, the generator and the origin were what it waited for: '
            'with time to spare it works in smaller batches, and takes more for a request than it would at its peak.</li>'
            '<li>Every answer to our own generator is compared byte by byte with the body that its request’s token asks for. wrk and '
            'oha look at the status alone.</li>'
            '<li>The relay moves bytes between two sockets and knows nothing of HTTP: it is the floor for long-lived connections, '
            'and none where each request has a connection, since it keeps no pool.</li>'
            '<li>What this does not show: networks with loss and distance, more than one core, other processors, what others can do '
            'that is not configured here. The peers rewrite fewer fields than Ringway does and have no metrics by route.</li></ul>')


def configurations(names):
    parts = ["<h2>Configuration of each</h2><p>Tuned by its own guide; better settings are welcome.</p>"]
    for name in names:
        for file in proxies.PEERS[name].files:
            with open(os.path.join(stage.PEERS, file), encoding="utf-8") as source:
                parts.append(f"<details><summary>{name}: {file}</summary><pre>{html.escape(source.read())}</pre></details>")
    return "".join(parts)


def duration(us):
    return f"{us:g} µs" if us < 1000 else f"{us / 1e3:g} ms" if us < 1e6 else f"{us / 1e6:g} s"


def style():
    """The page's style, with a colour for each peer in light and dark."""
    light = "".join(f"--{name}:{colour};" for name, (colour, _) in COLOURS.items())
    dark = "".join(f"--{name}:{colour};" for name, (_, colour) in COLOURS.items())
    own = "".join(f".{name}{{--own:var(--{name})}}" for name in proxies.PEERS)
    return f":root{{color-scheme:light dark;{light}}}@media(prefers-color-scheme:dark){{:root{{{dark}}}}}{own}{STYLE}"


# In light and in dark.
COLOURS = {
    "page": ("#fcfcfb", "#161615"), "ink": ("#1b1b19", "#ecebe6"), "soft": ("#63625c", "#a3a198"),
    "rule": ("#e3e2dc", "#34332f"), "good": ("#1a7f4b", "#4cc38a"), "bad": ("#b3261e", "#ff8a80"),
    "ringway": ("#1f5fd0", "#6aa5ff"), "ringway-pgo": ("#5b4fd6", "#a49bff"), "relay": ("#8a8880", "#8f8d85"), "nginx": ("#15824d", "#4bbf80"),
    "haproxy": ("#c2610c", "#f0994a"), "envoy": ("#8b3fc0", "#c58cf0"), "caddy": ("#0f8a96", "#4fc3cf"),
    "pingora": ("#c22f63", "#f27da3"),
}
STYLE = """
body{margin:0;background:var(--page);color:var(--ink);font:15px/1.55 system-ui,sans-serif}
main{max-width:860px;margin:0 auto;padding:40px 20px 80px}
h1{font-size:28px;line-height:1.2;margin:0 0 6px}h2{font-size:20px;margin:48px 0 8px}h3{font-size:15px;margin:28px 0 0}
p{margin:6px 0 12px;max-width:72ch}.sub,h3+p{color:var(--soft)}code,pre{font:13px/1.45 ui-monospace,monospace}
pre{overflow-x:auto;padding:12px;border:1px solid var(--rule);border-radius:6px}
.wide{overflow-x:auto}table{border-collapse:collapse;font-size:13px;font-variant-numeric:tabular-nums}
td,th{padding:4px 14px 4px 0;text-align:left;white-space:nowrap;border-bottom:1px solid var(--rule)}
th{color:var(--soft);font-weight:500}.n{text-align:right}small{color:var(--soft);font-size:11px}
.met{color:var(--good)}.missed{color:var(--bad);font-weight:600}
figure{margin:4px 0 0}svg{display:block;width:100%;height:auto;font:12px system-ui,sans-serif}
.grid{stroke:var(--rule);fill:none}.base{stroke:var(--soft);fill:none}.one{stroke:var(--soft);fill:none;stroke-dasharray:3 3}
.tick,.title{fill:var(--soft)}.line{fill:none;stroke:var(--own);stroke-width:1.8;stroke-linejoin:round}
.line.ringway{stroke-width:3}.line.relay{stroke-dasharray:5 4}.lead{stroke:var(--own);opacity:.45;fill:none}
.dot{fill:var(--own);stroke:var(--page);stroke-width:1}.open{fill:var(--page);stroke:var(--own);stroke-width:1.5}
.name{fill:var(--own);font-weight:600}i{display:inline-block;width:9px;height:9px;border-radius:50%;margin-right:6px;
background:var(--own)}.legend span{margin-right:18px;font-size:13px}summary{cursor:pointer;padding:4px 0}
"""

if __name__ == "__main__":
    print(os.path.relpath(write(sys.argv[1])))
