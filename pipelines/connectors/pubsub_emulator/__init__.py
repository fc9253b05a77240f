"""A Pub/Sub of one's own, for development and tests: what is published stays in memory, until it is acknowledged."""

from pipelines.connectors.pubsub_emulator.server import Emulator

__all__ = ["Emulator"]
