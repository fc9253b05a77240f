"""Kafka, on librdkafka's own cluster in this process: each message once from any mark on, and errors in a sentence."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import orjson
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from pipelines.connectors import write
from pipelines.connectors.feeds import Feed, Message, Unreachable
from pipelines.connectors.kafka import input_of

_PATIENCE = 60.0  # seconds, for what takes a second or two where nothing else is going on


@pytest.fixture
def cluster() -> Iterator[tuple[str, Producer]]:
    """Two brokers, and a producer that owns them; topics have four partitions."""
    producer = Producer({"test.mock.num.brokers": 2, "bootstrap.servers": "unused", "log_level": 0})
    brokers = producer.list_topics(timeout=10).brokers.values()
    yield ",".join(f"{broker.host}:{broker.port}" for broker in brokers), producer
    producer.flush(10)


def produce(producer: Producer, topic: str, numbers: range, **other: Any) -> None:
    for number in numbers:
        producer.produce(topic, str(number).encode(), str(number % 10).encode(), **other)
        producer.poll(0)
    assert producer.flush(20) == 0


def polled(feed: Feed, number: int) -> list[Message]:
    """So many messages, and what comes after them within a moment."""
    found, end = list[Message](), time.monotonic() + _PATIENCE
    while len(found) < number:
        assert time.monotonic() < end, f"{len(found)} of {number}"
        found += feed.poll(100)
    return found + feed.poll(100)


def test_every_message_comes_once_wherever_reading_goes_on(cluster: tuple[str, Producer]) -> None:
    servers, producer = cluster
    produce(producer, "words", range(3000))
    chance, found = random.Random(3), list[Message]()
    live = input_of(f"kafka://{servers}/words")
    feed, end = live.open(None), time.monotonic() + _PATIENCE
    while len(found) < 3000:
        assert time.monotonic() < end, len(found)
        found += feed.poll(chance.randint(1, 200))
        if chance.random() < 0.3:
            mark = orjson.loads(orjson.dumps(feed.mark()))
            feed.close()
            feed = live.open(mark)
    assert feed.poll(100) == []
    feed.close()
    assert Counter(message.payload for message in found) == Counter(str(number).encode() for number in range(3000))
    for shard in {message.shard for message in found}:
        offsets = [message.position for message in found if message.shard == shard]
        assert offsets == list(range(len(offsets)))


def test_a_message_has_its_key_headers_time_and_place(cluster: tuple[str, Producer]) -> None:
    servers, producer = cluster
    produce(producer, "one", range(1), headers={"trace": b"7"}, timestamp=1_795_000_000_123, partition=2)
    feed = input_of(f"kafka://{servers}/one").open(None)
    (message,) = polled(feed, 1)
    feed.close()
    assert (message.payload, message.position, message.shard, message.written) == (b"0", 0, "2", 1_795_000_000.123)
    assert message.attributes == {"trace": "7", "key": "0"}
    assert message.source == f"kafka://{servers}/one/2"


def test_partitions_tell_when_all_of_them_was_polled(cluster: tuple[str, Producer]) -> None:
    servers, producer = cluster
    produce(producer, "ends", range(100), partition=1)
    feed = input_of(f"kafka://{servers}/ends").open(None)
    assert feed.at_end() == dict.fromkeys("0123", False)
    polled(feed, 100)
    end = time.monotonic() + _PATIENCE
    while not all(feed.at_end().values()):
        assert time.monotonic() < end
        assert feed.poll(100) == []
    produce(producer, "ends", range(1), partition=1)
    polled(feed, 1)
    feed.close()


def test_reading_starts_where_it_is_asked_to(cluster: tuple[str, Producer]) -> None:
    servers, producer = cluster
    produce(producer, "starts", range(10), partition=0)
    feed = input_of(f"kafka://{servers}/starts?group=g").open(None)
    first = polled(feed, 10)
    feed.acknowledge({"offsets": {"0": 6}})
    consumer = Consumer({"bootstrap.servers": servers, "group.id": "g"})
    end = time.monotonic() + _PATIENCE
    while consumer.committed([TopicPartition("starts", 0)], timeout=10)[0].offset != 6:
        assert time.monotonic() < end
        time.sleep(0.05)
    consumer.close()
    feed.close()
    stored = input_of(f"kafka://{servers}/starts?group=g&start=stored").open(None)
    assert [message.payload for message in polled(stored, 4)] == [message.payload for message in first[6:]]
    stored.close()
    latest = input_of(f"kafka://{servers}/starts?start=latest").open(None)
    assert latest.mark()["offsets"]["0"] == 10
    produce(producer, "starts", range(10, 12), partition=0)
    assert [message.payload for message in polled(latest, 2)] == [b"10", b"11"]
    latest.close()


def test_each_split_reads_partitions_of_its_own(cluster: tuple[str, Producer]) -> None:
    servers, producer = cluster
    produce(producer, "split", range(400))
    splits = input_of(f"kafka://{servers}/split").split(3)
    assert len(splits) == 3
    found: list[Message] = []
    for split in splits:
        feed, quiet = split.open(None), 0
        while quiet < 100 and not all(feed.at_end().values()):
            messages = feed.poll(100)
            quiet = 0 if messages else quiet + 1
            found += messages
        feed.close()
    assert Counter(message.payload for message in found) == Counter(str(number).encode() for number in range(400))


def test_what_is_gone_is_an_error_or_a_warning_never_silence(
    cluster: tuple[str, Producer], caplog: pytest.LogCaptureFixture
) -> None:
    servers, producer = cluster
    produce(producer, "gone", range(10), partition=0)
    beyond = {"version": 1, "offsets": {"0": 500}}
    feed = input_of(f"kafka://{servers}/gone").open(beyond)
    with pytest.raises(
        Unreachable, match=r"offsets 0 to 10 in partition 0, and not 500, .* messages are lost; gaps=skip"
    ):
        polled(feed, 1)
    feed.close()
    feed = input_of(f"kafka://{servers}/gone?gaps=skip").open(beyond)
    end = time.monotonic() + _PATIENCE
    while "going on at what is there" not in caplog.text:
        assert time.monotonic() < end
        feed.poll(1)
    produce(producer, "gone", range(10, 11), partition=0)
    assert [message.payload for message in polled(feed, 1)] == [b"10"]
    feed.close()


def test_records_are_produced_with_a_key_that_is_always_the_same(cluster: tuple[str, Producer]) -> None:
    servers, producer = cluster
    producer.list_topics("out", timeout=10)  # which makes it
    rows = [{"word": f"w{number % 7}", "count": number} for number in range(100)]
    for query in ("", "?key=word"):
        with beam.Pipeline(runner="FnApiRunner") as pipeline:
            made = pipeline | beam.Create(rows).with_output_types(dict[str, Any])
            _ = made | write(f"kafka://{servers}/out{query}")
    feed = input_of(f"kafka://{servers}/out").open(None)
    found = polled(feed, 200)
    feed.close()
    assert len(found) == 200
    by_row = Counter(orjson.loads(message.payload)["count"] for message in found if isinstance(message.payload, bytes))
    assert by_row == dict.fromkeys(range(100), 2)
    keys = Counter(message.attributes["key"] for message in found)
    assert sum(number for key, number in keys.items() if len(key) == 32) == 100
    assert {key for key in keys if len(key) != 32} == {f"w{number}" for number in range(7)}


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("kafka://127.0.0.1:1/words", r"no broker answers at 127.0.0.1:1: .*is Kafka running there"),
        ("kafka://SERVERS/nowhere.to.be found", r"topic"),
    ],
)
def test_what_cannot_be_read_is_told_in_a_sentence(cluster: tuple[str, Producer], uri: str, says: str) -> None:
    began = time.monotonic()
    with pytest.raises(Unreachable, match=says):
        input_of(uri.replace("SERVERS", cluster[0])).check()
    assert time.monotonic() - began < 15


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("kafka://host", "a topic is named as kafka://host:port/topic"),
        ("kafka://host/t?start=stored", "name it, as group=words"),
        ("kafka://host/t?start=noon", "start=noon: "),
        ("kafka://host/t?grup=a", "has no parameter 'grup': did you mean group"),
        ("kafka://me:secret@host/t", "an address holds no password"),
        ("kafka://host/t?username=me&password=hunter2", "a secret is named as env:NAME or file:PATH"),
        ("kafka://host/t?username=me&password=env:NOT_THERE", "there is no variable 'NOT_THERE'"),
    ],
)
def test_addresses_that_cannot_be_are_refused(uri: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        input_of(uri)
