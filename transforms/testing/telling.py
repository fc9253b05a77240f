"""Tells a story to a pipeline, on the one runner in Python that takes stories, mended where it tells triggers lies."""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import apache_beam as beam
from apache_beam.coders import FastPrimitivesCoder
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.pipeline import PipelineVisitor
from apache_beam.runners.direct import transform_evaluator
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner, _StreamingGroupAlsoByWindow
from apache_beam.runners.direct.executor import _ExecutorServiceParallelExecutor
from apache_beam.testing.test_stream import TestStream
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.window import TimestampedValue
from apache_beam.utils.timestamp import MAX_TIMESTAMP, TIME_GRANULARITY, Timestamp
from apache_beam.utils.windowed_value import WindowedValue

from transforms.testing.stories import Bundle, Story, Wait, Watermark
from transforms.windowing import longest_delay

_HOUR = 3600.0


class StoryStuck(AssertionError):  # noqa: N818  it says what happened, as a test report should
    """A story that was told to its end, and a pipeline that did not end."""


def arrivals(story: Story) -> TestStream:
    """The steps of a story as Beam's TestStream, without an end. The clock begins at the first moment of the story."""
    stream = TestStream(coder=FastPrimitivesCoder())
    if begin := _begin(story):
        stream.advance_processing_time(begin)
    for step in story.steps:
        match step:
            case Bundle(records):
                # Copies, as a runner with more than one process makes: a transform that changes them changes its own.
                values = [TimestampedValue(copy.deepcopy(value), Timestamp(micros=time)) for time, value in records]
                stream.add_elements(values)
            case Watermark(at):
                stream.advance_watermark_to(Timestamp(micros=at))
            case Wait(seconds):
                stream.advance_processing_time(seconds)
    return stream


def _begin(story: Story) -> float:
    times = [time for time, _ in story.records]
    marks = [step.at for step in story.steps if isinstance(step, Watermark)]
    return max(0.0, min(times + marks[:1], default=0) / 1e6)


def _end(stream: TestStream, story: Story, delay: float) -> None:
    """Lets the clock pass what waits, timers that were set by the real clock included, and the watermark everything."""
    clock = _begin(story) + sum(step.seconds for step in story.steps if isinstance(step, Wait))
    stream.advance_processing_time(max(time.time() - clock, 0.0) + _HOUR + delay)
    stream.advance_watermark_to_infinity()
    # What waited may have answered to what waits in turn.
    for _ in range(3):
        stream.advance_processing_time(_HOUR + delay)


@contextmanager
def telling(story: Story, *, limit: float = 60.0, batch: bool = False) -> Iterator[beam.PCollection]:
    """The records of a story, to build a pipeline on, which runs when the block ends.

    With `batch` they are a bounded collection, which comes in one go: there is no watermark and no clock. Raises
    StoryStuck where a stream stalls, or does not end within `limit` seconds.
    """
    values = beam.Create([value for _, value in story.records])
    if batch:
        pipeline = beam.Pipeline(runner="FnApiRunner", options=Flags([]))
        timed = pipeline | "Story" >> beam.Create([(value, micros) for micros, value in story.records])
        yield timed | "Time" >> beam.MapTuple(_at).with_output_types(values.infer_output_type(None))
        pipeline.run().wait_until_finish()
    else:
        pipeline = beam.Pipeline(runner=BundleBasedDirectRunner(), options=Flags(["--streaming"]))
        stream = arrivals(story)
        records = pipeline | "Story" >> stream
        records.element_type = values.infer_output_type(None)
        yield records
        _end(stream, story, _longest_delay(pipeline))
        _run(pipeline, limit)


def _at(value: Any, micros: int) -> TimestampedValue:
    return TimestampedValue(value, Timestamp(micros=micros))


class Flags(PipelineOptions):
    """Beam's options, each view of them parsed once instead of a hundred times."""

    def view_as(self, cls: Any) -> Any:
        views = self.__dict__.setdefault("_views", {})
        if cls not in views:
            views[cls] = super().view_as(cls)
        return views[cls]


def _run(pipeline: beam.Pipeline, limit: float) -> None:
    evaluators = transform_evaluator.TransformEvaluatorRegistry._test_evaluators_overrides  # noqa: SLF001  made for tests
    mended = {_StreamingGroupAlsoByWindow: _GroupByTheWatermark, beam.ParDo: _HoldForTimers}
    evaluators.update(mended)
    try:
        result = pipeline.run(test_runner_api=False)  # its round trip would cut times to milliseconds
    finally:
        for kind in mended:
            del evaluators[kind]
    executor, context = result._executor._executor, result._evaluation_context  # noqa: SLF001  no public way to look in
    give_up = _ExecutorServiceParallelExecutor._VisibleExecutorUpdate(_Waited())  # noqa: SLF001
    watch = threading.Timer(limit, executor.visible_updates.offer, [give_up])
    watch.daemon = True
    watch.start()
    try:
        result.wait_until_finish()
    except _Waited:
        waiting = ", ".join(_waiting_for_the_clock(context)) or "none"
        raise StoryStuck(
            f"the story was not over within {limit:g} seconds. Steps that wait for the clock: {waiting}. A timer of "
            "processing time that sets itself again and again never lets a story end"
        ) from None
    except TypeError as error:
        if "must derive from BaseException" not in str(error):  # what Beam raises for a stall is no exception
            raise
        raise StoryStuck(
            f"the pipeline stalled: the watermark has passed all time, and {next(_holding(context), 'no step')} still "
            "holds it. A trigger that waits for more records than come holds it for ever"
        ) from None
    finally:
        watch.cancel()


class _Waited(Exception):  # noqa: N818  raised to end the waiting
    pass


def _waiting_for_the_clock(context: Any) -> Iterator[str]:
    for step, states in context._transform_keyed_states.items():  # noqa: SLF001
        timers = [timer for state in states.values() for timers in state.timers.values() for timer in timers]
        if any(domain == TimeDomain.REAL_TIME for _, domain, _ in timers):
            yield step.full_label


def _holding(context: Any) -> Iterator[str]:
    for step, marks in context._watermark_manager._transform_to_watermarks.items():  # noqa: SLF001
        if marks.output_watermark < MAX_TIMESTAMP:
            yield step.full_label


class _GroupByTheWatermark(transform_evaluator._StreamingGroupAlsoByWindowEvaluator):  # noqa: SLF001
    """Tells triggers the watermark of what comes, where Beam's runner tells them another time.

    Where a trigger fires by the clock, it is told the clock's time: whether an answer is early or late depends on where
    the clock happens to stand, and a late one may hold the watermark for ever. Where a record comes, it is told the
    watermark of what goes out, which the session of another key may hold: a late record then waits for ever as well.
    """

    def process_element(self, element: Any) -> None:
        item = element.value
        key, state = self.key_coder.decode(item.encoded_key), self._step_context.get_keyed_state(item.encoded_key)
        watermark = self._evaluation_context._watermark_manager.get_watermarks(  # noqa: SLF001
            self._applied_ptransform
        ).input_watermark
        for firing in item.timer_firings:
            at = watermark if firing.time_domain == TimeDomain.REAL_TIME else firing.timestamp
            self._tell(
                key,
                self.driver.process_timer(firing.window, firing.name, firing.time_domain, at, state, watermark),
            )
        if item.elements:
            self._tell(key, self.driver.process_elements(state, item.elements, watermark, watermark))
        self.keyed_holds[item.encoded_key] = state.get_earliest_hold()

    def _tell(self, key: Any, answers: Iterator[WindowedValue]) -> None:
        self.gabw_items += [answer.with_value((key, answer.value)) for answer in answers]


class _HoldForTimers(transform_evaluator._ParDoEvaluator):  # noqa: SLF001
    """Beam's runner lets the watermark pass a timer that is still to fire, so that what the timer tells is late.

    Timers of event time hold the watermark until they have fired, as they do on other runners.
    """

    def finish_bundle(self) -> Any:
        result = super().finish_bundle()
        for key, state in self._step_context.partial_keyed_state.items():
            times = [
                time
                for timers in state.timers.values()
                for (_, domain, _), time in timers.items()
                if domain == TimeDomain.WATERMARK
            ]
            result.keyed_watermark_holds[key] = min(times) - TIME_GRANULARITY if times else None
        return result


def _longest_delay(pipeline: beam.Pipeline) -> float:
    delays = [0.0]

    class Delays(PipelineVisitor):
        def visit_value(self, value: Any, producer_node: Any) -> None:
            del producer_node
            if isinstance(value, beam.PCollection):
                delays.append(longest_delay(value.windowing))

    pipeline.visit(Delays())
    return max(delays)
