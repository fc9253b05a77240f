"""Watches a directory: each file that appears in it is read once, when it is complete.

    watch:logs/

A file is complete when it appears: write it under a name that begins with a dot or an underscore, and rename it. What
is in the directory at the start is read first, in order of name, and so is what appears together.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from pipelines.connectors.addresses import parse_address
from pipelines.connectors.decoding import Split, describe
from pipelines.connectors.feeds import Feed, LiveInput, Mark, Message, Unreachable
from pipelines.connectors.read_files import matches, rows_of
from transforms.parsing import Payload

_POLL = 1.0  # seconds between two looks at the directory


@dataclass(frozen=True)
class WatchedDirectory(LiveInput):
    """Files that appear in a directory, one after the other: they are one shard."""

    path: str

    @property
    def source(self) -> str:
        return f"watch:{self.path}"

    def check(self) -> None:
        try:
            matches(f"{self.path}/")
        except Exception as error:
            raise Unreachable(f"the directory {self.path!r} cannot be watched: {describe(error)}") from error

    def open(self, mark: Mark | None) -> WatchingFeed:
        return WatchingFeed(self.path, mark)


def input_of(uri: str) -> WatchedDirectory:
    """What an address says."""
    parts, _ = parse_address(uri, {})
    return WatchedDirectory(uri.partition("?")[0].removeprefix(f"{parts.scheme}:").rstrip("/"))


class WatchingFeed(Feed):
    """The rows of each file that appears. A record without a time of its own came about when its file was seen."""

    def __init__(self, path: str, mark: Mark | None, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._clock = clock
        self._looked = float("-inf")
        self._waiting: list[str] = []
        self._file: str | None = None
        self._finishing = False
        begun = mark or {"seen": [], "file": None, "position": -1, "at": 0.0}
        self._seen: dict[str, None] = dict.fromkeys(begun["seen"])
        self._at: float = begun["at"]
        self._position: int = begun["position"]
        self._rows: Iterator[tuple[int, Payload]] = iter(())
        if begun["file"]:
            self._begin(begun["file"], self._position)

    def poll(self, most: int) -> list[Message]:
        messages: list[Message] = []
        while len(messages) < most and self._next_file():
            messages += self._read(most - len(messages))
        return messages

    def _next_file(self) -> bool:
        """Whether there is a file to read."""
        if self._file is None and not self._waiting:
            self._look()
        if self._file is None and self._waiting:
            self._begin(self._waiting.pop(0), -1)
        return self._file is not None

    def _look(self) -> None:
        now = self._clock()
        if self._finishing or now - self._looked < _POLL:
            return
        self._looked = now
        self._at = max(self._at, now)  # the clock of a machine may be set back
        self._waiting = sorted(file.path for file in matches(f"{self._path}/") if file.path not in self._seen)

    def _begin(self, name: str, after: int) -> None:
        self._file, self._position = name, after
        self._seen[name] = None
        self._rows = itertools.dropwhile(lambda row: row[0] <= after, rows_of(Split(name)))

    def _read(self, most: int) -> Iterator[Message]:
        """The next rows of the file; where it is damaged, a message that says so."""
        read = 0
        try:
            for position, payload in itertools.islice(self._rows, most):
                self._position = position
                read += 1
                yield Message(payload, position, self._at, source=self._file)
        except Exception as error:  # noqa: BLE001  whatever a damaged file makes a library raise
            problem = f"cannot be read beyond this point: {describe(error)}"
            yield Message(b"", self._position, self._at, source=self._file, problem=problem)
            read = 0
        if read < most:
            self._file = None

    def mark(self) -> Mark:
        return {
            "version": 1,
            "seen": list(self._seen),
            "file": self._file,
            "position": self._position,
            "at": self._at,
        }

    def at_end(self) -> Mapping[str, bool]:
        return {"": self._file is None and not self._waiting}

    def finish(self) -> bool:
        self._looked = float("-inf")
        if not self._waiting:
            self._look()
        self._finishing = True
        return True

    def close(self) -> None:
        self._rows = iter(())
