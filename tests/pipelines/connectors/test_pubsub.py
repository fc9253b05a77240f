"""Pub/Sub delivers again, out of order, and to workers that die: what is told is told once."""

from __future__ import annotations

import dataclasses
import itertools
import pickle
import random
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import apache_beam as beam
import grpc
import orjson
import pytest
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.util import assert_that, equal_to

pubsub_v1 = pytest.importorskip("google.cloud.pubsub_v1", reason="needs google-cloud-pubsub (the extra gcp)")

from pipelines.connectors import pubsub  # noqa: E402  what it needs is there now
from pipelines.connectors.feeds import Feed, Message, Unreachable  # noqa: E402
from pipelines.connectors.pubsub_emulator import Emulator  # noqa: E402
from transforms.schemas import WrittenFile  # noqa: E402

_PATIENCE = 180.0  # seconds: a worker that dies while it extends what it holds keeps that for a minute
_TOPIC = "projects/p/topics/t"
_SUBSCRIPTION = "projects/p/subscriptions/s"
_URI = f"pubsub://{_SUBSCRIPTION}?time=at&id=event"


class Server:
    """An emulator whose time can be set forward, a topic and a subscription."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ahead = 0.0
        self.emulator = Emulator(clock=lambda: time.monotonic() + self.ahead)
        monkeypatch.setenv("PUBSUB_EMULATOR_HOST", self.emulator.host)
        self.emulator.__enter__()
        self.publisher = pubsub_v1.PublisherClient()
        self.publisher.create_topic(name=_TOPIC)
        with pubsub_v1.SubscriberClient() as subscriber:
            subscriber.create_subscription(name=_SUBSCRIPTION, topic=_TOPIC)

    def publish(self, *messages: tuple[bytes, dict[str, str]]) -> None:
        for future in [self.publisher.publish(_TOPIC, data, **attributes) for data, attributes in messages]:
            future.result(timeout=_PATIENCE)

    @property
    def left(self) -> int:
        return self.emulator.unacknowledged(_SUBSCRIPTION)

    def wait_until_left(self, number: int) -> None:
        end = time.monotonic() + _PATIENCE
        while self.left != number:
            assert time.monotonic() < end, self.left
            time.sleep(0.02)

    def close(self) -> None:
        self.publisher.stop()
        self.publisher.transport.close()
        self.emulator.stop()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    server = Server(monkeypatch)
    yield server
    server.close()


def polled(feed: Feed, number: int) -> list[Message]:
    messages: list[Message] = []
    end = time.monotonic() + _PATIENCE
    while len(messages) < number:
        assert time.monotonic() < end, len(messages)
        some = feed.poll(number - len(messages))
        messages += some
        if not some:
            time.sleep(0.01)
    return messages


def until_rest(feed: Feed) -> list[Message]:
    """All that comes until the server has no more."""
    messages: list[Message] = []
    end = time.monotonic() + _PATIENCE
    while True:
        some = feed.poll(1000)
        messages += some
        if not some and feed.at_end()[""]:
            return messages
        assert time.monotonic() < end, len(messages)
        time.sleep(0.01)


def test_messages_have_ids_and_times_from_attributes_or_from_pubsub(server: Server) -> None:
    server.publish((b"a", {"at": "1500", "event": "e1"}), (b"b", {"at": "1970-01-01T00:00:02Z"}), (b"c", {}))
    feed = pubsub.input_of(_URI).open(None)
    before = time.time()
    a, b, c = polled(feed, 3)
    feed.close()
    assert (a.payload, a.written, a.id, a.attributes["event"]) == (b"a", 1.5, "e1", "e1")
    assert (b.payload, b.written) == (b"b", 2.0)
    assert b.id not in {None, c.id}
    assert abs(c.written - before) < _PATIENCE
    assert [a.position, b.position, c.position] == [1, 2, 3]


def test_a_message_whose_time_is_none_is_a_reject_with_a_reason(server: Server) -> None:
    server.publish((b"a", {"at": "yesterday"}))
    feed = pubsub.input_of(_URI).open(None)
    (message,) = polled(feed, 1)
    feed.close()
    assert message.problem == "the attribute at is no time: 'yesterday'"


def test_only_what_is_acknowledged_is_gone(server: Server) -> None:
    server.publish(*((b"%d" % number, {}) for number in range(10)))
    feed = pubsub.input_of(_URI).open(None)
    polled(feed, 6)
    mark = orjson.loads(orjson.dumps(feed.mark()))
    polled(feed, 4)
    assert server.left == 10
    feed.acknowledge(mark)
    server.wait_until_left(4)
    feed.acknowledge(mark)
    mark = feed.mark()
    feed.close()
    assert server.left == 4
    feed.acknowledge(mark)  # a runner may be sure only after the end
    server.wait_until_left(0)


def test_what_is_held_is_not_delivered_to_others_meanwhile(server: Server) -> None:
    server.publish((b"a", {}))
    feed = pubsub.input_of(_URI).open(None)
    polled(feed, 1)
    time.sleep(1.0)  # until it was extended, from 10 seconds to 60
    server.ahead += 30
    other = pubsub.input_of(_URI).open(None)
    assert until_rest(other) == []
    feed.close()
    server.ahead += 60
    assert [message.payload for message in polled(other, 1)] == [b"a"]
    other.close()


def test_what_was_not_polled_is_given_back_when_a_feed_closes(server: Server) -> None:
    server.publish(*((b"%d" % number, {}) for number in range(100)))
    feed = pubsub.input_of(_URI).open(None)
    polled(feed, 1)
    feed.close()
    other = pubsub.input_of(_URI).open(None)
    assert len(polled(other, 99)) == 99
    other.close()


@dataclasses.dataclass
class Durable:
    """What a runner has on disk: a mark, and the state that goes with it."""

    mark: dict[str, Any] | None = None
    counts: Counter[tuple[str, int]] = dataclasses.field(default_factory=Counter)


@pytest.mark.parametrize("seed", range(3))
def test_workers_are_killed_and_a_fifth_comes_three_times_and_counts_are_exact(server: Server, seed: int) -> None:
    chance = random.Random(seed)
    truth: Counter[tuple[str, int]] = Counter()
    sent: list[tuple[float, bytes, dict[str, str]]] = []
    for number in range(3000):
        at, word = chance.uniform(0, 300), f"w{chance.randrange(20)}"
        truth[word, int(at // 10)] += 1
        attributes = {"at": str(int(at * 1000)), "event": f"e{number}"}
        copies = 3 if chance.random() < 0.2 else 1
        sent += [(at + chance.uniform(0, 60), word.encode(), attributes) for _ in range(copies)]
    sent.sort(key=lambda each: each[0])
    assert len(sent) > 4000
    server.publish(*((data, attributes) for _, data, attributes in sent))

    durable = Durable()
    deaths = 2 * ["while it works", "before it acknowledges", "after it acknowledged"]
    chance.shuffle(deaths)
    end = time.monotonic() + _PATIENCE
    while server.left:
        feed = pubsub.input_of(_URI).open(durable.mark)
        counts, last = durable.counts.copy(), chance.randrange(1, 6)
        dies = deaths.pop() if deaths else "at rest"
        for turn in itertools.count():
            messages = feed.poll(chance.randrange(1, 400))
            counts.update((message.payload.decode(), int(message.written // 10)) for message in messages)
            if dies == "while it works" and turn >= last:
                break
            durable = Durable(orjson.loads(orjson.dumps(feed.mark())), counts.copy())
            if dies == "before it acknowledges" and turn >= last:
                break
            feed.acknowledge(durable.mark)
            if dies == "after it acknowledged" and turn >= last:
                break
            if dies == "at rest" and not server.left:  # what a dying worker still pulled comes back, too
                break
            assert time.monotonic() < end, server.left
            time.sleep(0.01)
        feed._closed.set()  # as if killed: nothing is given back, nothing more is extended
        server.ahead += 700  # what was out is delivered again
    assert not deaths
    assert durable.counts == truth


def test_ids_are_forgotten_when_they_are_old_and_acknowledged(server: Server) -> None:
    feed = pubsub.input_of(f"{_URI}&remember=10s").open(None)
    now = 0.0
    feed._clock = lambda: now
    server.publish((b"a", {"event": "e"}))
    polled(feed, 1)
    now = 11.0
    server.publish((b"a", {"event": "e"}))
    while not feed.repeated():  # it is not acknowledged: known, however old
        assert feed.poll(9) == []
    feed.acknowledge(feed.mark())
    feed.poll(1)
    assert feed.mark()["known"] == []
    server.publish((b"a", {"event": "e"}))
    polled(feed, 1)
    feed.close()


def test_an_address_makes_an_input_that_pickles_and_holds_for_one_reader() -> None:
    made = pubsub.input_of(_URI)
    assert pickle.loads(pickle.dumps(made)) == made  # noqa: S301  its own
    assert made.source == f"pubsub://{_SUBSCRIPTION}"
    assert made.split(8) == [made]


@pytest.mark.parametrize("uri", ["pubsub://projects/p/topics/t", "pubsub://p/s", "pubsub://projects/p/subscriptions/"])
def test_what_names_no_subscription_is_refused(uri: str) -> None:
    with pytest.raises(ValueError, match="read from a subscription, pubsub://projects/PROJECT/subscriptions/NAME"):
        pubsub.input_of(uri)


@pytest.mark.usefixtures("server")
def test_a_subscription_that_is_there_passes_and_one_that_is_not_is_told() -> None:
    pubsub.input_of(_URI).check()
    with pytest.raises(Unreachable, match="has no projects/p/subscriptions/none: create it"):
        pubsub.input_of("pubsub://projects/p/subscriptions/none").check()


def test_a_server_that_does_not_answer_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", "127.0.0.1:9")
    with pytest.raises(Unreachable, match=r"the emulator at 127.0.0.1:9 .* does not answer"):
        pubsub.input_of(_URI).check()


def test_credentials_that_are_refused_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: bytes, context: grpc.ServicerContext) -> bytes:
        context.abort(grpc.StatusCode.PERMISSION_DENIED, "User not authorized")
        return b""

    refusing = grpc.server(ThreadPoolExecutor(2))
    methods = {name: grpc.unary_unary_rpc_method_handler(refuse) for name in ("GetSubscription", "Pull")}
    refusing.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("google.pubsub.v1.Subscriber", methods),))
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", f"127.0.0.1:{refusing.add_insecure_port('127.0.0.1:0')}")
    refusing.start()
    try:
        with pytest.raises(Unreachable, match="those found are refused"):
            pubsub.input_of(_URI).check()
        feed = pubsub.input_of(_URI).open(None)
        with pytest.raises(Unreachable, match="those found are refused"):
            polled(feed, 1)
        feed.close()
    finally:
        refusing.stop(None).wait()


def test_credentials_that_are_not_there_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PUBSUB_EMULATOR_HOST", raising=False)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere.json")
    with pytest.raises(Unreachable, match="GOOGLE_APPLICATION_CREDENTIALS"):
        pubsub.input_of(_URI).check()


@pytest.mark.usefixtures("server")
def test_a_subscription_that_is_deleted_ends_the_feed_with_a_reason() -> None:
    feed = pubsub.input_of(_URI).open(None)
    with pubsub_v1.SubscriberClient() as subscriber:
        subscriber.delete_subscription(subscription=_SUBSCRIPTION)
    with pytest.raises(Unreachable, match=f"has no {_SUBSCRIPTION}"):
        polled(feed, 1)
    feed.close()


@pytest.mark.usefixtures("server")
def test_records_are_published_as_json_with_a_digest_as_id_and_a_key_that_orders() -> None:
    records = [{"word": f"w{number % 3}", "count": number} for number in range(50)]
    for _ in range(2):  # a bundle that is tried again
        with TestPipeline(runner="FnApiRunner") as pipeline:
            written = pipeline | beam.Create(records) | pubsub.write_to(f"pubsub://{_TOPIC}?key=word")
            total = written | beam.Map(lambda file: file.records) | beam.CombineGlobally(sum)
            assert_that(total, equal_to([50]))
            assert_that(
                written | beam.Map(lambda file: file.path) | beam.Distinct(),
                equal_to([f"pubsub://{_TOPIC}"]),
                label="path",
            )
            assert written.element_type is WrittenFile
    feed = pubsub.input_of(f"pubsub://{_SUBSCRIPTION}?id=id").open(None)
    read = until_rest(feed)
    assert sorted((orjson.loads(message.payload) for message in read), key=lambda each: each["count"]) == records
    assert all(message.attributes["key"] == orjson.loads(message.payload)["word"] for message in read)
    assert feed.repeated() == 50
    feed.close()


@pytest.mark.usefixtures("server")
def test_a_topic_that_is_not_there_is_told_before_anything_runs() -> None:
    pipeline = TestPipeline(runner="FnApiRunner")
    with pytest.raises(Unreachable, match="has no projects/p/topics/none"):
        pipeline | beam.Create([1]) | pubsub.write_to("pubsub://projects/p/topics/none")


def test_a_message_that_is_not_taken_fails_the_bundle(server: Server) -> None:
    pipeline = TestPipeline(runner="FnApiRunner")
    pipeline | beam.Create([{"word": "a"}]) | pubsub.write_to(f"pubsub://{_TOPIC}")
    server.publisher.delete_topic(topic=_TOPIC)
    with pytest.raises(Exception, match=f"has no {_TOPIC}"):
        pipeline.run()
