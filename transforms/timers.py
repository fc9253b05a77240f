"""Timers that are told apart: a name of its own for each timer of each step.

Beam's in-process runner keeps the timers of a fused stage under their names alone. Where two steps of a stage have a
timer of one name, as when one transform is used twice, the timers of one go to the other, and its answers are lost.
"""

from __future__ import annotations

from types import FunctionType
from typing import Any, TypeVar

import apache_beam as beam
from apache_beam.transforms.userstate import TimerSpec
from apache_beam.utils.timestamp import Timestamp

D = TypeVar("D", bound=beam.DoFn)


def with_own_timers(do_fn: D, collection: beam.PCollection) -> D:
    """The same DoFn, its timers named after the step that is being built; `collection` is its input.

    To be called in `expand`. The names are as stable as the labels, which saved state depends on anyway.
    """
    step = collection.pipeline.transforms_stack[-1].full_label
    kind = type(do_fn)
    methods = {name: method for name, method in vars(kind).items() if type(method) is FunctionType}
    specs = {
        default.timer_spec
        for method in methods.values()
        for default in method.__defaults__ or ()
        if isinstance(default, beam.DoFn.TimerParam)
    }
    own = {spec: TimerSpec(f"{spec.name.removeprefix(TimerSpec.prefix)} of {step}", spec.time_domain) for spec in specs}
    methods = {name: _with_timers(method, own) for name, method in methods.items()}
    for spec, renamed in own.items():
        renamed._attached_callback = methods[spec._attached_callback.__name__]  # noqa: SLF001  what on_timer does
    # A class that no module has is pickled with its content.
    do_fn.__class__ = type(kind.__name__, (kind,), methods)
    return do_fn


def just_after(micros: int) -> Timestamp:
    """The first moment at which nothing of this time, in microseconds, is still to come: runners count milliseconds.

    >>> just_after(1_000_500)
    Timestamp(1.001000)
    """
    return Timestamp(micros=(micros // 1000 + 1) * 1000)


def _with_timers(method: FunctionType, own: dict[TimerSpec, TimerSpec]) -> FunctionType:
    """A copy of a method whose timer parameters have other timers."""

    def renamed(default: Any) -> Any:
        return beam.DoFn.TimerParam(own[default.timer_spec]) if isinstance(default, beam.DoFn.TimerParam) else default

    copy = FunctionType(
        method.__code__,
        method.__globals__,
        method.__name__,
        tuple(map(renamed, method.__defaults__ or ())),
        method.__closure__,
    )
    copy.__annotations__ = method.__annotations__
    return copy
