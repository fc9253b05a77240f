"""Files that appear in a directory: each is handed on once, whenever it comes and wherever the feed begins again."""

from __future__ import annotations

import random
from pathlib import Path

import orjson
import pytest

from pipelines.connectors.feeds import Message, Unreachable
from pipelines.connectors.watch_files import WatchingFeed, input_of


class Clock:
    """A clock that is set by hand."""

    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def write(folder: Path, name: str, *lines: str) -> None:
    (folder / f".{name}").write_text("".join(f"{line}\n" for line in lines))
    (folder / f".{name}").rename(folder / name)


def lines(messages: list[Message]) -> list[bytes]:
    return [message.payload for message in messages if isinstance(message.payload, bytes)]


def test_every_file_is_handed_on_once_when_it_appears(tmp_path: Path) -> None:
    write(tmp_path, "b.txt", "3")
    write(tmp_path, "a.txt", "1", "2")
    (tmp_path / ".c.txt").write_text("4\n")
    (tmp_path / "_d.txt").write_text("5\n")
    clock = Clock()
    feed = WatchingFeed(str(tmp_path), None, clock)
    assert lines(feed.poll(10)) == [b"1", b"2", b"3"]
    assert feed.at_end() == {"": True}
    (tmp_path / ".c.txt").rename(tmp_path / "c.txt")
    assert feed.poll(10) == []  # it looks once a second
    clock.now += 1
    (message,) = feed.poll(10)
    assert (message.payload, message.position, message.written) == (b"4", 0, 1_000_001.0)
    assert message.source == str(tmp_path / "c.txt")


def test_a_feed_goes_on_in_the_midst_of_a_file(tmp_path: Path) -> None:
    chance, told = random.Random(5), list[bytes]()
    expected = [f"{file} {line}" for file in range(5) for line in range(40)]
    for file in range(5):
        write(tmp_path, f"{file}.txt", *expected[40 * file : 40 * file + 40])
    feed = WatchingFeed(str(tmp_path), None, Clock())
    while messages := feed.poll(chance.randint(1, 30)):
        told += lines(messages)
        if chance.random() < 0.5:
            feed = WatchingFeed(str(tmp_path), orjson.loads(orjson.dumps(feed.mark())), Clock())
    assert told == [line.encode() for line in expected]


def test_no_more_is_held_than_is_asked_for(tmp_path: Path) -> None:
    write(tmp_path, "a.txt", *map(str, range(100)))
    feed = WatchingFeed(str(tmp_path), None, Clock())
    assert [len(feed.poll(30)) for _ in range(5)] == [30, 30, 30, 10, 0]


def test_a_damaged_file_is_one_message_that_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.avro").write_bytes(b"Obj\x01 and nothing more")
    write(tmp_path, "b.txt", "fine")
    damaged, fine = WatchingFeed(str(tmp_path), None, Clock()).poll(10)
    assert damaged.problem is not None
    assert damaged.problem.startswith("cannot be read beyond this point: ")
    assert fine.payload == b"fine"


def test_the_clock_may_be_set_back_and_times_do_not_follow(tmp_path: Path) -> None:
    clock = Clock()
    feed = WatchingFeed(str(tmp_path), None, clock)
    write(tmp_path, "a.txt", "1")
    assert feed.poll(1)[0].written == 1_000_000.0
    feed = WatchingFeed(str(tmp_path), feed.mark(), clock)
    clock.now -= 50
    write(tmp_path, "b.txt", "2")
    assert feed.poll(1)[0].written == 1_000_000.0


def test_asked_to_end_it_looks_once_more_and_delivers_what_is_there(tmp_path: Path) -> None:
    feed = WatchingFeed(str(tmp_path), None, Clock())
    assert feed.poll(10) == []
    write(tmp_path, "last.txt", "1", "2")
    assert feed.finish()
    write(tmp_path, "too-late.txt", "3")
    assert lines(feed.poll(10)) == [b"1", b"2"]
    assert feed.poll(10) == []


def test_an_address_is_a_directory(tmp_path: Path) -> None:
    live = input_of(f"watch:{tmp_path}/logs/")
    assert live.source == f"watch:{tmp_path}/logs"
    live.check()  # files may come to be there later
    with pytest.raises(Unreachable, match="the directory 'gs://nowhere' cannot be watched"):
        input_of("watch:gs://nowhere").check()
