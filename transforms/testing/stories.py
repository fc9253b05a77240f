"""Stories of what arrives when, that read aloud: records, the watermark, and the clock."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any, TypeAlias

from transforms.testing.moments import Duration, Moment, micros_of, seconds_of, text_of
from transforms.windows import format_duration


@dataclass(frozen=True, slots=True)
class Bundle:
    """Records that arrive together, each with its event time in microseconds since 1970."""

    records: tuple[tuple[int, Any], ...]


@dataclass(frozen=True, slots=True)
class Watermark:
    """The promise that what is earlier has come, but for what is late."""

    at: int  # microseconds since 1970


@dataclass(frozen=True, slots=True)
class Wait:
    """The clock goes on, and nothing arrives."""

    seconds: float


Step: TypeAlias = Bundle | Watermark | Wait


@dataclass(frozen=True)
class Story:
    """What arrives when: each step gives the story with that step at its end, so that stories can share a beginning.

    Moments are texts such as "12:00:01", in UTC, on `day`; "2026-01-02 00:00:00" is on another; a number is seconds
    since 1970. When it is told, a story goes on after its last step until the watermark and the clock have passed
    everything, and its text is the Python that makes it.

    >>> Story().at("12:00:01", "ana", "bo").watermark("12:00:12").at("12:00:02", "cy").wait("30s")
    Story().at("12:00:01", 'ana', 'bo').watermark("12:00:12").at("12:00:02", 'cy').wait("30s")

    Raises ValueError for what is no moment, and for a watermark or a clock that does not go on.
    """

    day: str = "2026-01-01"
    steps: tuple[Step, ...] = ()

    def __post_init__(self) -> None:
        date.fromisoformat(self.day)

    def at(self, time: Moment, *values: Any) -> Story:
        """Records of one event time arrive together."""
        return self.bundle(*((time, value) for value in values))

    def bundle(self, *records: tuple[Moment, Any]) -> Story:
        """Records of several event times arrive together: a bundle, which triggers look at as a whole."""
        return self._with(Bundle(tuple((self.micros_of(time), value) for time, value in records)))

    def watermark(self, time: Moment) -> Story:
        """The watermark goes on: what is earlier and comes later is behind it."""
        before, after = self._watermark(), self.micros_of(time)
        if before is not None and after <= before:
            raise ValueError(
                f"the watermark must go on, got {self.text_of(after)} where it stood at {self.text_of(before)}"
            )
        return self._with(Watermark(after))

    def wait(self, duration: Duration) -> Story:
        """The clock, which is all that triggers and timers of processing time see, goes on."""
        seconds = seconds_of(duration)
        if not seconds > 0:
            raise ValueError(f"the clock must go on, got a wait of {seconds:g} seconds")
        return self._with(Wait(seconds))

    @property
    def records(self) -> list[tuple[int, Any]]:
        """What arrives, in that order, with event times in microseconds since 1970."""
        return [record for step in self.steps if isinstance(step, Bundle) for record in step.records]

    def micros_of(self, moment: Moment) -> int:
        """Microseconds since 1970 of a moment of the story."""
        return micros_of(moment, date.fromisoformat(self.day))

    def text_of(self, micros: int) -> str:
        """A moment as the story tells it."""
        return text_of(micros, date.fromisoformat(self.day))

    def script(self) -> str:
        """The Python that makes the story, one step a line."""
        return "\n".join(["Story(" + ("" if self.day == Story.day else f'"{self.day}"') + ")", *self._calls()])

    def __repr__(self) -> str:
        return self.script().replace("\n", "")

    def _with(self, step: Step) -> Story:
        return Story(self.day, (*self.steps, step))

    def _watermark(self) -> int | None:
        return next((step.at for step in reversed(self.steps) if isinstance(step, Watermark)), None)

    def _calls(self) -> Iterable[str]:
        def said(micros: int) -> str:
            return f'"{self.text_of(micros)}"'

        for step in self.steps:
            match step:
                case Bundle(records) if len({time for time, _ in records}) == 1:
                    yield f".at({said(records[0][0])}, {', '.join(repr(value) for _, value in records)})"
                case Bundle(records):
                    yield f".bundle({', '.join(f'({said(time)}, {value!r})' for time, value in records)})"
                case Watermark(at):
                    yield f".watermark({said(at)})"
                case Wait(seconds):
                    yield f'.wait("{format_duration(seconds)}")'
