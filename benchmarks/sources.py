"""How many messages a CPU second of one core each live source takes in, as batches and record by record.

    python -m benchmarks.sources

Messages are JSON of some 130 bytes that wait at their system, which runs in another process; CPU seconds are those of
the process that reads and decodes them, without a runner. Batches are columns of three fields, records are texts with
times. Each figure is the median of three.
"""

from __future__ import annotations

import argparse
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from urllib.parse import urlsplit

from confluent_kafka import Producer
from google.cloud import pubsub_v1

from pipelines.connectors import generate, kafka, pubsub, stdin, tcp, watch_files
from pipelines.connectors.generate import Generated
from pipelines.connectors.live_decoding import AsBatches, AsRecords, Decoding
from pipelines.connectors.pubsub_emulator import Emulator
from pipelines.connectors.read_live import LiveReader, LiveSource, pace_of
from transforms.parsing import parse_text
from transforms.tables import Field

_MESSAGES = 100_000
_ROUNDS = 3
_BLOCKS_A_MARK = 10
_TOPIC, _SUBSCRIPTION = "projects/p/topics/t", "projects/p/subscriptions/s"
_FIELDS = Field("time", "time"), Field("user", "any"), Field("latency", "number")
_DECODINGS: dict[str, Decoding] = {"batches": AsBatches(_FIELDS), "records": AsRecords.by(parse_text)}
_SYSTEMS = {
    "generate": generate, "kafka": kafka, "pubsub": pubsub, "socket": tcp, "stdin": stdin, "watch": watch_files,
}  # fmt: skip


def lines() -> list[bytes]:
    """The messages, as a generator of load makes them."""
    source = Generated(start=1_400_000_000.0, events=2000, limit=_MESSAGES)
    return [source.payload(number) for number in range(_MESSAGES)]


def read(uri: str, kind: str) -> float:
    """Reads all messages of an address; how many a CPU second."""
    uri, pace = pace_of(uri)
    source = LiveSource(_SYSTEMS[urlsplit(uri).scheme].input_of(uri), _DECODINGS[kind], pace, whole=True)
    reader = LiveReader(source, None)
    messages, blocks, begun = 0, 0, time.process_time()
    there = reader.start()
    while messages < _MESSAGES:
        if there:
            messages += reader.get_current().read
            blocks += 1
        if not there or blocks % _BLOCKS_A_MARK == 0:
            reader.get_checkpoint_mark().finalize_checkpoint()
        there = reader.advance()
    used = time.process_time() - begun
    reader.close()
    return messages / used


@contextmanager
def _generated(_sent: list[bytes]) -> Iterator[str]:
    yield f"generate://?events=2000&start=2014-07-01T00:00:00Z&limit={_MESSAGES}"


@contextmanager
def _watched(sent: list[bytes]) -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        for number in range(0, len(sent), 10_000):
            Path(folder, f"{number:07}.jsonl").write_bytes(b"\n".join(sent[number : number + 10_000]))
        yield f"watch:{folder}"


@contextmanager
def _served(sent: list[bytes]) -> Iterator[str]:
    content = b"\n".join(sent) + b"\n"
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.sendall(content)
                connection.recv(1)  # until the reader has gone

        threading.Thread(target=serve, daemon=True).start()
        yield f"socket://127.0.0.1:{listening.getsockname()[1]}"


@contextmanager
def _produced(sent: list[bytes]) -> Iterator[str]:
    """A broker that librdkafka plays itself, in this process."""
    producer = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "unused", "log_level": 0, "linger.ms": 50})
    (broker,) = producer.list_topics(timeout=10).brokers.values()
    for number, line in enumerate(sent):
        producer.produce("t", line, partition=number % 4)
        if number % 10_000 == 0:
            producer.flush(60)
    producer.flush(60)
    yield f"kafka://{broker.host}:{broker.port}/t"
    producer.flush(1)


@contextmanager
def _published(sent: list[bytes]) -> Iterator[str]:
    with Emulator() as emulator:
        os.environ["PUBSUB_EMULATOR_HOST"] = emulator.host
        with pubsub_v1.PublisherClient() as publisher, pubsub_v1.SubscriberClient() as subscriber:
            publisher.create_topic(name=_TOPIC)
            subscriber.create_subscription(name=_SUBSCRIPTION, topic=_TOPIC)
            for future in [publisher.publish(_TOPIC, line) for line in sent]:
                future.result(timeout=120)
        yield f"pubsub://{_SUBSCRIPTION}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints messages a CPU second for each source."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--read", nargs=2, metavar=("URI", "KIND"), help=argparse.SUPPRESS)
    asked = parser.parse_args(arguments)
    if asked.read:
        print(f"{read(*asked.read):.0f}")
        return
    sent = lines()
    places = {"generate": _generated, "watch": _watched, "socket": _served, "kafka": _produced, "pubsub": _published}
    print(f"{'messages a CPU second':24} {'batches':>10} {'records':>10}")
    for name in [*places, "stdin"]:
        found: dict[str, list[float]] = {kind: [] for kind in _DECODINGS}
        for kind in list(found) * _ROUNDS:
            with places[name](sent) if name in places else nullcontext("stdin:") as uri:  # what is taken may be gone
                command = [sys.executable, "-m", "benchmarks.sources", "--read", uri, kind]
                content = b"\n".join(sent) + b"\n" if name == "stdin" else None
                done = subprocess.run(command, input=content, capture_output=True, check=True)  # noqa: S603  itself
                found[kind].append(float(done.stdout))
        medians = (f"{statistics.median(each):>10,.0f}" for each in found.values())
        print(f"{name:24} {' '.join(medians)}", flush=True)


if __name__ == "__main__":
    main()
