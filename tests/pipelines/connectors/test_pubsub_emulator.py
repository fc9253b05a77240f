"""What Google's client library relies on, asked of this emulator and of Google's own in the same words."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pubsub = pytest.importorskip("google.cloud.pubsub_v1", reason="needs google-cloud-pubsub (the extra gcp)")
exceptions = pytest.importorskip("google.api_core.exceptions")

from pipelines.connectors.pubsub_emulator import Emulator  # noqa: E402  what it needs is there now
from pipelines.connectors.pubsub_emulator.backlog import Backlog  # noqa: E402

_PSTEST = "cloud.google.com/go/pubsub/v2@v2.8.1"
_RIG = Path(__file__).with_name("pstest") / "main.go"
_PATIENCE = 60.0  # seconds, for what takes a second or two where nothing else is going on


def _built(config: pytest.Config) -> Path:
    """Google's emulator, built once by Go."""
    assert config.cache is not None
    place = config.cache.mkdir("pstest") / _PSTEST.rpartition("@")[2]
    if not (place / "pstest").exists():
        go = shutil.which("go", path=f"{os.environ.get('PATH', '')}:/usr/local/go/bin")
        if not go:
            pytest.skip("Google's emulator is not there, and without Go it cannot be built")
        place.mkdir(exist_ok=True)
        shutil.copy(_RIG, place)
        (place / "go.mod").write_text("module rig\n")
        for arguments in (["get", _PSTEST, f"{_PSTEST.replace('@', '/pstest@')}"], ["build", "-o", "pstest", "."]):
            subprocess.run([go, *arguments], cwd=place, check=True, timeout=900)
    return place / "pstest"


@pytest.fixture(params=["ours", pytest.param("google's", marks=pytest.mark.pstest)])
def host(request: pytest.FixtureRequest, pytestconfig: pytest.Config) -> Iterator[str]:
    if request.param == "ours":
        with Emulator() as emulator:
            yield emulator.host
        return
    with subprocess.Popen([_built(pytestconfig)], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.kill()


class Client:
    """A topic and a subscription of their own, through Google's client library."""

    def __init__(self, *, ordered: bool = False) -> None:
        name = uuid.uuid4().hex
        options = pubsub.types.PublisherOptions(enable_message_ordering=True)
        self.publisher = pubsub.PublisherClient(publisher_options=options)
        self.subscriber = pubsub.SubscriberClient()
        self.topic = f"projects/p/topics/{name}"
        self.subscription = f"projects/p/subscriptions/{name}"
        self.publisher.create_topic(name=self.topic)
        self.subscriber.create_subscription(
            request={
                "name": self.subscription,
                "topic": self.topic,
                "ack_deadline_seconds": 10,
                "enable_message_ordering": ordered,
            }
        )

    def publish(self, *payloads: bytes, key: str = "", **attributes: str) -> list[str]:
        futures = [self.publisher.publish(self.topic, data, ordering_key=key, **attributes) for data in payloads]
        return [future.result(timeout=_PATIENCE) for future in futures]

    def pull(self, most: int = 100) -> list[Any]:
        try:
            response = self.subscriber.pull(subscription=self.subscription, max_messages=most, timeout=3.0, retry=None)
        except exceptions.DeadlineExceeded:  # how Google's answers where nothing is there
            return []
        return list(response.received_messages)

    def pull_until(self, number: int) -> list[Any]:
        """So many messages, each acknowledged when it comes."""
        received: list[Any] = []
        end = time.monotonic() + _PATIENCE
        while len(received) < number:
            assert time.monotonic() < end, received
            some = self.pull()
            self.acknowledge(some)
            received += some
        return received

    def acknowledge(self, received: list[Any]) -> None:
        if received:
            ack_ids = [each.ack_id for each in received]
            self.subscriber.acknowledge(subscription=self.subscription, ack_ids=ack_ids)

    def modify(self, received: list[Any], seconds: int) -> None:
        self.subscriber.modify_ack_deadline(
            subscription=self.subscription,
            ack_ids=[each.ack_id for each in received],
            ack_deadline_seconds=seconds,
        )

    def close(self) -> None:
        self.publisher.stop()
        self.publisher.transport.close()
        self.subscriber.close()


@pytest.fixture
def connect(host: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Client]]:
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", host)
    clients = []

    def make(*, ordered: bool = False) -> Client:
        clients.append(Client(ordered=ordered))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


Connect = Callable[..., Client]


def payloads(received: list[Any]) -> list[bytes]:
    return [each.message.data for each in received]


def test_what_is_published_is_pulled_with_its_attributes_id_and_time(connect: Connect) -> None:
    client = connect()
    before = time.time()
    (published,) = client.publish(b"one", lang="ja")
    (received,) = client.pull()
    assert (received.message.data, dict(received.message.attributes)) == (b"one", {"lang": "ja"})
    assert received.message.message_id == published
    assert abs(received.message.publish_time.timestamp() - before) < _PATIENCE


def test_no_more_is_pulled_than_was_asked_for_and_the_rest_comes_next(connect: Connect) -> None:
    client = connect()
    client.publish(*(b"%d" % number for number in range(7)))
    first = client.pull(3)
    assert 1 <= len(first) <= 3
    client.acknowledge(first)
    rest = client.pull_until(7 - len(first))
    assert sorted(payloads(first + rest)) == [b"%d" % number for number in range(7)]


def test_what_is_acknowledged_does_not_come_again(connect: Connect) -> None:
    client = connect()
    client.publish(b"one")
    received = client.pull_until(1)
    client.modify(received, 0)  # says nothing to a message that is gone
    assert client.pull() == []


def test_what_is_given_back_comes_again_as_the_same_message(connect: Connect) -> None:
    client = connect()
    client.publish(b"one")
    first = client.pull()
    client.modify(first, 0)
    again = client.pull_until(1)
    assert [each.message.message_id for each in again] == [each.message.message_id for each in first]


def test_what_is_not_acknowledged_in_time_comes_again(connect: Connect) -> None:
    client = connect()
    client.publish(b"one")
    client.modify(client.pull(), 1)
    assert payloads(client.pull_until(1)) == [b"one"]


def test_what_is_extended_does_not_come_again_meanwhile(connect: Connect) -> None:
    client = connect()
    client.publish(b"one")
    received = client.pull()
    client.modify(received, 1)
    client.modify(received, 600)
    assert client.pull() == []


def test_each_subscription_gets_what_is_published_after_it_was_made(connect: Connect) -> None:
    client = connect()
    client.publish(b"before")
    other = f"{client.subscription}-other"
    client.subscriber.create_subscription(name=other, topic=client.topic)
    client.publish(b"after")
    assert sorted(payloads(client.pull_until(2))) == [b"after", b"before"]
    client.subscription = other
    assert payloads(client.pull_until(1)) == [b"after"]


def test_messages_of_a_key_come_in_order(connect: Connect) -> None:
    client = connect(ordered=True)
    for number in range(20):
        client.publish(b"%d" % number, key="k")
    assert payloads(client.pull_until(20)) == [b"%d" % number for number in range(20)]


def test_what_is_not_known_is_not_found(connect: Connect) -> None:
    client = connect()
    with pytest.raises(exceptions.NotFound):
        client.publisher.get_topic(topic="projects/p/topics/none")
    with pytest.raises(exceptions.NotFound):
        client.subscriber.get_subscription(subscription="projects/p/subscriptions/none")
    client.subscriber.delete_subscription(subscription=client.subscription)
    with pytest.raises(exceptions.NotFound):
        client.pull()


def test_names_are_given_once(connect: Connect) -> None:
    client = connect()
    with pytest.raises(exceptions.AlreadyExists):
        client.publisher.create_topic(name=client.topic)
    with pytest.raises(exceptions.AlreadyExists):
        client.subscriber.create_subscription(name=client.subscription, topic=client.topic)


def test_a_streaming_pull_gets_each_message_once_where_it_acknowledges(monkeypatch: pytest.MonkeyPatch) -> None:
    with Emulator() as emulator:
        monkeypatch.setenv("PUBSUB_EMULATOR_HOST", emulator.host)
        client = Client()
        expected = [b"%d" % number for number in range(500)]
        got: list[bytes] = []

        def take(message: Any) -> None:
            got.append(message.data)
            message.ack()

        stream = client.subscriber.subscribe(client.subscription, callback=take)
        client.publish(*expected)
        end = time.monotonic() + _PATIENCE
        while emulator.unacknowledged(client.subscription):
            assert time.monotonic() < end, len(got)
            time.sleep(0.05)
        stream.cancel()
        stream.result(timeout=_PATIENCE)
        client.close()
        assert sorted(got) == sorted(expected)


def test_a_message_that_comes_again_brings_the_later_ones_of_its_key() -> None:
    now = 0.0
    backlog: Backlog[str] = Backlog(10, clock=lambda: now)
    backlog.put([("a1", "a"), ("b1", "b"), ("a2", "a"), ("free", "")])
    first = backlog.take(9, 0)
    assert [delivery.message for delivery in first] == ["a1", "b1", "a2", "free"]
    backlog.put([("a3", "a")])
    assert backlog.take(9, 0) == [], "nothing of a key while some of it is out"
    backlog.modify(first[0].ack_id, 0)
    again = backlog.take(9, 0)
    assert [(delivery.message, delivery.attempt) for delivery in again] == [("a1", 2), ("a2", 2), ("a3", 1)]
    backlog.acknowledge([first[2].ack_id])  # out of date
    now = 10.0
    assert [delivery.message for delivery in backlog.take(9, 0)] == ["a1", "b1", "a2", "free", "a3"]
    assert len(backlog) == 5
