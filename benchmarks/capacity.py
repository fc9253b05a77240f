"""What docs/capacity.md reckons with: CPU seconds for messages to become Arrow batches, and a worker's memory.

    python -m benchmarks.capacity

Messages are JSON of 200 bytes with a time, a key, a user, a word and a latency, all of which are read, in blocks of
1,000, as a live source hands them on. CPU seconds are medians of five rounds. Reading through Pub/Sub's own messages,
as Dataflow's workers get them, needs pip install 'streamsketch[gcp]'.
"""

from __future__ import annotations

import argparse
import random
import resource
import statistics
import time
from collections.abc import Callable

import orjson
from apache_beam.utils.timestamp import Timestamp

from pipelines.connectors.feeds import Message
from pipelines.connectors.live_decoding import AsBatches
from pipelines.connectors.pubsub import message_of
from pipelines.connectors.write_store import sketches_of
from transforms.columnar import _MeasureBundle
from transforms.measures import parse_measures
from transforms.partials import Partial, PartialCoder
from transforms.tables import Field
from transforms.windowing import WindowPolicy

_BLOCK = 1000
_FIELDS = (
    Field("at", "time"), Field("key", "text"), Field("user", "any"), Field("word", "any"), Field("latency", "number"),
)  # fmt: skip


def payloads(number: int) -> list[bytes]:
    """JSON of 200 bytes each."""
    draw = random.Random(1)  # noqa: S311
    rows = [
        {"at": 1_772_366_400_000 + n, "key": f"k{draw.randrange(10_000)}", "user": f"u{draw.randrange(10**6):07}",
         "word": f"w{draw.randrange(10**5)}", "latency": round(draw.lognormvariate(3, 1), 3)}
        for n in range(number)
    ]  # fmt: skip
    bare = [orjson.dumps(row) for row in rows]
    return [orjson.dumps({**row, "rest": "x" * (200 - 10 - len(text))}) for row, text in zip(rows, bare, strict=True)]


def a_million(work: Callable[[], None], number: int) -> float:
    """CPU seconds of work on so many messages, for a million of them."""
    rounds = []
    for _ in range(6):
        began = time.process_time()
        work()
        rounds.append(time.process_time() - began)
    return statistics.median(rounds[1:]) * 1e6 / number


def decode(messages: list[Message]) -> None:
    """Messages into batches, as a source does it."""
    decoding = AsBatches(_FIELDS)
    for first in range(0, len(messages), _BLOCK):
        batches, times, rejects = decoding.decode(messages[first : first + _BLOCK], "benchmark")
        if len(batches) != 1 or rejects or len(times) != _BLOCK:
            raise RuntimeError(f"a block must be one batch without rejects, got {len(batches)} and {rejects[:1]}")


def receive(serialized: list[bytes]) -> None:
    """Pub/Sub's messages into ours, as a worker of Dataflow does it."""
    at = Timestamp(1_772_366_400)
    for each in serialized:
        message_of(each, at)


def bundles(texts: list[bytes], number: int) -> list[Partial]:
    """What so many bundles know of one window: how many, how many users, quantiles of latency, frequent words."""
    measures = parse_measures(["count", "distinct:user@0.02", "quantiles:latency=0.5,0.99", "top:word=20@0.002"])
    sketched = list(sketches_of(measures).values())
    size = len(texts) // number
    told = []
    for place in range(number):
        messages = [Message(text, 0, 0.0) for text in texts[place * size : (place + 1) * size]]
        batches, _, _ = AsBatches(_FIELDS).decode(messages, "benchmark")
        bundle = _MeasureBundle(("key",), sketched, WindowPolicy("1d"), "at", 1)
        bundle.start_bundle()
        for batch in batches:
            list(bundle.process(batch))
        told += [each.value[1] for each in bundle.finish_bundle()]
    return told


def unite(partials: list[Partial]) -> None:
    """Partials sent, received and united, as between two workers."""
    coder = PartialCoder()
    Partial.united([coder.decode(coder.encode(partial)) for partial in partials])


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=100_000)
    number = parser.parse_args().messages
    texts = payloads(number)
    messages = [Message(text, position, 1_772_366_400.0) for position, text in enumerate(texts)]
    print(f"JSON into batches      {a_million(lambda: decode(messages), number):.2f} CPU s a million")
    try:
        from google.cloud import pubsub  # noqa: PLC0415  an extra
    except ImportError:
        print("Pub/Sub                needs streamsketch[gcp]")
    else:
        whole = [
            pubsub.types.PubsubMessage.serialize(pubsub.types.PubsubMessage(data=text, message_id=str(place)))
            for place, text in enumerate(texts)
        ]
        print(f"Pub/Sub's messages     {a_million(lambda: receive(whole), len(whole)):.2f} CPU s a million")
    partials = bundles(texts, 32)
    rows = sum(len(partial.columns[0]) for partial in partials)
    once = a_million(lambda: unite(partials), rows)
    sealed = sum(len(PartialCoder().encode(partial)) for partial in partials)
    print(f"partials united        {once:.2f} CPU s a million rows, {sealed / rows:,.0f} bytes a row")
    print(f"memory of the process  {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MB at most")


if __name__ == "__main__":
    main()
