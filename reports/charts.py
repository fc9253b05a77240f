"""Series as SVG that any width stretches: strokes keep their weight, and words stand beside it, in HTML.

Matplotlib makes scales, ticks and paths; of its SVG the paths are kept, with classes in the place of colours, so that
the page's style sheet decides how they look in the light and in the dark. The same series give the same bytes.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree as ET

import matplotlib as mpl
from markupsafe import Markup, escape
from matplotlib import dates
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator

from reports.figures import Line
from reports.numbers import shown
from reports.steps import Steps

WIDTH, HEIGHT = 1000, 200  # of the drawing, in its own units
_COLOURS = 6  # different lines; more of them begin again
_WIDE = 100  # from this ratio of the largest to the least value on, a scale is logarithmic
_SETTINGS = {  # all that a drawing depends on, whatever settings a user has of his own
    "svg.fonttype": "none",
    "svg.hashsalt": "streamsketch",
    "path.simplify": True,
    "path.simplify_threshold": 1 / 9,
    "path.sketch": None,
    "path.snap": True,
    "date.interval_multiples": True,
    "savefig.bbox": None,
    "savefig.dpi": "figure",
}
_DATES = ["%Y", "%b", "%-d %b", "%H:%M", "%H:%M", "%H:%M:%S"]
_ZERO_DATES = ["", "%Y", "%-d %b", "%-d %b", "%H:%M", "%H:%M"]
_SVG = "{http://www.w3.org/2000/svg}"


@dataclass(frozen=True)
class Tick:
    """A label of an axis, and where it stands, in percent from the left or from the top."""

    place: float
    label: str


@dataclass(frozen=True)
class Chart:
    """A drawing, and the labels that belong around it."""

    svg: Markup
    across: list[Tick]
    up: list[Tick]
    logarithmic: bool
    zero: bool  # whether the scale has 0


def draw(lines: Sequence[Line], steps: Steps, *, from_zero: bool, label: str, ticks: bool = True) -> Chart:
    """Lines over time with the bands of their errors; `label` says what is seen to who cannot see it.

    A piece that is shorter than the others is drawn apart, as a faint line: it is not yet comparable.
    """
    with mpl.rc_context(_SETTINGS):
        figure = Figure(figsize=(WIDTH / 72, HEIGHT / 72), dpi=72)
        axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
        axes.set_axis_off()
        logarithmic = _scale(axes, lines, from_zero=from_zero)
        first, last = steps.first, steps.bounds[-1][1]
        axes.set_xlim(*dates.date2num([first, last]))
        across, up = (_time_ticks(axes, first, last), _value_ticks(axes, lines, logarithmic)) if ticks else ([], [])
        if up or not ticks:
            _grid(axes, [value for value, _ in up])
        when = [dates.date2num(begin + (end - begin) / 2) for begin, end in steps.bounds]
        whole = [steps.whole(*piece) for piece in steps.bounds]
        # An amount fills what is under it, unless that would hide how uncertain it is.
        under = from_zero and not any(point.low < point.high for line in lines for point in line.points if point)
        dots = [
            f"M{_place(axes, x, y)}h0 c{at % _COLOURS}"
            for at, line in enumerate(lines)
            for x, y in _draw_line(axes, at % _COLOURS, line, when, whole, under=under)
        ]
        low, high = axes.get_ylim()
        svg = _cleaned(figure, dots, label)
        return Chart(
            svg,
            [Tick(round(100 * _share(x, *axes.get_xlim()), 2), text) for x, text in across],
            [Tick(round(100 - 100 * _share(y, low, high, log=logarithmic), 2), text) for y, text in up],
            logarithmic,
            low <= 0 <= high,
        )


def _scale(axes: Axes, lines: Sequence[Line], *, from_zero: bool) -> bool:
    """Sets the limits of values; whether the scale is logarithmic."""
    points = [point for line in lines for point in line.points if point]
    bounds = [bound for point in points for bound in (point.low, point.value, point.high) if math.isfinite(bound)]
    low, high = min(bounds, default=0.0), max(bounds, default=1.0)
    if not from_zero and low > 0 and high / low >= _WIDE:
        axes.set_yscale("log")
        axes.set_ylim(low / 1.2, high * 1.2)
        return True
    if from_zero or 0 <= low <= 0.5 * high:
        low, high = min(low, 0.0), max(high, 0.0)
    if low == high:
        low, high = (0.0, high or 1.0) if high >= 0 else (low, 0.0)
    margin = 0.06 * (high - low)
    axes.set_ylim(low - margin * (low != 0), high + margin)
    return False


def _draw_line(
    axes: Axes, colour: int, line: Line, when: Sequence[float], whole: Sequence[bool], *, under: bool
) -> Iterator[tuple[float, float]]:
    """Draws bands and lines; what stands alone, and the last value, is told as a dot."""
    for run in _runs(line):
        xs, points = [when[n] for n in run], [line.points[n] for n in run]
        known = [point for point in points if point]
        ceiling = axes.get_ylim()[1]
        lows, highs = [point.low for point in known], [min(point.high, ceiling) for point in known]
        if lows != highs and len(run) == 1:
            axes.plot([xs[0], xs[0]], [lows[0], highs[0]])[0].set_gid(f"span c{colour}")
        elif lows != highs:
            axes.fill_between(xs, lows, highs, linewidth=0).set_gid(f"band c{colour}")
        values = [point.value for point in known]
        if under and len(run) > 1:
            axes.fill_between(xs, 0, values, linewidth=0).set_gid(f"under c{colour}")
        full = [at for at, n in enumerate(run) if whole[n]]
        if full:
            first, last = full[0], full[-1] + 1
            if last - first > 1:
                axes.plot(xs[first:last], values[first:last])[0].set_gid(f"line c{colour}")
            pieces = [(0, first + 1), (last - 1, len(run))]
        else:
            pieces = [(0, len(run))]
        for begin, end in pieces:
            if end - begin > 1:
                axes.plot(xs[begin:end], values[begin:end])[0].set_gid(f"part c{colour}")
        if len(run) == 1 or run[-1] == len(line.points) - 1:
            yield xs[-1], values[-1]


def _runs(line: Line) -> Iterator[list[int]]:
    """The pieces that follow each other without a gap."""
    run: list[int] = []
    for n, point in enumerate(line.points):
        if point and math.isfinite(point.value):
            run.append(n)
        elif run:
            yield run
            run = []
    if run:
        yield run


def _time_ticks(axes: Axes, first: datetime, last: datetime) -> list[tuple[float, str]]:
    locator = dates.AutoDateLocator(minticks=3, maxticks=6, tz=UTC)
    axes.xaxis.set_major_locator(locator)
    formatter = dates.ConciseDateFormatter(
        locator, tz=UTC, formats=_DATES, zero_formats=_ZERO_DATES, offset_formats=[""] * 6, show_offset=False
    )
    places = [float(x) for x in locator.tick_values(first, last)]
    low, high = axes.get_xlim()
    inside = [x for x in places if low <= x <= high]
    return list(zip(inside, formatter.format_ticks(inside), strict=True)) if inside else []


def _value_ticks(axes: Axes, lines: Sequence[Line], logarithmic: bool) -> list[tuple[float, str]]:
    low, high = axes.get_ylim()
    values = [point.value for line in lines for point in line.points if point]
    if not values:
        return []
    whole = all(float(value).is_integer() for value in values)
    locator: Any = (
        LogLocator(numticks=5) if logarithmic else MaxNLocator(nbins=4, steps=[1, 2, 2.5, 5, 10], integer=whole)
    )
    places = [0.0 if abs(y) < 1e-9 * (high - low) else float(y) for y in locator.tick_values(low, high)]
    return [(y, shown(y)) for y in places if low <= y <= high]


def _grid(axes: Axes, values: Sequence[float]) -> None:
    for y in values:
        axes.axhline(y).set_gid("zero" if y == 0 else "grid")


def _share(value: float, low: float, high: float, *, log: bool = False) -> float:
    if log:
        value, low, high = math.log(value), math.log(low), math.log(high)
    return float((value - low) / (high - low))


def _place(axes: Axes, x: float, y: float) -> str:
    across, up = axes.transData.transform((x, y))
    return f"{across:.1f} {HEIGHT - up:.1f}"


def _cleaned(figure: Figure, dots: Sequence[str], label: str) -> Markup:
    """The paths that have names, which become classes; a dot is a line without length, which its round end shows."""
    written = io.StringIO()
    figure.savefig(written, format="svg", metadata=dict.fromkeys(["Creator", "Date", "Format", "Type"]))
    paths = []
    for group in ET.fromstring(written.getvalue()).iter(f"{_SVG}g"):  # noqa: S314  our own drawing
        name = group.get("id", "")
        if name.partition(" ")[0] in {"under", "band", "span", "line", "part", "grid", "zero"}:
            data = _shapes(group)
            paths += [Markup('<path class="{}" d="{}"/>').format(name, shape) for shape in data]
    for dot in dots:
        shape, _, colour = dot.rpartition(" ")
        paths.append(Markup('<path class="dot {}" d="{}"/>').format(colour, shape))
    return Markup(
        '<svg viewBox="0 0 {} {}" preserveAspectRatio="none" role="img" aria-label="{}"><title>{}</title>{}</svg>'
    ).format(WIDTH, HEIGHT, label, label, Markup("").join(paths))


def _shapes(group: ET.Element) -> Iterator[str]:
    """The data of the paths of a group, those that it uses included, to a tenth of a unit."""
    for path in group.iter(f"{_SVG}path"):
        yield _rounded(path.get("d", ""))


def _rounded(data: str) -> str:
    numbers = re.sub(r"-?\d+\.\d+", lambda number: f"{float(number[0]):.1f}".removesuffix(".0"), data)
    return re.sub(r"\s*([MLCQZ])\s*", r"\1", numbers.strip()).replace("\n", "").removesuffix(" ")


def swatch(colour: int) -> Markup:
    """A piece of a line, for a legend."""
    return Markup(
        '<svg class="swatch" viewBox="0 0 24 8" aria-hidden="true"><path class="line c{}" d="M0 4H24"/></svg>'
    ).format(escape(str(colour % _COLOURS)))
