"""Every line that the page about DStreams shows is run."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.testing.util import assert_that
from apache_beam.transforms.window import TimestampedValue

from pipelines.connectors import read, write
from transforms.counting import CountByValue, CountByWindow
from transforms.effects import ApplyEffects, Effect
from transforms.joining import JoinPerWindow
from transforms.observing import Observe
from transforms.parsing import parse_text
from transforms.reducing import ReduceByWindow
from transforms.remembering import MapWithState
from transforms.sliding import ReduceByKeyAndWindow
from transforms.updating import UpdateStateByKey
from transforms.windowing import ApplyWindow, ForgetTime, WindowPolicy

PAGE = Path(__file__).parent.parent / "docs" / "from-dstreams.md"
LINES = dict(re.findall(r"^- `(.+?)` → `(.+?)`: ", PAGE.read_text(), re.MULTILINE))
NOON = 1_000_000
NAMES = {
    "ApplyEffects": ApplyEffects,
    "ApplyWindow": ApplyWindow,
    "CountByValue": CountByValue,
    "CountByWindow": CountByWindow,
    "ForgetTime": ForgetTime,
    "JoinPerWindow": JoinPerWindow,
    "MapWithState": MapWithState,
    "Observe": Observe,
    "ReduceByKeyAndWindow": ReduceByKeyAndWindow,
    "ReduceByWindow": ReduceByWindow,
    "TimestampedValue": TimestampedValue,
    "UpdateStateByKey": UpdateStateByKey,
    "WindowPolicy": WindowPolicy,
    "beam": beam,
    "parse_text": parse_text,
    "read": read,
    "write": write,
    "NOON": NOON,
}


def update(values: list[int], before: int | None) -> int | None:
    return (before or 0) + sum(values)


def running(key: str, value: int, state: int | None) -> tuple[tuple[str, int], int]:
    total = (state or 0) + value
    return (key, total), total


def save(effects: Sequence[Effect]) -> None:
    assert all(len(effect.id) == 32 for effect in effects)


class Line(beam.PTransform):
    """A line of the page, under a label of its own."""

    def __init__(self, line: str, names: dict[str, Any]) -> None:
        super().__init__()
        self._line, self._names = line, names

    def expand(self, _: Any) -> Any:
        return eval(self._line, {**NAMES, **self._names})  # noqa: S307  the page is ours


def some(answers: list[Any]) -> None:
    assert answers


def test_every_line_gives_answers(in_process: Callable[..., Any], tmp_path: Path) -> None:
    assert len(LINES) > 35
    with in_process() as pipeline:
        words, pairs, others = (
            pipeline
            | f"Create {name}"
            >> beam.Create([TimestampedValue(value, NOON + second) for second, value in values]).with_output_types(kind)
            | f"Window {name}" >> ApplyWindow(WindowPolicy("1s"))
            for name, kind, values in (
                ("words", str, [(0.5, "to"), (0.6, "be"), (1.5, "to"), (3.5, "or")]),
                ("pairs", tuple[str, int], [(0.5, ("a", 1)), (0.6, ("a", 2)), (1.5, ("b", 3)), (5.5, ("c", 4))]),
                ("others", tuple[str, int], [(0.7, ("a", 5)), (2.5, ("b", 6)), (5.6, ("c", 7))]),
            )
        )
        initial = pipeline | "Initial" >> beam.Create([("a", 100)]).with_output_types(tuple[str, int])
        names = {
            "words": words,
            "pairs": pairs,
            "others": others,
            "initial": initial,
            "pipeline": pipeline,
            "total": operator.add,
            "less": operator.sub,
            "update": update,
            "running": running,
            "save": save,
            "folder": str(tmp_path),
        }
        for number, line in enumerate(LINES.values()):
            if "watch:" in line:  # that never ends: it is built here, and run where directories are tested
                unrun = beam.Pipeline(runner="FnApiRunner")
                assert isinstance((unrun | Line(line, names | {"pipeline": unrun})).records, beam.PCollection)
            else:
                answers = pipeline | f"Line {number}" >> Line(line, names)
                assert_that(answers, some, label=f"Answers {number}")
