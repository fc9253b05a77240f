"""Files that appear in a directory: each is handed on once, whenever it comes and wherever the reader begins again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.utils.timestamp import MAX_TIMESTAMP, Timestamp

from pipelines.connectors import draining, read
from pipelines.connectors.watch_files import _Directory, _Reader, _Seen
from transforms.parsing import parse_text


@pytest.fixture(autouse=True)
def _not_draining() -> Iterator[None]:
    draining.forget()
    yield
    draining.forget()


class Clock:
    """A clock that is set by hand."""

    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def names(reader: _Reader) -> list[str]:
    """What the reader hands on until it has nothing left."""
    found = []
    while reader.advance():
        (split,) = reader.get_current()
        found.append(Path(split.source).name)
    return found


def test_every_file_is_handed_on_once_when_it_appears(tmp_path: Path) -> None:
    for name in ("b.txt", "a.txt", ".c.txt", "_d.txt"):
        (tmp_path / name).touch()
    clock = Clock()
    reader = _Reader(str(tmp_path), _Seen((), 0.0), clock)
    assert names(reader) == ["a.txt", "b.txt"]
    (tmp_path / ".c.txt").rename(tmp_path / "c.txt")
    assert names(reader) == []  # it looks once a second
    clock.now += 1
    assert names(reader) == ["c.txt"]


def test_a_reader_begins_again_where_the_one_before_was(tmp_path: Path) -> None:
    (tmp_path / "a.txt").touch()
    (tmp_path / "b.txt").touch()
    first = _Reader(str(tmp_path), _Seen((), 0.0), Clock())
    assert first.start()
    coder = _Directory(str(tmp_path)).get_checkpoint_mark_coder()
    mark = coder.decode(coder.encode(first.get_checkpoint_mark()))
    assert names(_Reader(str(tmp_path), mark, Clock())) == ["b.txt"]


def test_the_watermark_follows_the_clock_and_never_goes_back(tmp_path: Path) -> None:
    clock = Clock()
    reader = _Reader(str(tmp_path), _Seen((), 0.0), clock)
    assert not reader.start()
    assert reader.get_watermark() == Timestamp(1_000_000)
    clock.now += 10
    (tmp_path / "a.txt").touch()
    assert names(reader) == ["a.txt"]
    assert reader.get_current_timestamp() == reader.get_watermark() == Timestamp(1_000_010)
    assert reader.get_current()[0].stamp == 1_000_010_000_000  # which is what a gate takes for the watermark
    clock.now -= 5
    assert names(reader) == []
    assert reader.get_watermark() == Timestamp(1_000_010)


def test_a_source_that_drains_ends_after_the_last_file(tmp_path: Path) -> None:
    reader = _Reader(str(tmp_path), _Seen((), 0.0), Clock())
    assert not reader.start()
    (tmp_path / "late.txt").touch()
    draining.ask()
    assert reader.advance()  # it looks once more, at once
    assert reader.get_watermark() < MAX_TIMESTAMP
    assert not reader.advance()
    assert reader.get_watermark() == MAX_TIMESTAMP


@pytest.mark.parametrize("runner", ["FnApiRunner", "BundleBasedDirectRunner", "DirectRunner"])
def test_runners_that_wait_for_the_end_are_refused(tmp_path: Path, runner: str) -> None:
    with pytest.raises(ValueError, match=r"has no end, and \w+ tells no window before .* --runner PrismRunner"):
        _ = beam.Pipeline(runner=runner) | read(f"watch:{tmp_path}", parse_text)


def test_a_limit_needs_an_end() -> None:
    with pytest.raises(ValueError, match="a limit needs an input with an end, got 'watch:in/'"):
        read("watch:in/", parse_text, limit=3)
