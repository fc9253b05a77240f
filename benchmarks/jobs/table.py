"""The figures of all runs, and the table that tells them: medians, ranges, and ratios to ours."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import Any

from benchmarks.jobs.jobs import Way

_OFF = {"exact": "", "rms": " rms", "value": " of value", "rank": " of rank", "share": " of all"}


@dataclass
class Figures:
    """What one way of one system cost in each round, the first of which warms up; and how far off it was at worst."""

    system: str
    way: Way
    runs: list[dict[str, float]] = field(default_factory=list)
    error: float = 0.0
    problem: str | None = None

    def median(self, what: str) -> float:
        """Of the rounds after the first."""
        return statistics.median(run[what] for run in self.runs[1:])

    def as_data(self) -> dict[str, Any]:
        """For a file of JSON."""
        way = {"job": self.way.job, "name": self.way.name, "share": self.way.share}
        off = {"off": self.way.off, "error_allowed": self.way.error, "error": self.error}
        return {"system": self.system, **way, **off, "problem": self.problem, "runs": self.runs}


def table(all_figures: list[Figures], titles: dict[str, str]) -> str:
    """Markdown: a row for each way, jobs together; where ours are several, the ratios to each of them."""
    head = [
        "job",
        "system",
        "way",
        "CPU s",
        "from - to",
        "wall s",
        "CPU / ours",
        "wall / ours",
        "off by",
        "first CPU s",
    ]
    rows = [head, ["---"] * len(head)]
    for job in dict.fromkeys(figures.way.job for figures in all_figures):
        of_job = [figures for figures in all_figures if figures.way.job == job]
        ours = [figures for figures in of_job if figures.system == "ours" and not figures.problem]
        rows += [_row(figures, ours, titles) for figures in of_job]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _row(figures: Figures, ours: list[Figures], titles: dict[str, str]) -> list[str]:
    way = figures.way
    name = [way.job, titles[figures.system], way.name]
    if figures.problem:
        return [*name, figures.problem, *[""] * 6]
    cpu = [run["cpu"] for run in figures.runs[1:]]
    ratios = [
        " / ".join(f"{figures.median(what) / our.median(what):.2f}" for our in ours) or "-" for what in ("cpu", "wall")
    ]
    spent = [f"{figures.median('cpu'):.2f}", f"{min(cpu):.2f} - {max(cpu):.2f}", f"{figures.median('wall'):.2f}"]
    off = f"{figures.error:.2%}{_OFF[way.off]}" if figures.error else "exact"
    return [*name, *spent, *ratios, off, f"{figures.runs[0]['cpu']:.2f}"]
