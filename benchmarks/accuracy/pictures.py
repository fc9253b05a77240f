"""Draws docs/pictures from docs/data/accuracy.json: errors as bands, and memory.

    python -m benchmarks.accuracy.pictures

The same data gives the same bytes. Colours are legible on a light page and on a dark one: the ground is left out.
Each picture says in its metadata which data it was drawn from.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable
from itertools import cycle
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter
from numpy.typing import NDArray

from benchmarks.accuracy.__main__ import DATA

PICTURES = DATA.parents[1] / "pictures"
_GREY, _OURS, _THEIRS = "#6e7781", "#2f81f7", "#d4791f"
_LINES = ("#2f81f7", "#d4791f", "#2da44e", "#cf4858", "#8a63d2")
_STYLE: Any = {  # matplotlib types every name that there is
    "svg.hashsalt": "streamsketch",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9,
    **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), _GREY),
}


class Picture(NamedTuple):
    """What one picture of errors shows: which series side by side, and what was promised."""

    sketch: str
    series: tuple[str, ...]
    promise: float
    promised: str
    rates: bool = False  # of events, on a logarithmic scale, with the second series as a line


ERRORS = (
    Picture(
        "HyperLogLog",
        ("ours", "DataSketches, after union", "DataSketches, one pass (HIP)"),
        3 * 1.04 / 64,
        "3 standard errors, 4.9 %",
    ),
    Picture("CountMin", ("ours", "DataSketches"), 0.001, "+0.1 % in all but 0.7 % of answers"),
    Picture("HeavyHitters", ("ours", "ours, batches of 100", "DataSketches"), 1 / 97, "total / 97, 1.03 %, certain"),
    Picture("Bloom", ("ours", "what error_now() says"), 0.01, "1 % at 100,000 items", rates=True),
    Picture("MinHash", ("ours",), 0.12, "±12 % of the whole, at 95 %"),
    Picture("Kll", ("ours", "ours, 16 merged", "DataSketches", "DataSketches, 16 merged"), 0.0133, "±1.33 % at 99 %"),
    Picture("DyadicQuantiles", ("ours",), 0.01, "±1 % at 99 %"),
    Picture("LogHistogram", ("ours",), 0.01, "±1 %, certain"),
)


def main() -> None:
    """Draws all of them."""
    source = DATA.read_bytes()
    series = json.loads(source)["series"]
    by_name = {(one["sketch"], one["series"]): one for one in series}
    mpl.rcParams.update(_STYLE)
    PICTURES.mkdir(exist_ok=True)
    for picture in ERRORS:
        figure = _errors(picture, [by_name[picture.sketch, name] for name in picture.series])
        _save(figure, f"accuracy-{picture.sketch.lower()}.svg", source)
    _save(_memory([one for one in series if one["series"] == "ours"]), "memory.svg", source)


def _save(figure: Figure, name: str, source: bytes) -> None:
    drawn_from = f"{DATA.name} {hashlib.blake2b(source, digest_size=8).hexdigest()}"
    figure.savefig(
        PICTURES / name, transparent=True, metadata={"Date": None, "Creator": None, "Description": drawn_from}
    )


def _errors(picture: Picture, shown: list[dict[str, Any]]) -> Figure:
    panels = shown[:1] if picture.rates else shown
    figure = Figure(figsize=(2.2 + 2.3 * max(len(panels), 2), 2.9), layout="constrained")
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    limits = _limits(picture, np.concatenate([np.ravel(one["quantiles"]) for one in panels]))
    for axis, one in zip(axes, panels, strict=True):
        _bands(axis, one, limits[0])
        axis.set(xscale="log", yscale="log" if picture.rates else "linear", ylim=limits)
        axis.set(title=_named(one["series"]), xlabel="items, n")
        axis.yaxis.set_major_formatter(FuncFormatter(lambda error, _: f"{100 * error:.4g} %"))
        axis.minorticks_off()
        for side in (1, -1):
            axis.axhline(side * picture.promise, color=_GREY, linewidth=0.8, linestyle="--")
    if picture.rates:
        axes[0].plot(shown[1]["n"], shown[1]["rms"], ":", color=_THEIRS, label=shown[1]["series"])
    axes[0].set_ylabel("rate of false yeses" if picture.rates else f"error {shown[0]['error'].split(',')[0]}")
    figure.legend(*axes[0].get_legend_handles_labels(), frameon=False, fontsize=8, loc="outside right center")
    figure.suptitle(f"{picture.sketch}, {shown[0]['parameters']}; promised: {picture.promised}", fontsize=10)
    return figure


def _named(series: str) -> str:
    return series.replace("ours", "streamsketch")


def _bands(axis: Axes, one: dict[str, Any], lowest: float) -> None:
    """What is below the lowest lies on the axis, as rates of zero do."""
    colour = _THEIRS if one["series"].startswith("DataSketches") else _OURS
    quantiles = np.maximum(one["quantiles"], lowest)
    for reach, alpha in ((3, 0.18), (2, 0.22), (1, 0.35)):
        low, high = quantiles[:, 3 - reach], quantiles[:, 3 + reach]
        axis.fill_between(one["n"], low, high, color=colour, alpha=alpha, linewidth=0, label=f"±{reach} sigma")
    axis.plot(one["n"], quantiles[:, 3], color=colour, linewidth=1.2, label="median")


def _limits(picture: Picture, errors: NDArray[np.float64]) -> tuple[float, float]:
    """What was promised is in the picture, unless the errors would vanish beside it."""
    if picture.rates:
        return 1e-5, 1.5
    furthest = float(np.abs(errors).max())
    reach = 1.15 * max(furthest, picture.promise if picture.promise < 4 * furthest else 0.0)
    return (-0.1 if errors.min() >= 0 else -1.0) * reach, reach


def _memory(shown: list[dict[str, Any]]) -> Figure:
    figure = Figure(figsize=(9, 4.2), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    by_size = sorted(shown, key=lambda one: one["memory"][-1])  # so that neighbours differ in colour
    colours = dict(zip((one["sketch"] for one in by_size), cycle(_LINES), strict=False))
    for axis, column, title in zip(
        axes, ("memory", "stored"), ("held: memory()", "stored: len(to_bytes())"), strict=True
    ):
        lines = sorted(shown, key=lambda one: one[column][-1])
        heights = _apart([math.log10(one[column][-1]) for one in lines], 0.27)
        for one, height in zip(lines, heights, strict=True):
            colour = colours[one["sketch"]]
            axis.plot(one["n"], one[column], color=colour, linewidth=1.4)
            axis.text(1.5e6, 10**height, one["sketch"], color=colour, va="center", fontsize=8)
        axis.set(xscale="log", yscale="log", title=title, xlabel="items, n", xlim=(10, 6e7))
        axis.set_xticks([10**power for power in range(1, 7)])
        axis.minorticks_off()
        axis.set_yticks([10**power for power in range(2, 8)])
        axis.yaxis.set_major_formatter(FuncFormatter(lambda size, _: _bytes(size)))
        axis.grid(axis="y", color=_GREY, alpha=0.2, linewidth=0.5)
    return figure


def _apart(heights: Iterable[float], least: float) -> list[float]:
    """Rising heights, each at least so far above the one before."""
    moved: list[float] = []
    for height in heights:
        moved.append(max(height, moved[-1] + least) if moved else height)
    return moved


def _bytes(size: float) -> str:
    power = min(int(math.log10(size)) // 3, 2)
    return f"{size / 1000**power:g} {('B', 'KB', 'MB')[power]}"


if __name__ == "__main__":
    main()
