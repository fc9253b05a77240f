"""Writes records to a Kafka topic, as JSON."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.windowed_value import WindowedValue
from confluent_kafka import KafkaError, KafkaException, Producer

from pipelines.connectors.back_pressure import writing
from pipelines.connectors.kafka import Cluster
from pipelines.connectors.kafka_feed import partitions_of, unreachable
from pipelines.connectors.lines import Lines
from transforms.schemas import WrittenFile

_CHECK = 8.0  # seconds
_DELIVER = 120.0  # seconds, retries included


class WriteKafka(beam.PTransform):
    """Produces each record at least once: PCollection[T] -> PCollection[WrittenFile], a topic and how many.

    The producer is idempotent, so that its own retries double nothing. The key of a message is the value of the field
    `key`, or a digest of the content: a record that is written again by a repeated bundle has the same. A bundle is
    done when Kafka has taken all of it; where it did not, the bundle fails, and is tried again.
    """

    def __init__(self, cluster: Cluster, topic: str, key: str | None = None) -> None:
        super().__init__()
        self._cluster, self._topic, self._key = cluster, topic, key

    def expand(self, records: beam.PCollection) -> beam.PCollection:
        partitions_of(self._cluster, self._topic, _CHECK)
        produce = beam.ParDo(_Produce(self._cluster, self._topic, self._key))
        return records | "Produce" >> produce.with_output_types(WrittenFile)


class _Produce(beam.DoFn):
    def __init__(self, cluster: Cluster, topic: str, key: str | None) -> None:
        self._cluster, self._topic, self._key = cluster, topic, key
        self._lines = Lines()
        self._producer: Any = None

    def start_bundle(self) -> None:
        self._written: Counter[Any] = Counter()
        self._problems: list[KafkaError] = []
        if self._producer is None:
            settings = {"enable.idempotence": True, "linger.ms": 5, "delivery.timeout.ms": int(_DELIVER * 1000)}
            self._producer = Producer(self._cluster.settings | settings)

    def process(self, record: Any, window: Any = beam.DoFn.WindowParam) -> None:
        value = self._lines.encode(record)
        while True:
            try:
                self._producer.produce(self._topic, value, self._key_of(record, value), on_delivery=self._delivered)
                break
            except BufferError:  # as much waits as may wait
                self._producer.poll(0.1)
        self._producer.poll(0)
        self._written[window] += 1

    def _key_of(self, record: Any, value: bytes) -> bytes:
        if self._key is None:
            return hashlib.blake2b(value, digest_size=16).hexdigest().encode()
        named = record.get(self._key) if isinstance(record, dict) else getattr(record, self._key)
        return b"" if named is None else str(named).encode()

    def _delivered(self, problem: KafkaError | None, _: Any) -> None:
        if problem is not None:
            self._problems.append(problem)

    def finish_bundle(self) -> Iterator[WindowedValue]:
        latest = max((window.max_timestamp().micros for window in self._written), default=0)
        try:
            with writing(latest):
                left = self._producer.flush(_DELIVER)
        except KafkaException as error:
            self._problems.append(error.args[0])
            left = 0
        if left or self._problems:
            self._producer = None  # after a failure the order within a partition is not certain any more
            problems = self._problems or [KafkaError(KafkaError._TIMED_OUT)]  # noqa: SLF001
            raise unreachable(self._cluster, self._topic, problems)
        for window, records in self._written.items():
            at = GlobalWindow().start if isinstance(window, GlobalWindow) else window.max_timestamp()
            yield WindowedValue(WrittenFile(f"kafka://{self._cluster.servers}/{self._topic}", records), at, [window])
