"""Kafka topics, read and written in Python alone.

    kafka://host:9092[,host:9092]/topic?group=words&start=earliest

`start` is where reading begins, where nothing says where it was: earliest, latest, stored (what the group committed),
or a time. The positions that count are in the checkpoints of a runner or the state of a run; with a group they are
committed, too, for whoever looks at lags. Where Kafka has deleted what comes next, that is an error, unless `gaps=skip`
says to go on with a warning. `username=`, `password=env:NAME` or `file:PATH`, `ca=` and `mechanism=` turn on SASL over
TLS.

To write, `key=` names the field whose value is the key of a message; without it the key is a digest of the content.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import apache_beam as beam

from pipelines.connectors.addresses import parse_address, secret
from pipelines.connectors.feeds import LiveInput, Mark
from transforms.parsing import parse_time

_PORT = 9092
_CHECK = 8.0  # seconds
_STARTS = ("earliest", "latest", "stored")


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Where brokers are, and as whom to speak to them. Holds references to secrets, never secrets."""

    servers: str
    username: str | None = None
    password: str | None = None
    ca: str | None = None
    mechanism: str = "PLAIN"

    @property
    def settings(self) -> dict[str, Any]:
        """What librdkafka must know of it."""
        settings: dict[str, Any] = {"bootstrap.servers": self.servers, "log_level": 0}
        if self.username is not None:
            settings |= {"sasl.mechanism": self.mechanism, "sasl.username": self.username}
            settings["sasl.password"] = secret(self.password or "")
        if self.username is not None or self.ca:
            settings["security.protocol"] = "SASL_SSL" if self.username is not None else "SSL"
        return settings | ({"ssl.ca.location": self.ca} if self.ca else {})


@dataclass(frozen=True, kw_only=True)
class KafkaTopic(LiveInput):
    """The partitions of a topic, or some of them; each is a shard."""

    cluster: Cluster
    topic: str
    group: str | None = None
    start: str = "earliest"
    skip_gaps: bool = False
    partitions: tuple[int, ...] | None = None  # all, those that will be made later as well

    @property
    def source(self) -> str:
        return f"kafka://{self.cluster.servers}/{self.topic}"

    def check(self) -> None:
        from pipelines.connectors.kafka_feed import partitions_of  # noqa: PLC0415  an extra

        partitions_of(self.cluster, self.topic, _CHECK)

    def open(self, mark: Mark | None) -> Any:
        from pipelines.connectors.kafka_feed import KafkaFeed  # noqa: PLC0415

        return KafkaFeed(self, mark)

    def split(self, desired: int) -> list[LiveInput]:
        from pipelines.connectors.kafka_feed import partitions_of  # noqa: PLC0415

        there = partitions_of(self.cluster, self.topic, _CHECK)
        shares = [tuple(there[first::desired]) for first in range(min(desired, len(there)))]
        return [replace(self, partitions=share) for share in shares]


_CLUSTER = {"username": str, "password": str, "ca": str, "mechanism": str}


def input_of(uri: str) -> KafkaTopic:
    """What an address to read says."""
    _require_library()
    reading = {"group": str, "start": _start, "gaps": {"fail": False, "skip": True}.__getitem__}
    cluster, topic, values = _parts(uri, reading)
    if values.get("start") == "stored" and "group" not in values:
        raise ValueError("start=stored goes on where a group committed: name it, as group=words")
    values["skip_gaps"] = values.pop("gaps", False)
    return KafkaTopic(cluster=cluster, topic=topic, **values)


def write_to(uri: str) -> beam.PTransform:
    """What an address to write says: PCollection[T] -> PCollection[WrittenFile]."""
    _require_library()
    from pipelines.connectors.write_kafka import WriteKafka  # noqa: PLC0415

    cluster, topic, values = _parts(uri, {"key": str})
    return WriteKafka(cluster, topic, values.get("key"))


def _parts(uri: str, known: dict[str, Any]) -> tuple[Cluster, str, dict[str, Any]]:
    parts, values = parse_address(uri, _CLUSTER | known)
    topic = parts.path.strip("/")
    if not parts.netloc or not topic or "/" in topic:
        raise ValueError(f"a topic is named as kafka://host:port/topic, got {uri!r}")
    servers = ",".join(one if ":" in one else f"{one}:{_PORT}" for one in parts.netloc.split(","))
    cluster = {name: values.pop(name) for name in list(values) if name in _CLUSTER}
    if cluster.get("username") is not None:
        secret(cluster.get("password", ""))  # it must be there, and is read again where it is needed
    return Cluster(servers=servers, **cluster), topic, values


def _start(text: str) -> str:
    if text not in _STARTS:
        parse_time(text)
    return text


def start_time(start: str) -> datetime | None:
    """The time that reading starts at; None where it is no time."""
    return None if start in _STARTS else parse_time(start)


def _require_library() -> None:
    try:
        import confluent_kafka  # noqa: F401, PLC0415
    except ImportError as error:
        raise ValueError("'kafka://' needs more than is installed: pip install 'streamsketch[kafka]'") from error
