"""Live runs over systems with a memory of their own, or none, are killed; in all, each record counts once."""

from __future__ import annotations

import itertools
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import orjson
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

from pipelines.connectors.log import Log
from pipelines.connectors.pubsub_emulator import Emulator
from tests.pipelines.kills import killed
from transforms.parsing import parse_time

if TYPE_CHECKING:
    from tests.pipelines.conftest import RunLive

pytestmark = pytest.mark.prism

_WINDOW = 4.0  # seconds
_KILLS = 3
_END = "end"  # the word of events that come after all others, so that the windows of those are over
_APART = 30.0  # seconds between two of them
Counts: TypeAlias = Counter[tuple[datetime, str]]
RowsOf: TypeAlias = Callable[..., list[dict[str, Any]]]


@dataclass
class Event:
    at: float  # seconds since 1970
    word: str

    @property
    def line(self) -> bytes:
        return orjson.dumps({"created_at": datetime.fromtimestamp(self.at, UTC), "text": self.word})


def events(first: float, apart: float, number: int) -> list[Event]:
    """Events in order of time."""
    chance = random.Random(9)
    return [Event(round(first + index * apart, 3), f"w{chance.randrange(50)}") for index in range(number)]


def endings(last: float) -> Iterator[Event]:
    """What comes after all events, for ever."""
    return (Event(last + index * _APART, _END) for index in itertools.count(1))


def expected(of: list[Event]) -> Counter[tuple[datetime, str]]:
    return Counter((datetime.fromtimestamp(event.at // _WINDOW * _WINDOW, UTC), event.word) for event in of)


class Run:
    """Word counts of a source, killed on the way and run again until all is final."""

    def __init__(self, run_live: RunLive, rows_of: RowsOf, folder: Path, source: str, final: timedelta) -> None:
        self._run_live, self._rows_of, self._final = run_live, rows_of, final
        self.state, self._out = folder / "state", folder / "counts"
        where = ["--input", source, "--output", f"{self._out}/", "--state", str(self.state)]
        self._flags = [*where, "--window", f"{_WINDOW:g}s, lateness 2s"]

    def counts(self) -> Counts:
        found: Counts = Counter()
        for row in self._rows_of(*self._out.glob("[!.]*")):
            found[parse_time(row["window_start"]), row["word"]] += row["count"]
        return found

    def late(self) -> Counts:
        rows = self._rows_of(*self._out.with_name("counts.late").glob("[!.]*"))
        return Counter((parse_time(row["window_start"]), row["text"]) for row in rows)

    def words(self) -> Counts:
        return Counter({key: count for key, count in self.counts().items() if key[1] != _END})

    def killed_and_ended(self, taken: Callable[[], bool] = lambda: True) -> None:
        """Runs until all events are final, and `taken`."""
        chance = random.Random(6)
        for _ in range(_KILLS):
            with self._run_live("word_count", *self._flags) as run:
                assert killed(run, self.state, chance, open_for=self._final) >= 1000
        with self._run_live("word_count", *self._flags) as run:
            run.wait_for(lambda: any(word == _END for _, word in self.counts()), "all that comes before is final")
            run.wait_for(taken, "all is taken")
            run.press_ctrl_c()
            run.wait_for_the_end()


@contextmanager
def working(work: Callable[[threading.Event], None]) -> Iterator[None]:
    """Works in a thread until the end of a test."""
    over = threading.Event()
    thread = threading.Thread(target=work, args=(over,))
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_lines_of_a_socket_count_once_as_the_log_holds_them(tmp_path: Path, run_live: RunLive, rows_of: RowsOf) -> None:
    sent = events(time.time(), 0.001, 40_000)
    server = socket.create_server(("127.0.0.1", 0))
    server.settimeout(0.1)

    def send(over: threading.Event) -> None:
        waiting, connection = itertools.chain(sent, endings(sent[-1].at)), None
        for event in waiting:
            while time.time() < event.at and event.word != _END:
                time.sleep(0.01)
            while not over.is_set():
                with suppress(OSError):
                    connection = connection or server.accept()[0]
                    connection.sendall(event.line + b"\n")
                    break
                if connection is not None:
                    connection.close()
                    connection = None
            if event.word == _END and over.wait(0.2):
                break
        if connection is not None:
            connection.close()

    source = f"socket://127.0.0.1:{server.getsockname()[1]}?bound=3s&idle=1h"
    run = Run(run_live, rows_of, tmp_path, source, timedelta(seconds=_WINDOW + 2 + 3))
    with server, working(send):
        run.killed_and_ended()
    log = Log(str(run.state / "log"))
    rows = [orjson.loads(message.payload) for message in log.read(0, 10**6)]  # type: ignore[arg-type]
    log.close()
    received = [Event(parse_time(row["created_at"]).timestamp(), row["text"]) for row in rows]
    assert run.words() == expected([event for event in received if event.word != _END])
    assert len(received) > 0.7 * len(sent)  # what was sent meanwhile, nobody has


def test_posts_of_jetstream_count_once_from_the_cursor_on(tmp_path: Path, run_live: RunLive, rows_of: RowsOf) -> None:
    sent = events(time.time(), 0.001, 40_000)
    chance = random.Random(8)
    over = threading.Event()

    def serve_posts(connection: ServerConnection) -> None:
        assert connection.request is not None
        cursor = int(connection.request.path.rpartition("cursor=")[2])
        left = chance.randrange(8000, 16_000)  # more than are told again
        with suppress(ConnectionClosed):
            for number, event in enumerate(itertools.chain(sent, endings(sent[-1].at))):
                at = round(event.at * 1e6)
                if at < cursor:
                    continue
                while time.time() < event.at and event.word != _END:
                    time.sleep(0.01)
                connection.send(orjson.dumps(post(number, at, event.word)).decode())
                left -= 1
                if not left or over.is_set():
                    connection.socket.close()  # as it is lost, not as it is ended
                    return
                if event.word == _END:
                    over.wait(0.2)

    with serve(serve_posts, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        address = f"127.0.0.1:{server.socket.getsockname()[1]}/subscribe?tls=no&cursor={int(sent[0].at * 1e6)}"
        source = f"jetstream://{address}&bound=3s&idle=1h"
        run = Run(run_live, rows_of, tmp_path, source, timedelta(seconds=_WINDOW + 2 + 3))
        try:
            run.killed_and_ended()
        finally:
            over.set()
            server.shutdown()
            thread.join()
    assert run.words() == expected(sent)


def post(number: int, at: int, word: str) -> dict[str, Any]:
    """An event of Jetstream."""
    commit = {"operation": "create", "collection": "app.bsky.feed.post", "rkey": f"r{number}", "record": {"text": word}}
    return {"did": "did:plc:one", "time_us": at, "kind": "commit", "commit": commit}


def test_messages_of_pubsub_count_once_though_a_fifth_comes_three_times(
    tmp_path: Path, run_live: RunLive, rows_of: RowsOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    pubsub_v1 = pytest.importorskip("google.cloud.pubsub_v1", reason="needs google-cloud-pubsub (the extra gcp)")
    topic, subscription = "projects/p/topics/texts", "projects/p/subscriptions/words"
    begin, chance = time.time(), random.Random(7)
    sent = events(begin - 300, 0.01, 30_000)  # of five minutes, in half a minute
    deliveries = []
    for number, event in enumerate(sent):
        copies = 3 if chance.random() < 0.2 else 1
        deliveries += [(event.at + chance.uniform(0, 60), f"e{number}", event) for _ in range(copies)]
    deliveries.sort(key=lambda each: each[0])

    def publish(over: threading.Event) -> None:
        for number, (_, name, event) in enumerate(deliveries):
            while time.time() < begin + number / 1000:
                time.sleep(0.01)
            publisher.publish(topic, event.line, event=name)
        for event in itertools.islice(endings(sent[-1].at), 10):
            publisher.publish(topic, event.line)
            over.wait(0.5)

    with Emulator() as emulator:
        monkeypatch.setenv("PUBSUB_EMULATOR_HOST", emulator.host)
        publisher = pubsub_v1.PublisherClient()
        publisher.create_topic(name=topic)
        with pubsub_v1.SubscriberClient() as subscriber:
            subscriber.create_subscription(name=subscription, topic=topic)
        source = f"pubsub://{subscription}?id=event&bound=61s&idle=1h"
        run = Run(run_live, rows_of, tmp_path, source, timedelta(seconds=_WINDOW + 2 + 61))
        with working(publish):
            run.killed_and_ended(lambda: emulator.unacknowledged(subscription) == 0)
        publisher.stop()
        publisher.transport.close()
    # What a run held when it was killed comes again after a minute, in which ten minutes of events have gone by.
    assert run.words() + run.late() == expected(sent)
    assert 0 < run.late().total() < 0.1 * len(sent)
