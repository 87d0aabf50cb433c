"""What rows of measured runs say: medians, ranges, ratios, latencies of all rounds together, and which bars are met. It knows
nothing of how they were measured or are shown."""

import csv
import os
import statistics

COLUMNS = ["requests", "errors", "rps", "cpu_us_per_request", "p50_us", "p90_us", "p99_us", "p99_9_us", "p99_99_us",
           "max_us", "lag_p99_us", "on_time"]
TOTALS = ["wrong", "truncated", "handshakes_full", "handshakes_resumed", "idle_lost"]


def by_round(rows, proxy, figure):
    """One proxy's figures, by round; those of a late generator only if there are no others."""
    own = [row for row in rows if row["proxy"] == proxy]
    own = [row for row in own if row["on_time"]] or own
    return {row["round"]: row[figure] for row in own if row[figure] is not None}


def middle(rows, proxy, figure):
    """Median, least and most; nothing where there is none."""
    values = list(by_round(rows, proxy, figure).values())
    return (statistics.median(values), min(values), max(values)) if values else None


def ratio(rows, proxy, other, figure):
    """The median of each round's own ratio between two proxies."""
    mine, theirs = by_round(rows, proxy, figure), by_round(rows, other, figure)
    ratios = [mine[number] / theirs[number] for number in mine if theirs.get(number)]
    return statistics.median(ratios) if ratios else None


def bars(rows, table, subject="ringway"):
    """Each bar with what was measured of it: (scenario, figure, other, limit, kind, value or nothing, met). Those whose
    scenario or other was not measured are left out."""
    found = []
    for scenario, figure, other, limit, kind in table:
        own = [row for row in rows if row["scenario"] == scenario]
        if not {subject, other} <= {row["proxy"] for row in own}:
            continue
        value = ratio(own, subject, other, figure)
        found.append((scenario, figure, other, limit, kind, value, value is not None and value <= limit))
    return found


# What no proxy may make of an answer, whatever happens: another's bytes, or less than all.
SPOILT = ("wrong", "truncated")


def spoilt(rows, subject="ringway"):
    """The spoilt answers of each scenario that had any: (scenario, total, how many)."""
    counts = {}
    for row in rows:
        for total in SPOILT:
            if row["proxy"] == subject and row[total]:
                counts[row["scenario"], total] = counts.get((row["scenario"], total), 0) + row[total]
    return [(*key, count) for key, count in counts.items()]


LOST_OVER = 1.03


def lost(rows, scenarios, proxies, subject="ringway"):
    """Where another did better by more than 3 % at the same load: (scenario, figure, other, ratio), worst first. Latency
    counts where the load came at a rate of its own."""
    found = []
    for scenario in (row for row in scenarios if row.is_alike):
        own = [row for row in rows if row["scenario"] == scenario.name]
        figures = ["cpu_us_per_request"]
        figures += ["p50_us", "p99_us", "p99_9_us", "p99_99_us"] if scenario.opens else []
        for figure in figures:
            for other in proxies:
                value = ratio(own, subject, other, figure) if other != subject else None
                if value and value > LOST_OVER:
                    found.append((scenario.name, figure, other, value))
    return sorted(found, key=lambda row: -row[3])


def latencies(folder, scenario, proxy, rounds):
    """These rounds' latencies together, from the files that `drive` keeps: rising pairs of 1/(1 - percentile) and µs."""
    counts = {}
    for path in (os.path.join(folder, f"{scenario}-{proxy}-{number}.hgrm") for number in rounds):
        before = 0
        with open(path, encoding="ascii") as source:
            for line in source:
                if line[:1] in "#\n" or "Value" in line:
                    continue
                value, _, total, _ = line.split()
                counts[float(value)] = counts.get(float(value), 0) + int(total) - before
                before = int(total)
    whole, below, points = sum(counts.values()), 0, []
    for value, count in sorted(counts.items()):
        below += count
        if below < whole:
            points.append((whole / (whole - below), value))
    return points


def write_csv(rows, path):
    with open(path, "w", newline="", encoding="utf-8") as target:
        writer = csv.DictWriter(target, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
