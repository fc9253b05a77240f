"""Live runs over Pub/Sub on Prism: what is published thrice counts once, and a run that ends leaves nothing behind."""

from __future__ import annotations

import random
import time
import uuid
from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING

import orjson
import pytest

pubsub_v1 = pytest.importorskip("google.cloud.pubsub_v1", reason="needs google-cloud-pubsub (the extra gcp)")

from pipelines.connectors.pubsub_emulator import Emulator  # noqa: E402  what it needs is there now

if TYPE_CHECKING:
    from tests.pipelines.conftest import RunLive

pytestmark = pytest.mark.prism

_WINDOW = 10


def test_words_that_are_published_again_and_again_count_once(
    run_live: RunLive, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic, subscription = "projects/p/topics/texts", "projects/p/subscriptions/words"
    chance = random.Random(7)
    truth: Counter[tuple[int, str]] = Counter()
    with Emulator() as emulator:
        monkeypatch.setenv("PUBSUB_EMULATOR_HOST", emulator.host)
        publisher = pubsub_v1.PublisherClient()
        publisher.create_topic(name=topic)
        with pubsub_v1.SubscriberClient() as subscriber:
            subscriber.create_subscription(name=subscription, topic=topic)
        address = f"pubsub://{subscription}?time=at&id=event&bound=2m"
        flags = ["--input", address, "--output", "-", "--window", f"{_WINDOW}s"]
        with run_live("word_count", *flags) as run:
            begin = time.time()
            sent: list[tuple[float, bytes, str, str]] = []
            for _ in range(2000):
                at, word = begin - chance.uniform(0, 60), f"w{chance.randrange(20)}"
                truth[int(at // _WINDOW) * _WINDOW, word] += 1
                event, text = uuid.uuid4().hex, orjson.dumps({"text": word})
                copies = 3 if chance.random() < 0.2 else 1
                sent += [(at + chance.uniform(0, 60), text, str(int(at * 1000)), event) for _ in range(copies)]
            futures = [publisher.publish(topic, text, at=at, event=event) for _, text, at, event in sorted(sent)]
            for future in futures:
                future.result(timeout=60)
            run.wait_for(lambda: emulator.unacknowledged(subscription) == 0, "all is acknowledged")
            run.press_ctrl_c()
            run.wait_for_the_end()
            said = run.said()
        publisher.stop()
        publisher.transport.close()
    counts: Counter[tuple[int, str]] = Counter()
    for line in said.splitlines():
        if '"word":' in line:  # and not a row of the ledger
            row = orjson.loads(line)
            counts[int(datetime.fromisoformat(row["window_start"]).timestamp()), row["word"]] += row["count"]
    assert counts == truth, said
