"""What to do with answers that are told again: wait for the last, or withdraw the one before.

Both remember one answer for each key and window, until the window can change no more. Both need panes that accumulate,
so that a later answer replaces an earlier one, and both must follow the aggregation: after that, panes are forgotten.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import apache_beam as beam
from apache_beam.coders import BytesCoder, Coder, TupleCoder, VarIntCoder
from apache_beam.pvalue import TaggedOutput
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import ReadModifyWriteStateSpec, RuntimeState, RuntimeTimer, TimerSpec, on_timer
from apache_beam.utils.windowed_value import PaneInfo

from transforms.timers import with_own_timers
from transforms.windowing import given_up, require_replacing


class AwaitFinal(beam.PTransform):
    """Tells each answer once, when nothing can change it any more: [tuple[K, V]] -> [tuple[K, V]].

    That is when the watermark has passed the window's end and its lateness. The answer keeps its window; its time is
    the moment of telling. Raises ValueError where panes do not accumulate, and for
    sessions.
    """

    def expand(self, answers: beam.PCollection) -> beam.PCollection:
        require_replacing(answers.windowing, "awaits the last answer")
        key_coder, value_coder = _coders(answers)
        settled = answers | "Settle" >> _Settle(key_coder, value_coder)
        return settled.final | "Decode" >> beam.Map(_decoded, key_coder, value_coder).with_output_types(
            answers.element_type
        )


class Retract(beam.PTransform):
    """Withdraws each answer that another replaces: [tuple[K, V]] -> [tuple[K, tuple[V, int]]].

    An answer comes with +1 when it is told, and with -1 before the next one of its key and window, so that a sum of
    values times signs over all that ever came is right at any time. Equal answers are not told again. Raises ValueError
    where panes do not accumulate, and for sessions.
    """

    def expand(self, answers: beam.PCollection) -> beam.PCollection:
        require_replacing(answers.windowing, "withdraws the answer before")
        key_coder, value_coder = _coders(answers)
        key_type, value_type = _types(answers)
        signed: Any = beam.typehints.Tuple[key_type, beam.typehints.Tuple[value_type, int]]
        settled = answers | "Settle" >> _Settle(key_coder, value_coder)
        return settled.changes | "Decode" >> beam.Map(_signed, key_coder, value_coder).with_output_types(signed)


class _Settle(beam.PTransform):
    """Follows the answers of each key and window: `.changes` as they come, `.final` when the last has come."""

    def __init__(self, key_coder: Coder, value_coder: Coder) -> None:
        super().__init__()
        self._coders = key_coder, value_coder

    def expand(self, answers: beam.PCollection) -> beam.pvalue.DoOutputsTuple:
        return (
            answers
            | "Encode" >> beam.Map(_encoded, *self._coders).with_output_types(tuple[bytes, bytes])
            | "Follow"
            >> beam.ParDo(with_own_timers(_Follow(answers.windowing.allowed_lateness.micros), answers))
            .with_output_types(tuple[bytes, tuple[bytes, int]], final=tuple[bytes, bytes])
            .with_outputs("final", main="changes")
        )


class _Follow(beam.DoFn):
    """Holds the last answer of a key and window, by the number of its pane: panes may come out of order."""

    LAST = ReadModifyWriteStateSpec("last", TupleCoder([VarIntCoder(), BytesCoder()]))
    CLOSED = TimerSpec("closed", TimeDomain.WATERMARK)

    def __init__(self, lateness: int) -> None:
        self._lateness = lateness  # microseconds

    def process(
        self,
        pair: tuple[bytes, bytes],
        window: Any = beam.DoFn.WindowParam,
        pane: PaneInfo = beam.DoFn.PaneInfoParam,
        last: RuntimeState = beam.DoFn.StateParam(LAST),
        closed: RuntimeTimer = beam.DoFn.TimerParam(CLOSED),
    ) -> Iterator[tuple[bytes, tuple[bytes, int]]]:
        key, answer = pair
        index, before = last.read() or (-1, None)
        if pane.index < index:
            return
        last.write((pane.index, answer))
        closed.set(given_up(window, self._lateness))
        if answer == before:
            return
        if before is not None:
            yield key, (before, -1)
        yield key, (answer, 1)

    @on_timer(CLOSED)
    def close(
        self, key: bytes = beam.DoFn.KeyParam, last: RuntimeState = beam.DoFn.StateParam(LAST)
    ) -> Iterator[TaggedOutput]:
        """Tells the last answer and forgets it."""
        _, answer = last.read()
        last.clear()
        yield TaggedOutput("final", (key, answer))


def _types(answers: beam.PCollection) -> tuple[Any, Any]:
    key_type, value_type = getattr(answers.element_type, "tuple_types", (Any, Any))
    return key_type, value_type


def _coders(answers: beam.PCollection) -> tuple[Coder, Coder]:
    key, value = map(beam.coders.registry.get_coder, _types(answers))
    return key.as_deterministic_coder("Settle"), value


def _encoded(pair: tuple[Any, Any], key_coder: Coder, value_coder: Coder) -> tuple[bytes, bytes]:
    return key_coder.encode(pair[0]), value_coder.encode(pair[1])


def _decoded(pair: tuple[bytes, bytes], key_coder: Coder, value_coder: Coder) -> tuple[Any, Any]:
    return key_coder.decode(pair[0]), value_coder.decode(pair[1])


def _signed(pair: tuple[bytes, tuple[bytes, int]], key_coder: Coder, value_coder: Coder) -> tuple[Any, tuple[Any, int]]:
    key, (value, sign) = pair
    return key_coder.decode(key), (value_coder.decode(value), sign)
