"""Publishes records to a Pub/Sub topic, as JSON."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import apache_beam as beam
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.windowed_value import WindowedValue
from google.api_core import exceptions
from google.cloud import pubsub_v1

from pipelines.connectors.back_pressure import writing
from pipelines.connectors.lines import Lines
from pipelines.connectors.pubsub_feed import FAILS, unreachable
from transforms.schemas import WrittenFile

_CHECK = 10.0  # seconds
_PUBLISH = 60.0  # seconds, retries included


class WritePubSub(beam.PTransform):
    """Publishes each record at least once: PCollection[T] -> PCollection[WrittenFile], a topic and how many.

    The attribute `id` is a digest of the content: a record that is published again has the same, so that who reads
    with `id=id` counts it once. Records with the same value of the field `key` are published in order, within a
    bundle. A bundle is done when Pub/Sub has taken all of it; where it did not, the bundle fails, and is tried again.
    """

    def __init__(self, topic: str, key: str | None = None) -> None:
        super().__init__()
        self._topic = topic
        self._key = key

    def expand(self, records: beam.PCollection) -> beam.PCollection:
        self._check()
        return records | "Publish" >> beam.ParDo(_Publish(self._topic, self._key)).with_output_types(WrittenFile)

    def _check(self) -> None:
        client = None
        try:
            client = pubsub_v1.PublisherClient()
            client.get_topic(topic=self._topic, timeout=_CHECK, retry=None)
        except exceptions.PermissionDenied:
            return  # who may publish need not be allowed to look
        except FAILS as error:
            raise unreachable(self._topic, error) from error
        finally:
            if client:
                client.transport.close()


class _Publish(beam.DoFn):
    def __init__(self, topic: str, key: str | None) -> None:
        self._topic = topic
        self._key = key
        self._lines = Lines()
        self._client: Any = None
        self._futures: list[Future[str]] = []
        self._written: Counter[Any] = Counter()

    def start_bundle(self) -> None:
        self._futures, self._written = [], Counter()
        if self._client is None:
            options = pubsub_v1.types.PublisherOptions(enable_message_ordering=self._key is not None)
            self._client = pubsub_v1.PublisherClient(publisher_options=options)

    def process(self, record: Any, window: Any = beam.DoFn.WindowParam) -> None:
        data = self._lines.encode(record)
        digest = hashlib.blake2b(data, digest_size=16).hexdigest()
        self._futures.append(self._client.publish(self._topic, data, ordering_key=self._key_of(record), id=digest))
        self._written[window] += 1

    def _key_of(self, record: Any) -> str:
        if self._key is None:
            return ""
        value = record.get(self._key) if isinstance(record, dict) else getattr(record, self._key)
        return "" if value is None else str(value)

    def finish_bundle(self) -> Iterator[WindowedValue]:
        latest = max((window.max_timestamp().micros for window in self._written), default=0)
        try:
            with writing(latest):
                for future in self._futures:
                    future.result(timeout=_PUBLISH)
        except BaseException as error:
            # After a failure a client takes no more messages of that key: the next try has a client of its own.
            self._client = None
            if isinstance(error, FAILS):
                raise unreachable(self._topic, error) from error
            raise
        for window, records in self._written.items():
            at = GlobalWindow().start if isinstance(window, GlobalWindow) else window.max_timestamp()
            yield WindowedValue(WrittenFile(f"pubsub://{self._topic}", records), at, [window])

    def teardown(self) -> None:
        if self._client is not None:
            self._client.stop()
            self._client.transport.close()
            self._client = None
