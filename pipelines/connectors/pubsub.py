"""Google Cloud Pub/Sub: reads a subscription, writes to a topic.

    pubsub://projects/P/subscriptions/S?time=ATTRIBUTE&id=ATTRIBUTE&remember=10m&log=DIR
    pubsub://projects/P/topics/T?key=FIELD

The time of a message is an attribute (milliseconds since 1970, or ISO 8601 with a zone) or else when it was published;
its id is an attribute, for those that are published again, or else the one that Pub/Sub gave it. With `log`, messages
are acknowledged when they are on the disk (see Logged), and else when a runner's checkpoint has them. Where
PUBSUB_EMULATOR_HOST is set, that emulator is used, and no credentials are looked for.

Dataflow reads subscriptions by itself, leaves out ids that came again within ten minutes, and takes its watermark from
the attribute `time`: name it wherever the payload has a time, too.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import apache_beam as beam

from pipelines.connectors.addresses import parse_address
from pipelines.connectors.feeds import Feed, LiveInput, Mark, Message
from pipelines.connectors.logged import Logged
from transforms.windows import parse_duration

if TYPE_CHECKING:
    from pipelines.connectors.pubsub_feed import PubSubFeed

_CHECK = 10.0  # seconds
_REMEMBER = 600.0  # seconds
_NATIVE = frozenset({"DataflowRunner"})
_NAME = re.compile(r"projects/[^/]+/(subscriptions|topics)/[^/]+")


@dataclass(frozen=True)
class PubSubInput(LiveInput):
    """A subscription that nobody else reads: read in one place, whatever is redelivered is told once (PubSubFeed)."""

    subscription: str
    time_attribute: str | None = None
    id_attribute: str | None = None
    remember: float = _REMEMBER
    log: str | None = None

    @property
    def source(self) -> str:
        return f"pubsub://{self.subscription}"

    def check(self) -> None:
        from google.cloud import pubsub_v1  # noqa: PLC0415  an extra

        from pipelines.connectors.pubsub_feed import FAILS, unreachable  # noqa: PLC0415

        try:
            with pubsub_v1.SubscriberClient() as client:
                client.get_subscription(subscription=self.subscription, timeout=_CHECK, retry=None)
        except FAILS as error:
            raise unreachable(self.subscription, error) from error

    def open(self, mark: Mark | None) -> Feed:
        from pipelines.connectors.pubsub_feed import knowing  # noqa: PLC0415

        if self.log is None:
            return self._feed(mark)
        return Logged(lambda ids: self._feed(knowing(ids)), self.log, mark, self.remember)

    def _feed(self, mark: Mark | None) -> PubSubFeed:
        from pipelines.connectors.pubsub_feed import PubSubFeed  # noqa: PLC0415

        return PubSubFeed(
            self.subscription,
            mark,
            time_attribute=self.time_attribute,
            id_attribute=self.id_attribute,
            remember=self.remember,
        )

    def native(self, runner: str) -> beam.PTransform | None:
        if runner not in _NATIVE:
            return None
        if self.log is not None or self.remember != _REMEMBER:
            raise ValueError(
                f"{runner} acknowledges messages of {self.source} and remembers their ids by itself: leave out log and "
                "remember"
            )
        return _ReadNative(
            subscription=self.subscription,
            id_label=self.id_attribute,
            timestamp_attribute=self.time_attribute,
            with_attributes=True,
        )

    def kept_in(self, directory: str) -> PubSubInput:
        return replace(self, log=self.log or directory)


class _ReadNative(beam.io.ReadFromPubSub):
    """Reads a subscription as Dataflow does: PBegin -> PCollection[Message].

    Beam makes its own messages of what comes, at 14 µs each; this makes ours at once.
    """

    def expand_continued(self, serialized: beam.PCollection) -> beam.PCollection:
        return serialized | "Message" >> beam.Map(message_of).with_output_types(Message)


def message_of(serialized: bytes, at: Any = beam.DoFn.TimestampParam) -> Message:
    """What Dataflow gave. Ids of Pub/Sub are numbers, and nothing else says where in a subscription a message was."""
    message = _wire_format().FromString(serialized)
    number = int(message.message_id) if message.message_id.isdecimal() else 0
    return Message(message.data, number, at.micros / 1e6, attributes=dict(message.attributes))


@functools.cache
def _wire_format() -> Any:
    from google.cloud import pubsub_v1  # noqa: PLC0415  an extra

    return pubsub_v1.types.PubsubMessage.pb()


def input_of(uri: str) -> PubSubInput:
    """The subscription of an address. Raises ValueError where it names none, or Google's library is missing."""
    parts, values = parse_address(uri, {"time": str, "id": str, "remember": parse_duration, "log": str})
    name = _name(uri, f"{parts.netloc}{parts.path}", "subscriptions")
    return PubSubInput(name, values.get("time"), values.get("id"), values.get("remember", _REMEMBER), values.get("log"))


def write_to(uri: str) -> beam.PTransform:
    """What publishes to the topic of an address. Raises ValueError where it names none."""
    parts, values = parse_address(uri, {"key": str})
    name = _name(uri, f"{parts.netloc}{parts.path}", "topics")
    from pipelines.connectors.write_pubsub import WritePubSub  # noqa: PLC0415  an extra

    return WritePubSub(name, values.get("key"))


def _name(uri: str, name: str, kind: str) -> str:
    found = _NAME.fullmatch(name)
    if not found or found[1] != kind:
        use = "read from a subscription" if kind == "subscriptions" else "written to a topic"
        raise ValueError(f"Pub/Sub is {use}, pubsub://projects/PROJECT/{kind}/NAME, got {uri!r}")
    try:
        import google.cloud.pubsub_v1  # noqa: F401, PLC0415
    except ImportError as error:
        raise ValueError(f"{uri!r} needs more than is installed: pip install 'streamsketch[gcp]'") from error
    return name
