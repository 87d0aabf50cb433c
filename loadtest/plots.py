"""Plots as text of SVG, to stand inside a page: its style sheet gives the colours, so that they follow light and dark. They
know nothing of load tests beyond the names of their series."""

import html
import math

WIDTH, HEIGHT = 760, 340
LEFT, RIGHT, TOP, BOTTOM = 64, 92, 14, 46


class Axis:
    """From values to places, by a logarithm or as they are, with the values that are written beside it."""

    def __init__(self, least, most, first, last, ticks, log=False):
        self.turn = math.log10 if log else float
        self.least, self.most = self.turn(least), self.turn(most)
        self.first, self.last, self.ticks = first, last, ticks

    def at(self, value):
        share = (self.turn(value) - self.least) / ((self.most - self.least) or 1)
        return self.first + min(max(share, 0), 1) * (self.last - self.first)


def lines(series, x, y, x_words, y_words, words, named=True):
    """A plot of lines: `series` gives by name its points, each x, y and whether it is sure; `x` and `y` are axes. `named`: each
    has its name at its end."""
    parts = [frame(x, y, x_words, y_words)]
    ends = []
    for name, points in series.items():
        if not points:
            continue
        places = [(x.at(px), y.at(py), sure) for px, py, sure in points]
        path = "M" + "L".join(f"{px:.1f},{py:.1f}" for px, py, _ in places)
        parts.append(f'<path class="line {name}" d="{path}"><title>{html.escape(name)}</title></path>')
        if len(places) <= 20:
            parts += [f'<circle class="{"dot" if sure else "open"} {name}" cx="{px:.1f}" cy="{py:.1f}" r="3.2"/>'
                      for px, py, sure in places]
        ends.append((places[-1][1], places[-1][0], name))
    if named:
        parts += labels(ends)
    return svg(HEIGHT, words, parts)


def labels(ends):
    """Names at the ends of their lines, moved apart where they would lie on each other."""
    parts, placed = [], []
    for py, px, name in sorted(ends):
        at = max(py, placed[-1] + 14) if placed else py
        placed.append(at)
    over = (placed[-1] - (HEIGHT - BOTTOM)) if placed else 0
    if over > 0:
        # From the lowest upwards, only as far as they are in each other's way.
        placed[-1] -= over
        for number in range(len(placed) - 2, -1, -1):
            placed[number] = min(placed[number], placed[number + 1] - 14)
    for (py, px, name), at in zip(sorted(ends), placed):
        column = WIDTH - RIGHT + 10
        parts.append(f'<path class="lead {name}" d="M{px:.1f},{py:.1f}L{column - 3},{at:.1f}"/>'
                     f'<text class="name {name}" x="{column}" y="{at + 4:.1f}">{html.escape(name)}</text>')
    return parts


def frame(x, y, x_words, y_words):
    parts = []
    for value, text in y.ticks:
        at = y.at(value)
        parts.append(f'<path class="grid" d="M{x.first},{at:.1f}H{x.last}"/>'
                     f'<text class="tick" x="{LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{text}</text>')
    for value, text in x.ticks:
        at = x.at(value)
        parts.append(f'<path class="grid" d="M{at:.1f},{y.last}V{y.first}"/>'
                     f'<text class="tick" x="{at:.1f}" y="{y.first + 18}" text-anchor="middle">{text}</text>')
    parts.append(f'<path class="base" d="M{x.first},{y.first}H{x.last}"/>')
    parts.append(f'<text class="title" x="{(x.first + x.last) / 2:.0f}" y="{y.first + 38}" text-anchor="middle">{x_words}</text>')
    middle = (y.first + y.last) / 2
    parts.append(f'<text class="title" transform="rotate(-90 14 {middle:.0f})" x="14" y="{middle:.0f}" '
                 f'text-anchor="middle">{y_words}</text>')
    return "".join(parts)


def dots(rows, words, x_words):
    """A row for each name with a dot for each series, on one axis of ratios: 1 is in the middle of attention. `rows` is a
    list of (name, {series: value})."""
    values = [value for _, row in rows for value in row.values()] + [1]
    left, right, step, top = 190, 24, 24, 12
    bottom = top + step * len(rows)
    least, most = min(values) / 1.08, max(values) * 1.08
    ticks = [value for value in RATIOS if least <= value <= most]
    x = Axis(least, most, left, WIDTH - right, ticks, log=True)
    parts = []
    for value in ticks:
        at = x.at(value)
        parts.append(f'<path class="{"one" if value == 1 else "grid"}" d="M{at:.1f},{top}V{bottom}"/>'
                     f'<text class="tick" x="{at:.1f}" y="{bottom + 18}" text-anchor="middle">{value:g} ×</text>')
    for number, (name, row) in enumerate(rows):
        at = top + step * (number + 0.5)
        parts.append(f'<path class="grid" d="M{left},{at:.1f}H{WIDTH - right}"/>'
                     f'<text class="tick" x="{left - 10}" y="{at + 4:.1f}" text-anchor="end">{html.escape(name)}</text>')
        parts += [f'<circle class="dot {series}" cx="{x.at(value):.1f}" cy="{at:.1f}" r="5">'
                  f'<title>{html.escape(f"{name}: {series} {value:.2f} ×")}</title></circle>' for series, value in row.items()]
    parts.append(f'<text class="title" x="{(left + WIDTH - right) / 2:.0f}" y="{bottom + 38}" text-anchor="middle">{x_words}</text>')
    return svg(bottom + 46, words, parts)


def svg(height, words, parts):
    return (f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{html.escape(words)}">' + "".join(parts) + "</svg>")


def legend(names):
    return '<p class="legend">' + "".join(f'<span><i class="{name}"></i>{html.escape(name)}</span>' for name in names) + "</p>"


def log_ticks(least, most, words):
    """1, 2, 5, 10 … between the two, as few as can be read."""
    found = [digit * 10 ** power for power in range(-3, 10) for digit in (1, 2, 5)
             if least <= digit * 10 ** power <= most]
    if len(found) > 8:
        found = [value for value in found if math.log10(value).is_integer()]
    return [(value, words(value)) for value in found]


def even_ticks(most, words):
    """Some even steps from nothing to `most`."""
    size = 10 ** math.floor(math.log10(most))
    step = next(size * part for part in (0.1, 0.2, 0.25, 0.5, 1, 2) if most / (size * part) <= 8)
    return [(number * step, words(number * step)) for number in range(int(most / step) + 1)]


RATIOS = [0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 5, 7, 10, 20, 50]
