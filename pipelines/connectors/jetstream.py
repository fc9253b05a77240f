"""Bluesky's public stream of posts, over WebSocket: no account, and something happens at once.

    jetstream://jetstream2.us-east.bsky.network/subscribe?languages=en,ja

A message is a post as JSON: {id, created_at, text, lang, user, hashtags, record}, where `created_at` is when the server
saw it (clients' own clocks are in `record`, which is the post as it was written), and `lang` the first that it names.
Other events, such as deletions, are no messages.
"""

from __future__ import annotations

import contextlib
import hashlib
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import orjson

from pipelines.connectors.addresses import parse_address
from pipelines.connectors.feeds import Feed, LiveInput, Mark, Message, Unreachable
from transforms.schemas import EPOCH

_REWIND = 3_000_000  # microseconds: servers may differ by that, and what was seen is left out
_WAITING = 10_000  # messages that were received and not polled, after which the server has to wait
_PATIENCE = 10.0  # seconds for a connection
_SILENCE = 1.0  # seconds until somebody who waits for a message looks up
_LONGEST = 2**20  # bytes of a message
_BACK_OFF = (0.2, 0.5, 1.0, 2.0, 5.0)  # seconds


@dataclass(frozen=True)
class Jetstream(LiveInput):
    """A server of Jetstream, https://docs.bsky.app/blog/jetstream, and what is wanted of it."""

    url: str
    collections: tuple[str, ...] = ("app.bsky.feed.post",)
    languages: tuple[str, ...] = ()
    cursor: int | None = None  # microseconds since 1970

    @property
    def source(self) -> str:
        return self.url

    def check(self) -> None:
        _connect(self.address(self.cursor)).close()

    def open(self, mark: Mark | None) -> JetstreamFeed:
        return JetstreamFeed(self, mark)

    def address(self, cursor: int | None) -> str:
        """Where to connect for what comes after a cursor, or from now on."""
        asked = [("wantedCollections", name) for name in self.collections]
        if cursor is not None:
            asked.append(("cursor", str(cursor)))
        return f"{self.url}?{urlencode(asked)}"


def input_of(uri: str) -> Jetstream:
    """What an address says."""
    parts, values = parse_address(
        uri, {"collections": _names, "languages": _names, "cursor": int, "tls": {"yes": True, "no": False}.__getitem__}
    )
    scheme = "wss" if values.pop("tls", True) else "ws"
    return Jetstream(f"{scheme}://{parts.netloc}{parts.path or '/subscribe'}", **values)


def _names(text: str) -> tuple[str, ...]:
    return tuple(filter(None, text.split(",")))


class JetstreamFeed(Feed):
    """Posts from a cursor on, each once: a thread receives them, and connects again where the connection is lost."""

    def __init__(self, of: Jetstream, mark: Mark | None) -> None:
        self._of = of
        self._cursor = mark["cursor"] if mark else of.cursor
        self._seen: dict[int, int] = {int(key): at for key, at in mark["seen"]} if mark else {}  # since a rewind ago
        self._waiting: deque[tuple[int, Message]] = deque()
        self._room = threading.Condition()
        self._polled: deque[tuple[int, int]] = deque(self._seen.items())
        self._failure: Exception | None = None
        self._connected = self._closed = False
        self._received = self._cursor  # as far as the thread is
        self._thread = threading.Thread(target=self._receive, name=f"receive {of.url}", daemon=True)
        self._thread.start()

    def poll(self, most: int) -> list[Message]:
        with self._room:
            if self._failure and not self._waiting:
                raise self._failure
            found = [self._waiting.popleft() for _ in range(min(most, len(self._waiting)))]
            self._room.notify()
        for key, message in found:
            self._cursor = max(self._cursor or 0, message.position)
            self._polled.append((key, message.position))
        while self._polled and self._polled[0][1] < (self._cursor or 0) - 2 * _REWIND:
            self._polled.popleft()
        return [message for _, message in found]

    def mark(self) -> Mark:
        return {"version": 1, "cursor": self._cursor, "seen": list(self._polled)}

    def at_end(self) -> Mapping[str, bool]:
        with self._room:
            return {"": self._connected and not self._waiting}

    def close(self) -> None:
        with self._room:
            self._closed = True
            self._room.notify()
        self._thread.join()

    def _receive(self) -> None:
        failures = 0
        while not self._closed:
            try:
                with contextlib.closing(_connect(self._of.address(self._rewound()))) as connection:
                    failures, self._connected = 0, True
                    self._listen(connection)
            except Unreachable:
                pass  # what was there at the start comes back, or a person ends the run
            except Exception as error:  # noqa: BLE001  whatever it is must be told by the feed, not by a thread
                self._failure = Unreachable(f"{self._of.url} cannot be received any further: {error!r}")
                return
            finally:
                self._connected = False
            if not self._closed:
                time.sleep(_BACK_OFF[min(failures, len(_BACK_OFF) - 1)])
                failures += 1

    def _rewound(self) -> int | None:
        return None if self._received is None else self._received - _REWIND

    def _listen(self, connection: Any) -> None:
        """Takes what comes until the connection is lost."""
        from websockets.exceptions import ConnectionClosed  # noqa: PLC0415

        while not self._closed:
            try:
                raw = connection.recv(timeout=_SILENCE)
            except TimeoutError:
                continue
            except ConnectionClosed:
                return
            if post := _post_of(raw, self._of.languages):
                self._keep(*post)

    def _keep(self, key: int, message: Message) -> None:
        self._received = max(self._received or 0, message.position)
        if key in self._seen:
            return
        self._seen[key] = message.position
        if len(self._seen) > _WAITING:
            oldest = self._received - 2 * _REWIND
            self._seen = {key: at for key, at in self._seen.items() if at >= oldest}
        with self._room:
            self._waiting.append((key, message))
            self._room.wait_for(lambda: len(self._waiting) < _WAITING or self._closed)


def _post_of(raw: str | bytes, languages: tuple[str, ...]) -> tuple[int, Message] | None:
    """What tells a new post from others, and the post; None for other events, and posts in other languages."""
    try:
        event = orjson.loads(raw)
        if event["kind"] != "commit" or event["commit"]["operation"] != "create":
            return None
        commit = event["commit"]
        record, at = commit["record"], int(event["time_us"])
        langs = [lang for lang in record.get("langs") or () if isinstance(lang, str)]
        if languages and not {lang.partition("-")[0] for lang in langs} & set(languages):
            return None
        name = f"{event['did']}/{commit['collection']}/{commit['rkey']}"
        features = [feature for facet in record.get("facets") or () for feature in facet["features"]]
        moment = EPOCH + timedelta(microseconds=at)
        post = {
            "id": f"at://{name}",
            "created_at": moment,
            "text": record.get("text"),
            "lang": langs[0] if langs else None,
            "user": event["did"],
            "hashtags": [feature["tag"] for feature in features if "tag" in feature],
            "record": record,
        }
        return _key(name), Message(orjson.dumps(post), at, at / 1e6)
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError, OverflowError) as error:
        data = raw.encode() if isinstance(raw, str) else raw
        now = time.time()
        problem = f"a message must be an event of Jetstream, got one that breaks its form: {error!r}"
        return _key(str(data)), Message(data, 0, now, problem=problem)


def _key(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=6).digest(), "big")


def _connect(url: str) -> Any:
    """An open connection; raises Unreachable."""
    try:
        from websockets.sync.client import connect  # noqa: PLC0415  an extra
    except ImportError as error:
        raise ValueError(
            "'jetstream://' needs more than is installed: pip install 'streamsketch[jetstream]'"
        ) from error
    try:
        return connect(url, open_timeout=_PATIENCE, max_size=_LONGEST, close_timeout=1)
    except Exception as error:
        where = url.partition("?")[0]
        raise Unreachable(f"{where} cannot be reached: {error}: is the name right, and is there a network?") from error
