"""How part files lie in a directory, and what they are called."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from apache_beam.io.filesystems import FileSystems
from apache_beam.transforms.window import GlobalWindow, IntervalWindow
from apache_beam.utils.timestamp import Timestamp

from transforms.schemas import EPOCH


@dataclass(frozen=True)
class Parts:
    """A directory of part files, and how they lie in it."""

    directory: str
    suffix: str
    shards: int = 1  # files that share a window
    by: Literal["day", "hour"] | None = None  # a folder for each, as date=2014-07-01/hour=13, of the begin of windows

    def __post_init__(self) -> None:
        if self.shards < 1:
            raise ValueError(f"shards must be at least 1, got {self.shards}")
        if self.by not in {"day", "hour", None}:
            raise ValueError(f"by must be day or hour, got {self.by!r}")

    def path(self, window: Any, pane: int, shard: int, rows: list[bytes]) -> str:
        """The name of a part file, which tells its window, pane, shard and content."""
        parts = [name_of(window), f"pane{pane}", f"shard{shard}of{self.shards}", digest(rows)]
        folders = [] if self.by is None else [f"{moment(window.start):date=%Y-%m-%d}"]
        if self.by == "hour":
            folders.append(f"{moment(window.start):hour=%H}")
        path: str = FileSystems.join(self.directory, *folders, ".".join(parts) + self.suffix)
        return path


def digest(rows: list[bytes]) -> str:
    """What tells one content from another."""
    digest = hashlib.blake2b(digest_size=8)
    for row in rows:
        digest.update(len(row).to_bytes(8, "big"))
        digest.update(row)
    return digest.hexdigest()


def name_of(window: Any) -> str:
    """The window as it stands in the name of a file: 20140701T000000Z-20140701T010000Z, or all."""
    if isinstance(window, GlobalWindow):
        return "all"
    if isinstance(window, IntervalWindow):
        return f"{_compact(window.start)}-{_compact(window.end)}"
    raise ValueError(f"files are named after windows with a start and an end, got {window!r}")


def _compact(time: Timestamp) -> str:
    at = moment(time)
    fraction = f".{at.microsecond:06d}".rstrip("0") if at.microsecond else ""
    return f"{at:%Y%m%dT%H%M%S}{fraction}Z"


def moment(time: Timestamp) -> datetime:
    """A time of Beam's as one of Python's."""
    return EPOCH + timedelta(microseconds=time.micros)
