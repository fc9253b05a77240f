"""What tests of state may ask for: streams that are stories, and what is still held at their end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import apache_beam as beam
import pytest
from apache_beam.coders import FastPrimitivesCoder
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner
from apache_beam.runners.direct.evaluation_context import EvaluationContext
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.test_stream import TestStream
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.window import TimestampedValue

from transforms.windowing import window_bounds

NOON = 1_000_000

# In the order of arrival: (second, record), each in a bundle of its own; a number, to which the watermark advances.
Step: TypeAlias = tuple[float, Any] | float
Answer: TypeAlias = tuple[float, float | None, Any]  # seconds of its event time and of the end of its window


@dataclass
class Held:
    """Cells of state, and timers, that the runner of the last story still holds."""

    _states: list[Any] = field(default_factory=list)

    def watch(self, states: Any) -> None:
        self._states = [states]

    def cells(self) -> int:
        tags = [tags for key in self._keys() for tags in key.state.values()]
        return sum(name.startswith("user/") and bool(cell) for cells in tags for name, cell in cells.items())

    def timers(self) -> int:
        return sum(name.startswith("user/") for key in self._keys() for of in key.timers.values() for name, *_ in of)

    def _keys(self) -> list[Any]:
        return [key for states in self._states for keys in states.values() for key in keys.values()]


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Held:
    """What is still held by the runner of the stories that this test tells."""
    watched = Held()
    make = EvaluationContext._initialize_keyed_states

    def make_and_watch(*args: Any) -> Any:
        watched.watch(states := make(*args))
        return states

    monkeypatch.setattr(EvaluationContext, "_initialize_keyed_states", make_and_watch)
    return watched


Tell: TypeAlias = Callable[..., None]


@pytest.fixture
def tell() -> Tell:
    """Tells a story to a transform, and asserts its answers: each with the seconds of its time and window's end."""

    def told(
        steps: list[Step],
        transform: Callable[[beam.PCollection], beam.PCollection],
        answers: list[Answer],
        kind: Any = tuple[str, int],
    ) -> None:
        stream = TestStream(coder=FastPrimitivesCoder()).advance_watermark_to(NOON)
        for step in steps:
            if isinstance(step, tuple):
                stream.add_elements([TimestampedValue(step[1], NOON + step[0])])
            else:
                stream.advance_watermark_to(NOON + step)
        with TestPipeline(runner=BundleBasedDirectRunner(), options=PipelineOptions(["--streaming"])) as pipeline:
            records = pipeline | stream.advance_watermark_to_infinity()
            answered = transform(records | "Typed" >> beam.Map(_itself).with_output_types(kind))
            assert_that(answered | "Place" >> beam.Map(_placed), equal_to(answers))

    return told


def _itself(record: Any) -> Any:
    return record


def _placed(answer: Any, time: Any = beam.DoFn.TimestampParam, window: Any = beam.DoFn.WindowParam) -> Answer:
    _, end = window_bounds(window)
    return round(float(time) - NOON, 6), None if end is None else float(end) - NOON, answer
