"""Reads a Pub/Sub subscription by pulling: what was pulled is held, and acknowledged when it is safe."""

from __future__ import annotations

import base64
import contextlib
import itertools
import logging
import os
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import google.auth.exceptions as auth
import numpy as np
from google.api_core import exceptions
from google.cloud import pubsub_v1

from pipelines.connectors.feeds import Feed, Mark, Message, Unreachable
from transforms.sketches import DEFAULT

_LOG = logging.getLogger(__name__)
_VERSION = 1
_PULL = 1000  # messages at a time, as many as Pub/Sub gives
_PULL_TIMEOUT = 5.0  # seconds
_BUFFER = 10_000  # messages that wait to be polled
_BUFFER_BYTES = 64 * 2**20
_LEASE = 60  # seconds that what is held is out; extended when a third of them is left
_REQUEST = 1000  # ids of messages in a request, of half a megabyte at most
_PAUSE = 5.0  # seconds at most until a server that failed is asked again

_FOREVER = (exceptions.NotFound, exceptions.PermissionDenied, exceptions.Unauthenticated, exceptions.InvalidArgument)
# What Google's libraries raise.
FAILS = (exceptions.GoogleAPICallError, exceptions.RetryError, auth.GoogleAuthError)


def unreachable(name: str, error: Exception) -> Unreachable:
    """What a failed call means to who wrote an address, and what to do about it."""
    where = os.environ.get("PUBSUB_EMULATOR_HOST")
    host = f"the emulator at {where} (PUBSUB_EMULATOR_HOST)" if where else "pubsub.googleapis.com"
    detail = getattr(error, "message", None) or str(error)
    if isinstance(error, exceptions.NotFound):
        return Unreachable(f"{host} has no {name}: create it, or correct the address ({detail})")
    by_credentials = "metadata from plugin" in detail  # how gRPC tells that there is no token
    refused = (exceptions.PermissionDenied, exceptions.Unauthenticated, auth.GoogleAuthError)
    if isinstance(error, refused) or by_credentials:
        return Unreachable(
            f"{name} needs credentials that may use it, and those found are refused: log in (gcloud auth "
            f"application-default login), or name a key in GOOGLE_APPLICATION_CREDENTIALS, with the roles Pub/Sub "
            f"Subscriber and Viewer ({detail})"
        )
    if isinstance(error, exceptions.InvalidArgument):
        return Unreachable(f"{host} takes no {name}: correct the address ({detail})")
    return Unreachable(f"{host} does not answer for {name}: see that it runs and can be reached from here ({detail})")


@dataclass(frozen=True, slots=True)
class _Known:
    """What was polled together: hashes of ids, up to which number, and when."""

    hashes: list[int]
    text: str  # the same, for marks
    upto: int
    at: float


def knowing(ids: Iterable[str]) -> Mark:
    """The mark of a feed that leaves out messages of these ids."""
    known = np.array(DEFAULT.hash_many(list(ids)), "<u8")
    text = base64.b85encode(known.tobytes()).decode()
    return {"version": _VERSION, "position": 0, "known": [text], "session": "", "number": 0}


class PubSubFeed(Feed):
    """A subscription that is read in one place: every message is told once, whatever is delivered again.

    A message counts as told when it was polled, or when the mark that a feed was opened with knows it. Ids are known
    for `remember` seconds after they were polled, or from when a feed was opened with them, and as long as they are not
    acknowledged; by hashes of 64 bits, so that of 10^12 messages that are new less than one is taken for a known one,
    where a million are known. What is told and not acknowledged is held: its deadline is extended while the process
    lives. After that it is delivered again, within a minute.
    """

    def __init__(
        self,
        subscription: str,
        mark: Mark | None,
        *,
        time_attribute: str | None = None,
        id_attribute: str | None = None,
        remember: float = 600.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if mark and mark["version"] != _VERSION:
            raise ValueError(f"this mark is of version {mark['version']}, and version {_VERSION} can be read")
        self._subscription = subscription
        self._time, self._id, self._remember, self._clock = time_attribute, id_attribute, remember, clock
        self._session = uuid.uuid4().hex
        self._position: int = mark["position"] if mark else 0
        self._number = 0  # of what was taken from the buffer, duplicates too
        self._safe = 0  # up to which number it is acknowledged
        self._known: deque[_Known] = deque()
        self._hashes: set[int] = set()
        for text in mark["known"] if mark else []:
            self._learn(np.frombuffer(base64.b85decode(text), "<u8"), text)
        self._repeated = 0
        self._guard = threading.Condition()
        self._buffer: deque[Any] = deque()
        self._buffered = 0  # bytes
        self._held: deque[tuple[int, str]] = deque()  # numbers, and what they are acknowledged by
        self._out: set[str] = set()
        self._due: deque[tuple[float, list[str]]] = deque()  # when to extend what
        self._done: list[str] = []  # to be acknowledged
        self._at_rest = False
        self._fault: Unreachable | None = None
        self._closed = threading.Event()
        try:
            self._client = pubsub_v1.SubscriberClient()
        except auth.GoogleAuthError as error:
            raise unreachable(subscription, error) from error
        for work in (self._pull, self._keep):
            threading.Thread(target=work, name=f"pubsub-{subscription}", daemon=True).start()

    def poll(self, most: int) -> list[Message]:
        with self._guard:
            if self._fault and not self._buffer:
                raise self._fault
            received = [self._buffer.popleft() for _ in range(min(most, len(self._buffer)))]
            self._buffered -= sum(len(each.message.data) for each in received)
            for each in received:
                self._number += 1
                self._held.append((self._number, each.ack_id))
            self._guard.notify_all()
        self._forget()
        return self._fresh(received) if received else []

    def _fresh(self, received: list[Any]) -> list[Message]:
        ids = [(self._id and each.message.attributes.get(self._id)) or each.message.message_id for each in received]
        fresh: list[Message] = []
        news: list[int] = []
        for each, name, hashed in zip(received, ids, DEFAULT.hash_many(ids).tolist(), strict=True):
            if hashed in self._hashes:
                continue
            self._hashes.add(hashed)
            news.append(hashed)
            fresh.append(self._message(each.message, name))
        if news:
            array = np.array(news, "<u8")
            self._learn(array, base64.b85encode(array.tobytes()).decode())
        self._repeated += len(received) - len(fresh)
        return fresh

    def repeated(self) -> int:
        number, self._repeated = self._repeated, 0
        return number

    def _message(self, message: Any, name: str) -> Message:
        attributes = dict(message.attributes)
        if message.ordering_key:
            attributes.setdefault("key", message.ordering_key)
        written, problem = message.publish_time.timestamp(), None
        if self._time and self._time in attributes:
            try:
                written = _seconds(attributes[self._time])
            except ValueError:
                problem = f"the attribute {self._time} is no time: {attributes[self._time]!r}"
        self._position += 1
        return Message(message.data, self._position, written, id=name, attributes=attributes, problem=problem)

    def _learn(self, array: Any, text: str) -> None:
        hashes = array.tolist()
        self._hashes.update(hashes)
        self._known.append(_Known(hashes, text, self._number, self._clock()))

    def _forget(self) -> None:
        while self._known and self._known[0].at < self._clock() - self._remember and self._known[0].upto <= self._safe:
            self._hashes.difference_update(self._known.popleft().hashes)

    def mark(self) -> Mark:
        known = [each.text for each in self._known]
        return {
            "version": _VERSION,
            "position": self._position,
            "known": known,
            "session": self._session,
            "number": self._number,
        }

    def at_end(self) -> Mapping[str, bool]:
        with self._guard:
            return {"": self._at_rest and not self._buffer}

    def acknowledge(self, mark: Mark) -> None:
        if mark["session"] != self._session:
            return  # what it knows and comes again will be acknowledged by a mark of this feed
        with self._guard:
            while self._held and self._held[0][0] <= mark["number"]:
                self._done.append(self._held.popleft()[1])
            self._safe = max(self._safe, mark["number"])
            self._guard.notify_all()
        if self._closed.is_set():
            with contextlib.suppress(*FAILS):  # then it is delivered again
                self._acknowledge_done()

    def close(self) -> None:
        with self._guard:
            if self._closed.is_set():
                return
            self._closed.set()
            back = [each.ack_id for each in self._buffer]
            self._buffer.clear()
            self._guard.notify_all()
        with contextlib.suppress(*FAILS):  # then it is delivered again later
            self._acknowledge_done()
            self._modify(back, 0)

    def _pull(self) -> None:
        pause = 0.1
        while not self._closed.is_set():
            with self._guard:
                if len(self._buffer) >= _BUFFER or self._buffered >= _BUFFER_BYTES:
                    self._guard.wait(1.0)
                    continue
            try:
                received = self._pulled()
                pause = 0.1
            except _FOREVER as error:
                with self._guard:
                    self._fault = unreachable(self._subscription, error)
                return
            except Exception as error:  # noqa: BLE001  a thread that dies says so to nobody
                _LOG.info("pulling from %s failed, and goes on: %s", self._subscription, error)
                with self._guard:
                    self._at_rest = False
                self._closed.wait(pause)
                pause = min(pause * 2, _PAUSE)
                continue
            ack_ids = [each.ack_id for each in received]
            with self._guard:
                self._at_rest = not received
                if not self._closed.is_set():
                    self._buffer.extend(received)
                    self._buffered += sum(len(each.message.data) for each in received)
                    self._out.update(ack_ids)
                    self._due.append((self._clock(), ack_ids))
                    self._guard.notify_all()
                    continue
            with contextlib.suppress(*FAILS):
                self._modify(ack_ids, 0)

    def _pulled(self) -> list[Any]:
        try:
            response = self._client.pull(
                subscription=self._subscription, max_messages=_PULL, timeout=_PULL_TIMEOUT, retry=None
            )
        except exceptions.DeadlineExceeded:  # there was nothing, or nobody: only where somebody is it is at rest
            with contextlib.suppress(exceptions.PermissionDenied):  # somebody who does not let everybody look
                self._client.get_subscription(subscription=self._subscription, timeout=_PULL_TIMEOUT, retry=None)
            return []
        return list(response.received_messages)

    def _keep(self) -> None:
        """Acknowledges what is safe, and extends the deadlines of what is held."""
        while not self._closed.is_set():
            with self._guard:
                if not self._done:
                    self._guard.wait(0.5)
            try:
                self._acknowledge_done()
                self._extend()
            except Exception as error:  # noqa: BLE001  a thread that dies says so to nobody
                _LOG.info("acknowledging to %s failed, and goes on: %s", self._subscription, error)
                self._closed.wait(1.0)

    def _acknowledge_done(self) -> None:
        while self._done:
            with self._guard:
                some = self._done[:_REQUEST]
                del self._done[:_REQUEST]
            try:
                if some:
                    self._client.acknowledge(subscription=self._subscription, ack_ids=some, timeout=10.0)
            except BaseException:
                with self._guard:
                    self._done += some
                raise
            with self._guard:
                self._out.difference_update(some)

    def _extend(self) -> None:
        while True:
            with self._guard:
                if not self._due or self._due[0][0] > self._clock():
                    return
                due, ack_ids = self._due.popleft()
                ack_ids = [ack_id for ack_id in ack_ids if ack_id in self._out]
            try:
                self._modify(ack_ids, _LEASE)
            except BaseException:
                with self._guard:
                    self._due.appendleft((due, ack_ids))
                raise
            if ack_ids:
                with self._guard:
                    self._due.append((self._clock() + _LEASE / 3, ack_ids))

    def _modify(self, ack_ids: Iterable[str], seconds: int) -> None:
        remaining = iter(ack_ids)
        while some := list(itertools.islice(remaining, _REQUEST)):
            self._client.modify_ack_deadline(
                subscription=self._subscription, ack_ids=some, ack_deadline_seconds=seconds, timeout=10.0
            )


def _seconds(text: str) -> float:
    """Since 1970, of milliseconds since then or of a time of ISO 8601, as Google's readers take them."""
    if text.isdecimal():
        return int(text) / 1e3
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError(f"a time needs a zone, got {text}")
    return at.timestamp()
