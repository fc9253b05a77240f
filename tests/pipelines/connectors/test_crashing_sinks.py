"""Every sink is crashed a hundred times after what it wrote is there and before that is known: nothing is doubled."""

from __future__ import annotations

import contextlib
import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import apache_beam as beam
import orjson
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.test_stream import TestStream
from apache_beam.transforms.window import TimestampedValue
from confluent_kafka import Consumer, Producer

from pipelines.connectors import write, write_files, write_sql
from pipelines.connectors.pubsub_emulator import Emulator
from pipelines.connectors.write_store import WriteStore, create_store
from pipelines.connectors.written import Written
from rollups import store
from rollups.databases import Database, connect
from rollups.store import Store
from transforms.measures import parse_measure
from transforms.schemas import WordCount
from transforms.sketches import Count
from transforms.windowing import ApplyWindow, WindowPolicy

# Who crashes closes nothing.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

_CRASHES = 100
_BUNDLES, _SIZE = 120, 20
_BEGIN = 1_000_000
_SECOND = timedelta(seconds=1)
_TOPIC, _SUBSCRIPTION = "projects/p/topics/t", "projects/p/subscriptions/s"


class CrashError(Exception):
    """The process is gone, and a new one tries the bundle again."""


_opened: list[Database] = []


def remember(monkeypatch: pytest.MonkeyPatch, place: Any) -> None:
    """Remembers the connections that are opened: those of a process that is gone are closed."""

    def connected(*arguments: Any, **named: Any) -> Database:
        _opened.append(connect(*arguments, **named))
        return _opened[-1]

    monkeypatch.setattr(place, "connect", connected)


def crashing(monkeypatch: pytest.MonkeyPatch, place: Any, name: str) -> Iterator[int]:
    """Lets every other call fail after it did what it does, a hundred times; counts the failures."""
    whole = getattr(place, name)
    calls, crashes = itertools.count(), itertools.count()

    def crash(*arguments: Any, **named: Any) -> Any:
        done = whole(*arguments, **named)
        if next(calls) % 2 == 0 and next(crashes) < _CRASHES:
            while _opened:
                _opened.pop().close()
            raise CrashError
        return done

    monkeypatch.setattr(place, name, crash)
    return crashes


def bundles(pipeline: beam.Pipeline) -> beam.PCollection:
    stream = TestStream().advance_watermark_to(_BEGIN)
    for bundle in range(_BUNDLES):
        numbers = range(bundle * _SIZE, (bundle + 1) * _SIZE)
        stream = stream.add_elements([TimestampedValue(number, _BEGIN + bundle) for number in numbers])
        stream = stream.advance_watermark_to(_BEGIN + bundle + 1)
    return pipeline | stream.advance_watermark_to_infinity()


def run(build: Callable[[beam.PCollection], Any]) -> None:
    with TestPipeline(runner=BundleBasedDirectRunner(), options=PipelineOptions(["--streaming"])) as pipeline:
        build(bundles(pipeline))


def counts(numbers: beam.PCollection) -> beam.PCollection:
    return numbers | beam.Map(lambda number: WordCount(None, None, f"w{number}", number)).with_output_types(WordCount)


def counted(some: Iterable[int]) -> Count:
    count = Count()
    count.add_many(list(some))
    return count


ALL = Counter(range(_BUNDLES * _SIZE))


def test_part_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    crashes = crashing(monkeypatch, write_files, "advance")
    run(lambda numbers: numbers | ApplyWindow(WindowPolicy("1s")) | write(f"{tmp_path}/out/"))
    assert next(crashes) >= _CRASHES
    rows = [orjson.loads(line) for file in (tmp_path / "out").iterdir() for line in file.read_bytes().splitlines()]
    assert Counter(rows) == ALL


def test_rows_of_a_database(monkeypatch: pytest.MonkeyPatch, database: str) -> None:
    remember(monkeypatch, write_sql)
    crashes = crashing(monkeypatch, Written, "told")
    run(lambda numbers: counts(numbers) | write(f"{database}?table=words"))
    assert next(crashes) >= _CRASHES
    with contextlib.closing(connect(database)) as found:
        assert Counter(number for (number,) in found.execute("SELECT count FROM words")) == ALL


@pytest.mark.kafka
def test_messages_of_kafka_are_of_the_same_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is produced again has the same key, and is the same: of each key one message counts."""
    crashes = crashing(monkeypatch, Written, "told")
    producer = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "unused", "log_level": 0})
    (broker,) = producer.list_topics(timeout=10).brokers.values()
    servers = f"{broker.host}:{broker.port}"
    producer.produce("words", b"", b"first")
    producer.flush(10)
    run(lambda numbers: counts(numbers) | write(f"kafka://{servers}/words"))
    assert next(crashes) >= _CRASHES
    consumer = Consumer(
        {"bootstrap.servers": servers, "group.id": "g", "auto.offset.reset": "earliest", "log_level": 0}
    )
    consumer.subscribe(["words"])
    of_keys: dict[bytes, set[bytes]] = {}
    number = 0
    while number < (_BUNDLES + _CRASHES) * _SIZE + 1:
        (message,) = consumer.consume(1, timeout=30)
        of_keys.setdefault(message.key(), set()).add(message.value())
        number += 1
    consumer.close()
    del of_keys[b"first"]
    assert all(len(values) == 1 for values in of_keys.values())
    assert Counter(orjson.loads(value)["count"] for (value,) in of_keys.values()) == ALL


def test_messages_of_pubsub_have_the_same_id(monkeypatch: pytest.MonkeyPatch) -> None:
    pubsub_v1 = pytest.importorskip("google.cloud.pubsub_v1", reason="needs google-cloud-pubsub (the extra gcp)")
    crashes = crashing(monkeypatch, Written, "told")
    with Emulator() as emulator:
        monkeypatch.setenv("PUBSUB_EMULATOR_HOST", emulator.host)
        with pubsub_v1.PublisherClient() as publisher, pubsub_v1.SubscriberClient() as subscriber:
            publisher.create_topic(name=_TOPIC)
            subscriber.create_subscription(name=_SUBSCRIPTION, topic=_TOPIC)
            run(lambda numbers: counts(numbers) | write(f"pubsub://{_TOPIC}"))
            assert next(crashes) >= _CRASHES
            of_ids: dict[str, set[bytes]] = {}
            while emulator.unacknowledged(_SUBSCRIPTION):
                pulled = subscriber.pull(subscription=_SUBSCRIPTION, max_messages=1000).received_messages
                for received in pulled:
                    of_ids.setdefault(received.message.attributes["id"], set()).add(received.message.data)
                subscriber.acknowledge(subscription=_SUBSCRIPTION, ack_ids=[received.ack_id for received in pulled])
    assert all(len(values) == 1 for values in of_ids.values())
    assert Counter(orjson.loads(value)["count"] for (value,) in of_ids.values()) == ALL


def test_leaves_of_a_store(monkeypatch: pytest.MonkeyPatch, database: str) -> None:
    uri = database.removeprefix("sqlite:")
    create_store(uri, window=1_000_000, by={"kind": "text"}, measures={"count": parse_measure("count")[1]})
    remember(monkeypatch, store)
    crashes = crashing(monkeypatch, Store, "write")
    run(
        lambda numbers: (
            numbers
            | beam.Map(lambda number: (("even" if number % 2 == 0 else "odd",), number))
            | ApplyWindow(WindowPolicy("1s"))
            | beam.GroupByKey()
            | beam.MapTuple(lambda key, some: (key, {"count": counted(some)}))
            | WriteStore(uri, "test")
        )
    )
    assert next(crashes) >= _CRASHES
    with Store(uri) as found:
        rows = {
            (row.start.timestamp(), row.group["kind"]): row.sketches["count"].count
            for row in found.query(by=["kind"], step=_SECOND)
        }
    assert rows == {(_BEGIN + at, kind): _SIZE // 2 for at in range(_BUNDLES) for kind in ("even", "odd")}
