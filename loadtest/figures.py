"""What rows of measured runs say: medians, ranges, ratios, latencies of all rounds together, and which bars are met. It knows
nothing of how they were measured or are shown."""

import csv
import dataclasses
import os
import statistics

COLUMNS = ["requests", "errors", "rps", "cpu_us_per_request", "p50_us", "p90_us", "p99_us", "p99_9_us", "p99_99_us",
           "max_us", "lag_p99_us", "on_time"]
TOTALS = ["wrong", "truncated", "handshakes_full", "handshakes_resumed", "idle_lost"]
# Percentiles, as shares of what is above them.
ABOVE = {"p50_us": 0.5, "p90_us": 0.1, "p99_us": 0.01, "p99_9_us": 0.001, "p99_99_us": 0.0001}
# Fewer requests than this above a percentile do not tell where it is.
LEAST_ABOVE = 10


def by_round(rows, proxy, figure, late=False):
    """One proxy's figures, by round; with `late` those of a late generator too, if there are no others."""
    own = [row for row in rows if row["proxy"] == proxy]
    own = [row for row in own if row["on_time"]] or (own if late else [])
    return {row["round"]: row[figure] for row in own if row.get(figure) is not None}


def middle(rows, proxy, figure):
    """Median, least and most; nothing where there is none. What a late generator gave stands in for nothing at all."""
    values = list(by_round(rows, proxy, figure, late=True).values())
    return (statistics.median(values), min(values), max(values)) if values else None


def ratios(rows, proxy, other, figure):
    """Each round's own ratio between two proxies, of rounds in which the generator kept time for both."""
    mine, theirs = by_round(rows, proxy, figure), by_round(rows, other, figure)
    return [mine[number] / theirs[number] for number in mine if theirs.get(number)]


def ratio(rows, proxy, other, figure):
    """The median of them."""
    found = ratios(rows, proxy, other, figure)
    return statistics.median(found) if found else None


def busy(rows, proxy):
    """The part of its CPU that a proxy was busy, the median of its rounds."""
    parts = [row["rps"] * row["cpu_us_per_request"] / 1e6 for row in rows
             if row["proxy"] == proxy and row["cpu_us_per_request"] is not None]
    return statistics.median(parts) if parts else None


@dataclasses.dataclass(frozen=True)
class Bar:
    """A bar, and what was measured of it."""
    scenario: str
    figure: str
    other: str
    limit: float
    # Nothing: it was not measured, or in no round that both had with a generator that kept time.
    value: float | None = None
    # The least and the most of each round's own ratio.
    least: float | None = None
    most: float | None = None
    # Requests that failed through the subject: a bar is not met by what was not answered.
    errors: int = 0

    @property
    def verdict(self):
        if self.value is None:
            return "not measured"
        return "met" if self.value <= self.limit and not self.errors else "missed"


def compared(rows, proxy, other, figure, folder=None):
    """How many times the other's figure a proxy's is, in one scenario's rows, and each round's own ratio; nothing without such
    rounds. Latencies whose files are in the folder are compared over all rounds together, since of a single round's highest
    percentiles chance decides; the rest by the median of the rounds' own."""
    found = ratios(rows, proxy, other, figure)
    if not found:
        return None, found
    if folder and figure in ABOVE:
        mine, theirs = (percentile(latencies(folder, rows[0]["scenario"], name, by_round(rows, name, figure)), figure)
                        for name in (proxy, other))
        # Without files (a closed loop keeps none), or with too few requests, the median stands.
        if mine and theirs:
            return mine / theirs, found
    return statistics.median(found), found


def bars(rows, table, folder=None, subject="ringway"):
    """Each bar of a table with what was measured of it."""
    return [bar(rows, folder, subject, *row) for row in table]


def bar(rows, folder, subject, scenario, figure, other, limit):
    own = [row for row in rows if row["scenario"] == scenario]
    value, found = compared(own, subject, other, figure, folder)
    if value is None:
        return Bar(scenario, figure, other, limit)
    errors = sum(row["errors"] for row in own if row["proxy"] == subject)
    return Bar(scenario, figure, other, limit, value, min(found), max(found), errors)


def percentile(points, figure):
    """Of latencies as [`latencies`] gives them; nothing where there are none."""
    return next((value for turned, value in points if turned >= 1 / ABOVE[figure]), None)


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


def lost(rows, scenarios, proxies, folder=None, subject="ringway"):
    """Where another did better by more than 3 % at the same load: (scenario, figure, other, ratio), worst first. Latency
    counts where the load came at a rate of its own."""
    found = []
    for scenario in (row for row in scenarios if row.is_alike):
        own = [row for row in rows if row["scenario"] == scenario.name]
        figures = ["cpu_us_per_request"]
        figures += [*ABOVE] if scenario.opens else []
        figures += ["memory_mib"] if scenario.memory else []
        for figure in figures:
            for other in proxies:
                value = compared(own, subject, other, figure, folder)[0] if other != subject else None
                if value and value > LOST_OVER:
                    found.append((scenario.name, figure, other, value))
    return sorted(found, key=lambda row: -row[3])


def latencies(folder, scenario, proxy, rounds):
    """These rounds' latencies together, from the files that `drive` keeps: rising pairs of 1/(1 - percentile) and µs,
    as far as there are requests enough to tell."""
    counts = {}
    files = (os.path.join(folder, f"{scenario}-{proxy}-{number}.hgrm") for number in rounds)
    for path in filter(os.path.exists, files):
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
    return [point for point in points if point[0] <= whole / LEAST_ABOVE]


def write_csv(rows, path):
    if not rows:
        return
    with open(path, "w", newline="", encoding="utf-8") as target:
        writer = csv.DictWriter(target, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
