"""Events of any shape as records that keep all of them: their time, and everything else as JSON."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from transforms.formatting import to_json
from transforms.parsing import Payload
from transforms.schemas import EventTime, register
from transforms.tables import Field, parse_row, values_of


@register
@dataclass(frozen=True, slots=True)
class Event:
    """When something happened, and what is known of it: a JSON object."""

    time: EventTime
    fields: str


def raw_decoder(event_time: str) -> Callable[[Payload], Event]:
    """Makes an event of a payload that keeps all of it.

    >>> raw_decoder("at")(b'{"at": 1772366400, "user": {"id": 7}}').fields
    '{"at":1772366400,"user":{"id":7}}'
    """

    def decode(payload: Payload) -> Event:
        row = parse_row(payload)
        (time,) = values_of(row, [Field(event_time, "time")])
        return Event(time, to_json(row).decode())

    return decode
