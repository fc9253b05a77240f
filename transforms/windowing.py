"""How time is treated, said in one place: the only file that names a trigger, a lateness, an accumulation mode."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import apache_beam as beam
import numpy as np
from apache_beam.transforms import trigger
from apache_beam.transforms.window import (
    FixedWindows,
    GlobalWindow,
    GlobalWindows,
    IntervalWindow,
    SlidingWindows,
    WindowFn,
)
from apache_beam.transforms.window import Sessions as SessionWindows
from apache_beam.utils.timestamp import Duration, Timestamp
from apache_beam.utils.windowed_value import WindowedValue

from transforms.windows import (
    AllTime,
    Calendar,
    Fixed,
    Sessions,
    Sliding,
    Window,
    format_duration,
    parse_duration,
    parse_window,
)

Accumulation: TypeAlias = Literal["discarding", "accumulating"]

_EVERY = re.compile(r"every (?:(?P<record>record)|(?P<records>\d+) records|(?P<duration>\S+))", re.ASCII)
_LATE = "use every record, or a time such as every 30s"
_GRAMMAR = "for example '10s, lateness 1m, early every 5s, late every 30s, accumulating'"


@dataclass(frozen=True)
class Every:
    """How often a window answers again: after so many seconds of the clock, or after so many records of a key.

    >>> Every.parse("every 5s"), Every.parse("every 100 records")
    (Every(seconds=5.0, records=None), Every(seconds=None, records=100))
    """

    seconds: float | None = None
    records: int | None = None

    def __post_init__(self) -> None:
        if (self.seconds is None) == (self.records is None):
            raise ValueError("an answer must come after a number of seconds, or of records: give one of the two")
        if (self.seconds or self.records or 0) <= 0:
            raise ValueError(f"an answer must come after more than 0, got {self}; for example every 5s")
        if self.seconds is not None and self.seconds != int(self.seconds):
            raise ValueError(f"the clock of a trigger counts whole seconds, got {self}; for example every 1s")

    @classmethod
    def parse(cls, text: str) -> Every:
        """What a line of text says: every 5s, every 100 records, every record."""
        match = _EVERY.fullmatch(text.strip())
        if not match:
            raise ValueError(
                f"how often a window answers must be like every 5s, every 100 records or every record, got {text!r}"
            )
        if match["duration"]:
            return cls(seconds=parse_duration(match["duration"]))
        return cls(records=int(match["records"] or 1))

    def __str__(self) -> str:
        if self.seconds is not None:
            return f"every {format_duration(self.seconds)}"
        return "every record" if self.records == 1 else f"every {self.records} records"


@dataclass(frozen=True, init=False)
class WindowPolicy:
    """Cuts time into windows, and says when they answer, how long they wait, and what becomes of late records.

    A window answers when the watermark passes its end; before that as often as `early` says, if it does; and after it,
    for records that come up to `allowed_lateness` seconds late, as often as `late` says. An answer is of the records
    since the one before (discarding), or of all of them (accumulating). What comes later is dropped by the runner: put
    a Gate before, which sets it aside and counts it.

    Windows, times and frequencies may be text; the whole policy is one line of it.

    >>> WindowPolicy("1h/5m", allowed_lateness="10m", early="every 30s", accumulation="accumulating")
    WindowPolicy('1h/5m, lateness 10m, early every 30s, accumulating')
    >>> WindowPolicy.parse("day Europe/Paris, lateness 1d").allowed_lateness
    86400.0

    Raises ValueError for what cannot be: the rule, what came, and what to do.
    """

    window: Window
    allowed_lateness: float  # seconds
    early: Every | None
    late: Every
    accumulation: Accumulation

    def __init__(
        self,
        window: Window | str = "all",
        *,
        allowed_lateness: float | str = 0.0,
        early: Every | str | None = None,
        late: Every | str = "every record",
        accumulation: Accumulation = "discarding",
    ) -> None:
        lateness = parse_duration(allowed_lateness) if isinstance(allowed_lateness, str) else float(allowed_lateness)
        if not lateness >= 0:
            raise ValueError(f"allowed_lateness must be at least 0 seconds, got {lateness:g}; use 0 to wait for none")
        if accumulation not in get_args(Accumulation):
            raise ValueError(f"accumulation must be {' or '.join(get_args(Accumulation))}, got {accumulation!r}")
        values: dict[str, Any] = {
            "window": parse_window(window) if isinstance(window, str) else window,
            "allowed_lateness": lateness,
            "early": Every.parse(early) if isinstance(early, str) else early,
            "late": Every.parse(late) if isinstance(late, str) else late,
            "accumulation": accumulation,
        }
        if (values["late"].records or 1) > 1:
            raise ValueError(f"late records are not held back until there are more, got late={str(late)!r}: {_LATE}")
        if isinstance(values["window"], Sessions) and values["late"].seconds:
            raise ValueError(f"sessions tell each late record at once, got late={str(late)!r}: leave it out")
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @classmethod
    def parse(cls, text: str) -> WindowPolicy:
        """The policy that a line names: a window, and what differs from the defaults, separated by commas."""
        window, *clauses = (part.strip() for part in text.split(","))
        given: dict[str, Any] = {}
        for clause in clauses:
            word, _, rest = clause.partition(" ")
            name, value = {
                "lateness": ("allowed_lateness", rest),
                "early": ("early", rest),
                "late": ("late", rest),
                "accumulating": ("accumulation", clause),
                "discarding": ("accumulation", clause),
            }.get(word, ("", ""))
            if not name or name in given:
                raise ValueError(
                    f"after the window may stand once each: lateness, early, late, accumulating or discarding; got "
                    f"{clause!r} in {text!r}; {_GRAMMAR}"
                )
            given[name] = value
        return cls(window, **given)

    def __str__(self) -> str:
        parts = [str(self.window)]
        if self.allowed_lateness:
            parts.append(f"lateness {format_duration(self.allowed_lateness)}")
        if self.early:
            parts.append(f"early {self.early}")
        if self.late != Every(records=1):
            parts.append(f"late {self.late}")
        if self.accumulation == "accumulating":
            parts.append(self.accumulation)
        return ", ".join(parts)

    def __repr__(self) -> str:
        return f"WindowPolicy({str(self)!r})"

    @property
    def counts_records(self) -> bool:
        """Whether it must see single records to know when to answer: many of them gathered into one are one."""
        return bool(self.early and (self.early.records or 1) > 1)


class ApplyWindow(beam.PTransform):
    """Puts each record into its windows, by event time, under a policy."""

    def __init__(self, policy: WindowPolicy) -> None:
        super().__init__()
        self.policy = policy

    def expand(self, records: beam.PCollection) -> beam.PCollection:
        policy = self.policy
        windowed = records | "Window" >> beam.WindowInto(**_settings(policy, bounded=records.is_bounded))
        if isinstance(policy.window, Calendar):
            windowed = windowed | "Calendar" >> beam.ParDo(_AssignCalendar(policy.window)).with_output_types(
                records.element_type or Any
            )
        return windowed


class ParDoInWindows(beam.ParDo):
    """A ParDo that yields WindowedValues in windows of a policy, whatever windows its input has.

    An answer that is known to belong to a window need not be put into it by time, nor copied.
    """

    def __init__(self, do_fn: beam.DoFn, policy: WindowPolicy) -> None:
        super().__init__(do_fn)
        self._policy = policy

    def get_windowing(self, inputs: Sequence[beam.PCollection]) -> beam.transforms.core.Windowing:
        return beam.WindowInto(**_settings(self._policy, bounded=inputs[0].is_bounded)).get_windowing(inputs)


class ForgetTime(beam.PTransform):
    """Puts all records into one window again, for answers about a whole bounded input."""

    def expand(self, records: beam.PCollection) -> beam.PCollection:
        return records | "OneWindow" >> beam.WindowInto(GlobalWindows())


def _settings(policy: WindowPolicy, *, bounded: bool) -> dict[str, Any]:
    """What WindowInto takes."""
    return {
        "windowfn": _window_fn(policy.window),
        "trigger": _trigger(policy, bounded=bounded),
        "allowed_lateness": policy.allowed_lateness,
        "accumulation_mode": (
            trigger.AccumulationMode.DISCARDING
            if policy.accumulation == "discarding"
            else trigger.AccumulationMode.ACCUMULATING
        ),
    }


def _window_fn(window: Window) -> WindowFn:
    match window:
        case Fixed(size):
            return FixedWindows(size)
        case Sliding(size, period):
            return SlidingWindows(size, period)
        case Sessions(gap):
            return SessionWindows(gap)
        case Calendar():
            # Runners in other languages run no WindowFn of ours. To a window that does not merge only its bounds
            # matter, so one that they know stands in, and _AssignCalendar gives the bounds.
            return FixedWindows(86_400)
        case AllTime():
            return GlobalWindows()
    raise ValueError(f"a window must be one of those in transforms.windows, got {window!r}")


def _trigger(policy: WindowPolicy, *, bounded: bool) -> trigger.TriggerFn:
    """The triggers of a policy.

    Beam's default answers at the end of a window and again for each late record, and is the one that runners make
    cheap. Over bounded input no time passes between records, so there the clock triggers nothing (and asking it fails).
    Sessions that merge after their end need a trigger without a memory of having fired: `AfterWatermark` has one.
    """
    at_once = Every(records=1)
    early = None if bounded and policy.early and policy.early.seconds else policy.early
    late = at_once if bounded else policy.late
    if late == at_once:
        if not early:
            return trigger.DefaultTrigger()
        if isinstance(policy.window, Sessions):
            return trigger.Repeatedly(trigger.AfterAny(trigger.AfterWatermark(), _after(early)))
    return trigger.AfterWatermark(early=early and _after(early), late=_after(late))


def _after(every: Every) -> trigger.TriggerFn:
    return trigger.AfterProcessingTime(int(every.seconds)) if every.seconds else trigger.AfterCount(every.records)


class _AssignCalendar(beam.DoFn):
    """Moves each element into the calendar's window that holds its time."""

    def __init__(self, calendar: Calendar) -> None:
        self._calendar = calendar

    def setup(self) -> None:
        self._window = IntervalWindow(0, 0)

    def process(self, element: Any, time: Timestamp = beam.DoFn.TimestampParam) -> Iterator[WindowedValue]:
        if not self._window.start <= time < self._window.end:  # most follow one of the same window
            (start,), (end,) = self._calendar.last(np.array([time.micros]))
            self._window = IntervalWindow(Timestamp(micros=int(start)), Timestamp(micros=int(end)))
        yield WindowedValue(element, time, [self._window])


def window_bounds(window: Any) -> tuple[Timestamp | None, Timestamp | None]:
    """Start and end of a window of Beam; None and None for the global one, which has neither."""
    return (None, None) if isinstance(window, GlobalWindow) else (window.start, window.end)


def counts_records(windowing: beam.transforms.core.Windowing) -> bool:
    """Whether a collection's windows answer after a number of records, so that records must come to them one by one."""
    return any(isinstance(part, trigger.AfterCount) and part.count > 1 for part in _parts(windowing.triggerfn))


def longest_delay(windowing: beam.transforms.core.Windowing) -> float:
    """How many seconds of the clock a collection's windows may wait until they answer."""
    parts = _parts(windowing.triggerfn)
    return max((float(part.delay) for part in parts if isinstance(part, trigger.AfterProcessingTime)), default=0.0)


def _parts(whole: trigger.TriggerFn) -> Iterator[trigger.TriggerFn]:
    yield whole
    inner = [getattr(whole, name, None) for name in ("underlying", "early", "late")]
    for part in (*inner, *getattr(whole, "triggers", ())):
        if part:
            yield from _parts(part)


def given_up(window: Any, lateness: int) -> Timestamp:
    """When a window can change no more: its last moment, and a lateness in microseconds."""
    end = window.max_timestamp()
    return min(end + Duration(micros=lateness), GlobalWindow().max_timestamp())


def require_replacing(windowing: beam.transforms.core.Windowing, what: str) -> None:
    """Raises ValueError where a later pane does not replace an earlier one of its key and window."""
    if windowing.accumulation_mode != trigger.AccumulationMode.ACCUMULATING:
        raise ValueError(f"what {what} needs panes that replace each other: use accumulation='accumulating'")
    if windowing.windowfn.is_merging():
        raise ValueError(f"what {what} needs windows that stay: sessions merge, and leave their old windows behind")


def answers_once(windowing: beam.transforms.core.Windowing) -> bool:
    """Whether a window answers only when it is over, and for good."""
    early = getattr(windowing.triggerfn, "early", None)
    at_end = isinstance(windowing.triggerfn, trigger.DefaultTrigger | trigger.AfterWatermark) and early is None
    return at_end and not windowing.allowed_lateness.micros
