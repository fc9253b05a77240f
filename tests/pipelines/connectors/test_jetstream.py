"""Posts over WebSocket: each once, from the cursor on, although the server drops connections in the midst."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson
import pytest
from websockets.sync.server import Server, ServerConnection, serve

from pipelines.connectors.feeds import Message, Unreachable
from pipelines.connectors.jetstream import Jetstream, input_of
from transforms.parsing import parse_tweet

_START = 1_795_000_000_000_000  # microseconds
_APART = 20_000  # microseconds
_PATIENCE = 60.0  # seconds, for what takes a second or two where nothing else is going on


def event(number: int, **other: Any) -> dict[str, Any]:
    record = {
        "$type": "app.bsky.feed.post",
        "createdAt": "1999-01-01T00:00:00Z",  # by the clock of somebody's telephone
        "langs": ["en" if number % 3 else "ja"],
        "text": f"the kettle sings, number {number}",
        "facets": [{"features": [{"$type": "app.bsky.richtext.facet#tag", "tag": f"tea{number % 5}"}]}],
    }
    commit = {"operation": "create", "collection": "app.bsky.feed.post", "rkey": f"r{number}", "record": record}
    return {
        "did": f"did:plc:{number % 50}",
        "time_us": _START + number * _APART,
        "kind": "commit",
        "commit": commit | other,
    }


@dataclass
class Posts:
    """A server that tells posts from a cursor on, and aborts each connection after a while."""

    events: list[dict[str, Any]]
    every: int | None = None  # messages after which a connection is aborted
    cursors: list[int | None] = field(default_factory=list)
    chance: random.Random = field(default_factory=lambda: random.Random(3))

    def serve(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        asked = parse_qs(urlsplit(connection.request.path).query)
        cursor = int(asked["cursor"][0]) if "cursor" in asked else None
        self.cursors.append(cursor)
        left = self.chance.randrange(1, self.every) if self.every else len(self.events)
        for told in self.events:
            if cursor is None or told["time_us"] >= cursor:
                connection.send(orjson.dumps(told).decode())
                left -= 1
                if not left:
                    connection.socket.close()
                    return
        connection.recv()  # until the client leaves


@pytest.fixture
def posts() -> Iterator[tuple[Posts, Jetstream]]:
    told = Posts([event(number) for number in range(3000)])
    server: Server = serve(told.serve, "127.0.0.1", 0)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield told, input_of(f"jetstream://127.0.0.1:{server.socket.getsockname()[1]}/subscribe?tls=no")
    server.shutdown()
    thread.join()


def polled(live: Jetstream, number: int, chance: random.Random | None = None) -> list[Message]:
    """So many messages; with `chance`, other processes go on at marks."""
    end, messages, feed = time.monotonic() + _PATIENCE, list[Message](), live.open(None)
    try:
        while len(messages) < number:
            messages += feed.poll(97)
            assert time.monotonic() < end, f"{len(messages)} of {number}"
            if chance and chance.random() < 0.01:
                mark = orjson.loads(orjson.dumps(feed.mark()))
                feed.close()
                feed = live.open(mark)
            time.sleep(0.001)
        time.sleep(0.1)
        return messages + feed.poll(1000)
    finally:
        feed.close()


def test_each_post_comes_once_although_connections_are_lost(posts: tuple[Posts, Jetstream]) -> None:
    server, live = posts
    server.every = 1500
    messages = polled(live, 3000, random.Random(11))
    assert [message.position for message in messages] == [told["time_us"] for told in server.events]
    assert len(server.cursors) > 2
    assert all(cursor is not None for cursor in server.cursors[1:])


def test_a_post_is_a_tweet_at_the_time_of_the_server(posts: tuple[Posts, Jetstream]) -> None:
    tweet = parse_tweet(polled(posts[1], 1)[0].payload)
    assert (tweet.id, tweet.lang, tweet.hashtags) == ("at://did:plc:0/app.bsky.feed.post/r0", "ja", ("tea0",))
    assert tweet.created_at.timestamp() == _START / 1e6
    assert tweet.text == "the kettle sings, number 0"


def test_other_events_and_languages_are_left_out_and_what_is_broken_is_told(posts: tuple[Posts, Jetstream]) -> None:
    server, live = posts
    server.events = [
        event(0),
        event(1, operation="delete"),
        {"kind": "identity", "did": "did:plc:1", "time_us": _START},
        {"kind": "commit", "time_us": _START},
        event(2),
        event(3),
    ]
    ja = Jetstream(live.url, languages=("ja",))
    broken, *found = sorted(polled(ja, 3), key=lambda message: message.problem is None)
    assert broken.problem is not None
    assert broken.problem.startswith("a message must be an event of Jetstream")
    assert [message.position for message in found] == [_START, _START + 3 * _APART]


def test_a_server_that_is_not_there_is_told() -> None:
    with pytest.raises(Unreachable, match=r"ws://127.0.0.1:1/subscribe cannot be reached: .*is the name right"):
        input_of("jetstream://127.0.0.1:1/subscribe?tls=no").check()
