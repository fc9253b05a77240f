"""Runs a Pub/Sub on this machine, for trying things out: no account, no credentials, nothing kept.

    python -m pipelines pubsub_emulator --port 8085

Programs that use Google's client libraries find it by the line that is printed first; topics and subscriptions are
created through those libraries. Port 8085 is where Google's own is. It listens to this machine alone, until
Ctrl-C, and keeps everything in memory.
"""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Console

from pipelines.options import Options as BaseOptions
from pipelines.options import UsageError, option


@dataclass(frozen=True, kw_only=True)
class Options(BaseOptions):
    """Where to listen."""

    port: int = option("the port to listen on; 0 takes one that is free", default=0)


def run(options: Options, flags: list[str], console: Console) -> None:
    """Says where it is, and serves until it is interrupted."""
    if flags:
        raise UsageError(f"pubsub_emulator runs no pipeline, so it takes no flags of Beam, got {' '.join(flags)}")
    try:
        from pipelines.connectors.pubsub_emulator import Emulator  # noqa: PLC0415  needs google-cloud-pubsub

        emulator = Emulator(options.port)
    except ImportError as error:
        raise UsageError("this needs google-cloud-pubsub: pip install 'streamsketch[gcp]'") from error
    except ValueError as error:
        raise UsageError(str(error)) from error
    with emulator:
        console.print(f"export PUBSUB_EMULATOR_HOST={emulator.host}", highlight=False, soft_wrap=True)
        emulator.wait()
