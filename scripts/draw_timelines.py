"""Draws docs/pictures/time-*.svg: what each window policy tells of a small stream, and when.

    python -m scripts.draw_timelines

The stream is told to a pipeline with a gate before its windows; drawn is what the pipeline told, in that order. The
same code gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from html import escape
from pathlib import Path
from typing import NamedTuple

import apache_beam as beam
from apache_beam.transforms.window import GlobalWindows

from transforms.lateness import Gate
from transforms.panes import Pane, WithPane
from transforms.schemas import EPOCH
from transforms.testing import Story, Told, collect_panes
from transforms.testing.stories import Bundle, Step, Wait, Watermark
from transforms.testing.telling import telling
from transforms.watermarks import FromTimers
from transforms.windowing import ApplyWindow, WindowPolicy

PICTURES = Path(__file__).parents[1] / "docs" / "pictures"

SCORES = (
    Story()
    .at("12:00:02", 5)
    .at("12:00:07", 3)
    .wait("5s")
    .at("12:00:13", 4)
    .watermark("12:00:11")
    .at("12:00:04", 7)
    .at("12:00:18", 2)
    .watermark("12:00:21")
    .at("12:00:08", 1)
    .watermark("12:00:31")
    .at("12:00:06", 9)
)
TIMELINES = {
    "once": "10s",
    "late": "10s, lateness 20s",
    "replacing": "10s, lateness 20s, accumulating",
    "clock": "10s, lateness 20s, early every 5s, accumulating",
    "records": "10s, lateness 20s, early every 2 records, accumulating",
    "sliding": "10s/5s, lateness 20s, accumulating",
    "sessions": "session 6s, lateness 20s, accumulating",
    "all": "all, early every record, accumulating",
}

_NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
_FIRST, _LAST = -5, 30  # seconds of event time that are drawn, from noon
_LEFT, _TOP, _LINE, _SECOND = 130, 42, 24, 15  # pixels
_GREY, _LOST = "#6e7781", "#cf4858"
_COLOURS = {"early": "#2f81f7", "on time": "#2da44e", "late": "#d4791f"}


class Event(NamedTuple):
    """What a pipeline told after a step: the sum of a window in a pane, or a record that went aside."""

    value: int
    pane: Pane | None


@dataclass(frozen=True)
class Row:
    """A step of the story, and what was told when it had been made."""

    step: Step | None  # none is the end of all time
    told: tuple[Event, ...]

    @property
    def answers(self) -> list[tuple[int, Pane]]:
        """What windows told, and in which panes."""
        return [(event.value, event.pane) for event in self.told if event.pane]

    @property
    def lines(self) -> int:
        """How many lines it takes to draw: records and answers do not share one."""
        return max(1, isinstance(self.step, Bundle) + len(self.answers))


def rows_of(policies: Iterable[str], story: Story) -> list[list[Row]]:
    """For each policy, what a pipeline tells after each step of a story: sums of windows, and what goes aside."""
    # A mark follows each step, and comes when all that follows from the step is done.
    mark = Bundle(((story.micros_of("23:59:59"), None),))
    marked = Story(story.day, tuple(both for step in story.steps for both in (step, mark)))
    with telling(marked) as records:
        told = [collect_panes(records | text >> _Play(WindowPolicy.parse(text))) for text in policies]
    return [list(_rows(story, answers)) for answers in told]


def _rows(story: Story, answers: list[Told]) -> Iterator[Row]:
    after: list[list[Event]] = [[]]
    for answer in answers:
        if answer.value is None:
            after.append([])
        else:
            after[-1].append(Event(*answer.value))
    for step, events in zip((*story.steps, None), after, strict=True):
        yield Row(step, tuple(sorted(events, key=_start)))  # windows that answer at once do so in any order


class _Play(beam.PTransform):
    """Sums in windows, records that go aside, and marks, as one collection in the order in which they are told."""

    def __init__(self, policy: WindowPolicy) -> None:
        super().__init__()
        self._policy = policy

    def expand(self, records: beam.PCollection) -> beam.PCollection:
        marks = records | "Marks" >> beam.Filter(_is_mark)
        scores = records | "Scores" >> beam.Filter(_is_score).with_output_types(int)
        gate = scores | Gate(self._policy, FromTimers())
        sums = (
            gate.in_time
            | beam.WithKeys("score").with_output_types(tuple[str, int])
            | ApplyWindow(self._policy)
            | beam.CombinePerKey(sum)
            | beam.Values()
            | WithPane(self._policy)
            | "Untimed sums" >> beam.WindowInto(GlobalWindows())
        )
        aside = gate.late | beam.MapTuple(lambda value, _: (value, None))
        return (marks, sums, aside) | beam.Flatten()


def _is_mark(value: int | None) -> bool:
    return value is None


def _is_score(value: int | None) -> bool:
    return value is not None


def _start(event: Event) -> float:
    return _seconds(event.pane.start) if event.pane and event.pane.start else 0.0


def _seconds(moment: datetime) -> float:
    """Seconds of event time after noon."""
    return (moment - _NOON).total_seconds()


def picture(text: str, rows: list[Row]) -> str:
    """An SVG: event time to the right, what arrives downwards, answers as bars over the windows that they are of."""
    heights = [_LINE * row.lines for row in rows]
    tops = [_TOP + sum(heights[:index]) for index in range(len(rows))]
    bottom = _TOP + sum(heights)
    drawn = [_text(0, 14, text, "start", weight="bold")]
    for second in range(_FIRST, _LAST + 1, 5):
        drawn += [
            f'<line x1="{_x(second)}" y1="{_TOP}" x2="{_x(second)}" y2="{bottom}" stroke="{_GREY}" opacity=".25"/>',
            _text(_x(second), _TOP - 6, f"12:00:{second:02}" if second >= 0 else f"11:59:{60 + second}", "middle"),
        ]
    mark: list[tuple[float, float]] = []
    for row, top, height in zip(rows, tops, heights, strict=True):
        drawn += _row(row, top)
        if isinstance(row.step, Watermark):
            at = _x(_seconds(EPOCH + timedelta(microseconds=row.step.at)))
            mark += [(mark[-1][0] if mark else _x(_FIRST), top), (at, top), (at, top + height)]
    points = " ".join(f"{x:g},{y:g}" for x, y in mark)
    drawn.append(
        f'<polyline points="{points}" fill="none" stroke="{_GREY}" stroke-width="1.5" stroke-dasharray="4 3"/>'
    )
    size = f'width="{_x(_LAST) + 40:g}" height="{bottom + 4}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="11" fill="{_GREY}">'
    return "\n".join([head, *drawn, "</svg>", ""])


def _row(row: Row, top: float) -> list[str]:
    middle = top + _LINE / 2
    drawn = [_text(0, middle + 4, _said(row.step), "start")]
    for index, (value, pane) in enumerate(row.answers, start=row.lines - len(row.answers)):
        start = _x(_FIRST if pane.start is None else _seconds(pane.start))
        end = _x(_LAST if pane.end is None else _seconds(pane.end))
        colour, line = _COLOURS[pane.timing], top + index * _LINE
        drawn += [
            f'<rect x="{start + 1:g}" y="{line + 2:g}" width="{end - start - 2:g}" height="{_LINE - 4}" rx="3" '
            f'fill="{colour}" fill-opacity=".18" stroke="{colour}"/>',
            _text(end - 6, line + _LINE / 2 + 4, f"{pane.timing} {value}", "end", colour),
        ]
    if isinstance(row.step, Bundle):
        for micros, value in row.step.records:
            at = _x(_seconds(EPOCH + timedelta(microseconds=micros)))
            lost = any(event.pane is None for event in row.told)
            colour = _LOST if lost else _GREY
            drawn += [
                f'<circle cx="{at:g}" cy="{middle:g}" r="8" fill="{"none" if lost else colour}" stroke="{colour}"/>',
                _text(at, middle + 4, str(value), "middle", colour if lost else "#ffffff"),
            ]
            if lost:
                drawn.append(_text(at + 12, middle + 4, "goes aside", "start", colour))
    return drawn


def _said(step: Step | None) -> str:
    match step:
        case Bundle(((_, value),)):
            return f"{value} arrives"
        case Bundle(records):
            return f"{' and '.join(str(value) for _, value in records)} arrive"
        case Watermark(at):
            return f"watermark {EPOCH + timedelta(microseconds=at):%H:%M:%S}"
        case Wait(seconds):
            return f"{seconds:g} s go by"
        case None:
            return "the stream ends"


def _x(second: float) -> float:
    return _LEFT + (second - _FIRST) * _SECOND


def _text(x: float, y: float, said: str, anchor: str, colour: str = _GREY, weight: str = "normal") -> str:
    return (
        f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" fill="{colour}" font-weight="{weight}">{escape(said)}</text>'
    )


def main() -> None:
    """Draws all of them."""
    for name, drawn in pictures().items():
        (PICTURES / f"time-{name}.svg").write_text(drawn, encoding="utf-8")


def pictures() -> dict[str, str]:
    """All of them, by name."""
    told = rows_of(TIMELINES.values(), SCORES)
    return {name: picture(text, rows) for (name, text), rows in zip(TIMELINES.items(), told, strict=True)}


if __name__ == "__main__":
    main()
