"""Live messages of Avro: rows where they are of the schema, rejects with their bytes where they are not."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fastavro
import pytest
from confluent_kafka import Producer

from pipelines import connectors
from pipelines.connectors.avro_values import AvroValues, avro_of
from pipelines.connectors.feeds import Feed, LiveInput, Mark, Message
from pipelines.connectors.live_decoding import AsBatches
from pipelines.connectors.read_live import LiveReader, LiveSource, Pace
from transforms.tables import Field

_ORDER = {
    "type": "record",
    "name": "Order",
    "fields": [
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "user", "type": ["null", "string"]},
        {"name": "amount", "type": "double"},
        {"name": "tags", "type": {"type": "array", "items": "string"}},
    ],
}
_TREE = {
    "type": "record",
    "name": "Tree",
    "fields": [{"name": "left", "type": ["null", "Tree"]}, {"name": "at", "type": "long"}],
}


def encoded(row: Mapping[str, Any], schema: Any = _ORDER) -> bytes:
    stream = io.BytesIO()
    fastavro.schemaless_writer(stream, fastavro.parse_schema(schema), row)
    return stream.getvalue()


def order(number: int) -> dict[str, Any]:
    return {
        "at": 1_400_000_000_000 + number,
        "user": f"u{number % 7}",
        "amount": number / 4,
        "tags": ["a"] * (number % 3),
    }


class Given(Feed):
    def __init__(self, payloads: tuple[bytes, ...]) -> None:
        self.messages = [Message(payload, number, 0.0) for number, payload in enumerate(payloads)]

    def poll(self, most: int) -> list[Message]:
        found, self.messages = self.messages[:most], self.messages[most:]
        return found

    def mark(self) -> Mark:
        return {"version": 1, "left": len(self.messages)}

    def at_end(self) -> Mapping[str, bool]:
        return {"": not self.messages}

    def ended(self) -> bool:
        return not self.messages

    def close(self) -> None:
        pass


@dataclass(frozen=True)
class GivenInput(LiveInput):
    payloads: tuple[bytes, ...]

    @property
    def source(self) -> str:
        return "given:"

    def check(self) -> None:
        pass

    def open(self, mark: Mark | None) -> Feed:
        assert mark is None
        return Given(self.payloads)


def polled(*payloads: bytes, schema: Any = _ORDER, registry: bool = False) -> list[Message]:
    feed = AvroValues(GivenInput(payloads), json.dumps(schema), registry).open(None)
    return feed.poll(len(payloads))


def test_messages_become_rows() -> None:
    messages = polled(*(encoded(order(number)) for number in range(9)))
    assert [message.payload["user"] for message in messages if isinstance(message.payload, Mapping)] == [
        f"u{number % 7}" for number in range(9)
    ]
    assert not any(message.problem for message in messages)


def test_what_a_registry_puts_before_them_is_left_out_and_must_be_there() -> None:
    content = encoded(order(1))
    right, none, other = polled(b"\0\0\0\0\7" + content, content, b"\0", registry=True)
    assert isinstance(right.payload, Mapping)
    assert "a zero and the number of a schema" in str(none.problem)
    assert other.payload == b"\0"
    assert other.problem


@pytest.mark.parametrize("damage", ["cut", "longer", "noise"])
@pytest.mark.parametrize("schema", [_ORDER, _TREE])
def test_what_is_damaged_keeps_its_bytes_and_says_what_is_wrong(damage: str, schema: Any) -> None:
    chance = random.Random(3)
    right = encoded(order(2)) if schema is _ORDER else encoded({"left": {"left": None, "at": 1}, "at": 2}, _TREE)
    for _ in range(2000):
        content = {
            "cut": right[: chance.randrange(len(right))],
            "longer": right + chance.randbytes(chance.randrange(1, 9)),
            "noise": chance.randbytes(chance.randrange(1, 40)),
        }[damage]
        (message,) = polled(content, schema=schema)
        if damage != "noise":
            assert message.problem
        assert message.payload == content if message.problem else isinstance(message.payload, Mapping)


@pytest.mark.parametrize(
    ("schema", "content"),
    [
        (_TREE, b"\2" * 200_000),  # a tree that is deep
        (_ORDER, encoded(order(1))[:-1] + b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\1"),  # an array of very many
        (_ORDER, b"\0\2\xfe\xff\xff\xff\xff\xff\xff\xff\xff\1"),  # a text that is very long
    ],
)
def test_a_bomb_is_a_problem(schema: Any, content: bytes) -> None:
    (message,) = polled(content, schema=schema)
    assert message.payload == content
    assert "it is no Avro of the schema" in str(message.problem)


def test_rows_are_read_as_columns_and_others_are_rejects_with_their_bytes() -> None:
    payloads = *(encoded(order(number)) for number in range(5)), b"no order"
    live = AvroValues(GivenInput(payloads), json.dumps(_ORDER))
    decoding = AsBatches((Field("at", "time"), Field("user", "any"), Field("amount", "number")))
    reader = LiveReader(LiveSource(live, decoding, Pace(), whole=True), None)
    assert reader.start()
    block = reader.get_current()
    ((items, times, _),) = block.parts
    assert times == [(1_400_000_000_000 + number) * 1000 for number in range(5)]
    assert items[0].column("amount").to_pylist() == [0, 0.25, 0.5, 0.75, 1]
    (reject,) = block.rejects
    assert reject.raw == b"no order"
    assert "it is no Avro of the schema" in reject.error
    reader.close()


def test_an_address_names_the_schema_beside_what_its_system_takes(tmp_path: Path) -> None:
    (path := tmp_path / "orders.avsc").write_text(json.dumps(_ORDER))
    rest, avro = avro_of(f"kafka://h:1/t?group=g&avro={path}&registry=yes")
    assert rest == "kafka://h:1/t?group=g"
    assert AvroValues(GivenInput(()), **avro) == AvroValues(
        GivenInput(()), json.dumps(_ORDER, separators=(",", ":")), True
    )
    assert avro_of("kafka://h:1/t?group=g") == ("kafka://h:1/t?group=g", {})
    live = connectors._live(f"kafka://h:1/t?group=g&bound=1m&avro={path}")
    assert live
    assert (type(live[0]), live[0].source, live[1].bound) == (AvroValues, "kafka://h:1/t", 60.0)


@pytest.mark.parametrize(
    ("schema", "rule"),
    [
        ("{", "it must be an Avro schema in JSON"),
        ('{"type": "nothing"}', "it must be an Avro schema in JSON"),
        ('"string"', "a message must be a record"),
        (
            json.dumps(_ORDER | {"fields": [{"name": "a", "type": {"type": "array", "items": "null"}}]}),
            "must hold something",
        ),
    ],
)
def test_a_schema_that_cannot_be_is_refused(schema: str, rule: str, tmp_path: Path) -> None:
    (path := tmp_path / "s.avsc").write_text(schema)
    with pytest.raises(ValueError, match=rule):
        avro_of(f"kafka://h:1/t?avro={path}")
    with pytest.raises(ValueError, match=r"there must be a schema in JSON: .*No such file"):
        avro_of("kafka://h:1/t?avro=nowhere.avsc")
    with pytest.raises(ValueError, match="registry= is about messages of Avro"):
        avro_of("kafka://h:1/t?registry=yes")


def test_a_topic_of_kafka_gives_rows(tmp_path: Path) -> None:
    (path := tmp_path / "orders.avsc").write_text(json.dumps(_ORDER))
    producer = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "unused", "log_level": 0})
    (broker,) = producer.list_topics(timeout=10).brokers.values()
    for number in range(5):
        producer.produce("orders", b"\0\0\0\0\1" + encoded(order(number)), partition=0)
    assert producer.flush(30) == 0
    found = connectors._live(f"kafka://{broker.host}:{broker.port}/orders?avro={path}&registry=yes")
    assert found
    feed = found[0].open(None)
    rows: list[Any] = []
    while len(rows) < 5:
        rows += [message.payload for message in feed.poll(9)]
    feed.close()
    assert [row["amount"] for row in rows] == [0, 0.25, 0.5, 0.75, 1]
