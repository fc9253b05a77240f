"""The emulator as a command: it says where it is, is there, and goes when it is interrupted."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

pytest.importorskip("google.cloud.pubsub_v1", reason="needs google-cloud-pubsub (the extra gcp)")

_PATIENCE = 60.0  # seconds


def test_the_command_says_where_it_listens_until_it_is_interrupted() -> None:
    import grpc

    command = [sys.executable, "-P", "-m", "pipelines", "pubsub_emulator"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            said, _, host = process.stdout.readline().strip().partition("=")
            assert said == "export PUBSUB_EMULATOR_HOST"
            assert host.startswith("127.0.0.1:")
            with grpc.insecure_channel(host) as channel:
                grpc.channel_ready_future(channel).result(timeout=_PATIENCE)
            process.send_signal(signal.SIGINT)
            assert process.wait(_PATIENCE) == 130
        finally:
            process.kill()
