"""Reads the partitions of a Kafka topic, each message once from the offsets of a mark on."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    TopicPartition,
)
from confluent_kafka import Message as KafkaMessage

from pipelines.connectors.feeds import Feed, Mark, Message, Unreachable
from pipelines.connectors.kafka import Cluster, KafkaTopic, start_time

_LOGGER = logging.getLogger(__name__)
_WAIT = 0.02  # seconds that a poll waits for messages
_LOOK = 30.0  # seconds between two looks for new partitions
_LOOK_AGAIN = 1.0  # seconds, where nothing comes: a broker that hangs looks like one that has nothing
_ASK = 5.0  # seconds for an answer of a broker
_FETCHED = 16 * 2**10  # KiB that wait to be polled, at most
_NOBODY = "streamsketch"  # the group of those who commit nothing: there must be one

_DOWN = {KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT, KafkaError._RESOLVE}  # noqa: SLF001  how they are named
_REFUSED = {KafkaError._AUTHENTICATION, KafkaError._SSL, KafkaError.SASL_AUTHENTICATION_FAILED}  # noqa: SLF001
_FORBIDDEN = {KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.GROUP_AUTHORIZATION_FAILED}
_UNKNOWN = {KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION}  # noqa: SLF001
_GONE = {KafkaError.OFFSET_OUT_OF_RANGE, KafkaError._AUTO_OFFSET_RESET}  # noqa: SLF001


def partitions_of(cluster: Cluster, topic: str, patience: float) -> list[int]:
    """The numbers of the partitions of a topic; raises Unreachable, which says why, within the patience, in seconds."""
    problems: list[KafkaError] = []
    consumer = Consumer(cluster.settings | {"group.id": _NOBODY, "error_cb": problems.append})
    try:
        told = consumer.list_topics(topic, timeout=patience).topics[topic]
    except KafkaException as error:
        consumer.poll(0)  # which tells the problems
        raise unreachable(cluster, topic, [error.args[0], *problems]) from error
    finally:
        consumer.close()
    if told.error is not None:
        raise unreachable(cluster, topic, [told.error])
    return sorted(told.partitions)


def unreachable(cluster: Cluster, topic: str, problems: list[KafkaError]) -> Unreachable:
    """What is to be done about what librdkafka says, in a sentence."""
    codes = {problem.code() for problem in problems}
    detail = problems[-1].str()
    if codes & _REFUSED:
        return Unreachable(f"{cluster.servers} refuses the credentials: {detail}: see username, password and ca")
    if codes & _UNKNOWN:
        return Unreachable(f"there is no topic {topic!r} at {cluster.servers}: create it, or see how it is written")
    if codes & _FORBIDDEN:
        return Unreachable(f"{cluster.servers} forbids to use the topic {topic!r}: {detail}")
    return Unreachable(f"no broker answers at {cluster.servers}: {detail}: is Kafka running there?")


class KafkaFeed(Feed):
    """Messages of the partitions, in order within each. Brokers that are gone are waited for."""

    def __init__(self, of: KafkaTopic, mark: Mark | None) -> None:
        self._of = of
        self._reachable = True
        self._looked = time.monotonic()
        settings: dict[str, Any] = {
            "group.id": of.group or _NOBODY,
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "error",
            "queued.max.messages.kbytes": _FETCHED,
            "error_cb": self._see,
        }
        self._consumer = Consumer(of.cluster.settings | settings)
        self._at_end: dict[int, bool] = {}
        if mark:
            self._next = {int(partition): offset for partition, offset in mark["offsets"].items()}
        else:
            self._next = self._first_offsets(self._partitions())
        self._assign()

    def _partitions(self) -> list[int]:
        return list(self._of.partitions or partitions_of(self._of.cluster, self._of.topic, 2 * _ASK))

    def _first_offsets(self, partitions: list[int]) -> dict[int, int]:
        """Where reading starts, as offsets, so that a mark says it, too."""
        places = [TopicPartition(self._of.topic, partition, OFFSET_BEGINNING) for partition in partitions]
        try:
            if moment := start_time(self._of.start):
                asked = [TopicPartition(self._of.topic, p, int(moment.timestamp() * 1000)) for p in partitions]
                places = self._consumer.offsets_for_times(asked, timeout=_ASK)
            elif self._of.start == "stored":
                places = self._consumer.committed(places, timeout=_ASK)
            bounds = {
                p: self._consumer.get_watermark_offsets(TopicPartition(self._of.topic, p), _ASK) for p in partitions
            }
        except KafkaException as error:
            raise unreachable(self._of.cluster, self._of.topic, [error.args[0]]) from error
        otherwise = 0 if self._of.start in {"earliest", "stored"} else 1  # a time after all messages is the end
        return {at.partition: at.offset if at.offset >= 0 else bounds[at.partition][otherwise] for at in places}

    def _assign(self) -> None:
        self._at_end = {partition: self._at_end.get(partition, False) for partition in self._next}
        self._consumer.assign([TopicPartition(self._of.topic, *place) for place in self._next.items()])

    def poll(self, most: int) -> list[Message]:
        self._look()
        found: list[Message] = []
        for message in self._consumer.consume(most, _WAIT):
            if problem := message.error():
                self._meet(problem, message)
                continue
            partition, offset = int(message.partition() or 0), int(message.offset() or 0)
            self._next[partition] = offset + 1
            self._at_end[partition] = False
            self._reachable = True
            found.append(self._message(message, partition, offset))
        return found

    def _message(self, message: KafkaMessage, partition: int, offset: int) -> Message:
        pairs: Any = message.headers() or ()
        headers = {name: _text(value) for name, value in pairs}
        if (key := message.key()) is not None:
            headers["key"] = _text(key)
        _, milliseconds = message.timestamp()
        source = f"{self._of.source}/{partition}"
        written = milliseconds / 1000
        return Message(message.value() or b"", offset, written, str(partition), attributes=headers, source=source)

    def _meet(self, problem: KafkaError, message: KafkaMessage) -> None:
        """Takes note of the end of a partition, and rides out what passes by."""
        code, partition = problem.code(), int(message.partition() or 0)
        if code == KafkaError._PARTITION_EOF:  # noqa: SLF001
            self._at_end[partition] = True
        elif code in _GONE:
            self._meet_gap(partition)
        elif code in _UNKNOWN | _REFUSED | _FORBIDDEN or problem.fatal():
            raise unreachable(self._of.cluster, self._of.topic, [problem])
        else:
            self._see(problem)

    def _meet_gap(self, partition: int) -> None:
        """What comes next is not there any more: Kafka deleted it, or the topic was made anew."""
        asked = self._next[partition]
        low, high = self._consumer.get_watermark_offsets(TopicPartition(self._of.topic, partition), _ASK)
        what = (
            f"{self._of.source} has offsets {low} to {high} in partition {partition}, and not {asked}, which comes next"
        )
        if not self._of.skip_gaps:
            raise Unreachable(f"{what}: messages are lost; gaps=skip goes on at what is there")
        _LOGGER.warning("%s: going on at what is there", what)
        self._next[partition] = low if asked < low else high
        self._assign()

    def _see(self, problem: KafkaError) -> None:
        if problem.code() in _DOWN:
            self._reachable = False
        _LOGGER.info("%s: %s", self._of.source, problem.str())

    def _look(self) -> None:
        """Looks for new partitions, and whether brokers answer."""
        now = time.monotonic()
        busy = self._reachable and not any(self._at_end.values())
        if now - self._looked < (_LOOK if busy else _LOOK_AGAIN):
            return
        self._looked = now
        try:
            told = self._consumer.list_topics(self._of.topic, timeout=_LOOK_AGAIN / 2).topics[self._of.topic]
        except KafkaException:
            self._reachable = False
            return
        self._reachable = told.error is None
        new = sorted(told.partitions.keys() - self._next.keys()) if self._of.partitions is None else []
        if new:
            self._next |= dict.fromkeys(new, 0)  # nothing of them was there when reading began
            self._assign()

    def mark(self) -> Mark:
        return {"version": 1, "offsets": {str(partition): offset for partition, offset in self._next.items()}}

    def at_end(self) -> Mapping[str, bool]:
        return {str(partition): ends and self._reachable for partition, ends in self._at_end.items()}

    def acknowledge(self, mark: Mark) -> None:
        if self._of.group:
            places = [TopicPartition(self._of.topic, int(p), offset) for p, offset in mark["offsets"].items()]
            try:
                self._consumer.commit(offsets=places, asynchronous=True)
            except (KafkaException, RuntimeError) as error:  # it is for those who look at lags, and the next will come
                _LOGGER.info("%s: offsets were not committed: %s", self._of.source, error)

    def close(self) -> None:
        self._consumer.close()


def _text(data: bytes | str | None) -> str:
    return data.decode("utf-8", "replace") if isinstance(data, bytes) else data or ""
