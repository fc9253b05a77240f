"""A server that is not there, or refuses, is an error in a sentence, soon, with exit code 1 and without a traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.connectors.pubsub_emulator import Emulator

_NOWHERE = "127.0.0.1:1"  # where nothing listens
_SUBSCRIPTION = "pubsub://projects/p/subscriptions/s"
_TOPIC = "pubsub://projects/p/topics/t"


def said(folder: Path, *flags: str, **environment: str) -> str:
    """What a run says that cannot begin."""
    command = [sys.executable, "-P", "-m", "pipelines", *flags, "--prism_location", "not-needed-yet"]
    own = {name: value for name, value in os.environ.items() if name != "PUBSUB_EMULATOR_HOST"}
    done = subprocess.run(
        command, env=own | environment, cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert list(folder.iterdir()) == []
    return done.stderr


@pytest.mark.parametrize(
    ("source", "why"),
    [
        (f"kafka://{_NOWHERE}/words", f"no broker answers at {_NOWHERE}"),
        (f"socket://{_NOWHERE}", "is the server running?"),
        (f"jetstream://{_NOWHERE}/", "is the name right, and is there a network?"),
        (_SUBSCRIPTION, "needs credentials"),
    ],
)
def test_a_source(tmp_path: Path, source: str, why: str) -> None:
    assert why in said(tmp_path, "word_count", "--input", source, "--output", "out/", NO_GCE_CHECK="true")


@pytest.mark.parametrize(
    ("sink", "why"),
    [(f"kafka://{_NOWHERE}/words", f"no broker answers at {_NOWHERE}"), (_TOPIC, "needs credentials")],
)
def test_a_sink(tmp_path: Path, sink: str, why: str) -> None:
    flags = ["word_count", "--input", "sample:tweets.jsonl", "--output", sink]
    assert why in said(tmp_path, *flags, NO_GCE_CHECK="true")


def test_pubsub_that_is_away_or_does_not_know_the_name(tmp_path: Path) -> None:
    flags = ["word_count", "--input", _SUBSCRIPTION, "--output", "out/"]
    assert "does not answer" in said(tmp_path, *flags, PUBSUB_EMULATOR_HOST=_NOWHERE)
    with Emulator() as emulator:
        wrong = said(tmp_path, *flags, PUBSUB_EMULATOR_HOST=emulator.host)
        assert "has no projects/p/subscriptions/s: create it, or correct the address" in wrong
        flags = ["word_count", "--input", "sample:tweets.jsonl", "--output", _TOPIC]
        assert "has no projects/p/topics/t" in said(tmp_path, *flags, PUBSUB_EMULATOR_HOST=emulator.host)
