"""The load generator: events are a function of the seed and their number, wherever it goes on."""

from __future__ import annotations

import time

import orjson
import pytest

from pipelines.connectors.generate import Generated, input_of
from transforms.tables import Field, parse_row, values_of


def test_events_are_the_same_wherever_it_goes_on() -> None:
    source = Generated(start=time.time() - 10, events=100, late=0.1, poison=0.1)
    whole = source.open(None).poll(1000)
    feed, parts = source.open(None), []
    while len(parts) < len(whole):
        parts += feed.poll(7)
        feed = source.open(orjson.loads(orjson.dumps(feed.mark())))
    assert [message.payload for message in parts[: len(whole)]] == [message.payload for message in whole]


def test_it_keeps_to_its_rate_and_its_limit() -> None:
    source = Generated(start=time.time() - 2, events=100, limit=150)
    feed = source.open(None)
    assert len(feed.poll(1000)) == 150
    assert feed.ended()
    assert len(Generated(start=time.time() - 2, events=100).open(None).poll(1000)) in range(200, 240)


def test_shares_are_kept() -> None:
    source = Generated(start=1e9, late=0.05, poison=0.1, apart=2, after=30)
    events = [number for number in range(20_000) if source.is_event(number)]
    assert len(events) == pytest.approx(18_000, abs=200)
    late = [n for n in events if source.event(n)["time"] == round(source.start + n / source.events - 30, 6)]
    assert len(late) == pytest.approx(900, abs=120)


def test_poison_is_no_event() -> None:
    source = Generated(start=1e9, poison=1)
    for number in range(20):
        with pytest.raises(ValueError):  # noqa: PT011  each for another reason
            values_of(parse_row(source.payload(number)), [Field("time", "time")])


def test_addresses_say_what_is_wrong() -> None:
    assert input_of("generate://?events=5&start=2026-11-23T00:00:00Z&late=0.5&after=1m").after == 60
    with pytest.raises(ValueError, match="late=2: must be from 0 to 1"):
        input_of("generate://?late=2")
    with pytest.raises(ValueError, match="has no parameter 'event': did you mean events"):
        input_of("generate://?event=2")
