"""Lines over TCP and of standard input: cut anywhere, lost connections, logs that outlive their process."""

from __future__ import annotations

import os
import random
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipelines.connectors.feeds import Feed, Message, Unreachable
from pipelines.connectors.lines import MAX_LINE
from pipelines.connectors.received import Cutter
from pipelines.connectors.stdin import Stdin
from pipelines.connectors.stdin import input_of as stdin_of
from pipelines.connectors.tcp import Tcp, input_of


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(20)
        yield listening


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    yield reading, writing
    os.close(reading)


def _poll_until(feed: Feed, enough: Callable[[list[Message]], bool]) -> list[Message]:
    found: list[Message] = []
    end = time.monotonic() + 20
    while not enough(found):
        assert time.monotonic() < end, f"only {len(found)} messages came"
        found += feed.poll(100)
        time.sleep(0.002)
    return found


def _payloads(feed: Feed, number: int) -> list[bytes]:
    found = _poll_until(feed, lambda found: len(found) >= number)
    return [message.payload for message in found if isinstance(message.payload, bytes)]


def test_lines_are_the_same_however_they_come() -> None:
    chance = random.Random(3)
    lines = [bytes(chance.choices(b"abc \r", k=chance.randrange(9))) for _ in range(300)]
    content, cutter, found = b"\n".join(lines), Cutter(), []
    while content:
        size = chance.randrange(1, 12)
        found += cutter.lines(content[:size])
        content = content[size:]
    assert [*found, *cutter.rest()] == (lines if lines[-1] else lines[:-1])


def test_an_endless_line_takes_no_memory_and_comes_cut() -> None:
    cutter = Cutter()
    assert all(not cutter.lines(b"x" * 2**16) for _ in range(40))
    assert len(cutter.rest()[0]) == MAX_LINE + 1  # one byte more than a record may have, so that it is rejected
    assert [len(line) for line in cutter.lines(b"xx\nshort\n")] == [MAX_LINE + 1, 5]


def test_a_lost_connection_is_made_again_and_an_incomplete_line_is_dropped(server: socket.socket) -> None:
    feed = Tcp("127.0.0.1", server.getsockname()[1]).open(None)
    try:
        with server.accept()[0] as connection:
            connection.sendall(b"one\ntwo\r\n\nthr")
            assert _payloads(feed, 2) == [b"one", b"two"]
        with server.accept()[0] as connection:
            connection.sendall(b"four\n")
            assert _payloads(feed, 1) == [b"four"]
            _poll_until(feed, lambda found: not found and feed.at_end()[""])
        server.close()
        _poll_until(feed, lambda found: not found and not feed.at_end()[""])
    finally:
        feed.close()


def test_what_was_not_acknowledged_comes_again_out_of_the_log(server: socket.socket, tmp_path: Path) -> None:
    tcp = Tcp("127.0.0.1", server.getsockname()[1], str(tmp_path))
    feed = tcp.open(None)
    with server.accept()[0] as connection:
        connection.sendall(b"".join(b"%d\n" % n for n in range(500)))
        first = _payloads(feed, 200)
        mark, polled = feed.mark(), len(first)
        feed.acknowledge(mark)
        _payloads(feed, 500 - polled)
    feed.close()
    feed = tcp.open(None)  # it was noted where to go on
    assert _payloads(feed, 500 - polled) == [b"%d" % n for n in range(polled, 500)]
    with server.accept()[0] as connection:
        connection.sendall(b"more\n")
        assert _payloads(feed, 1) == [b"more"]
    feed.close()


def test_standard_input_ends_and_its_last_line_counts(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    feed = Stdin(descriptor=reading).open(None)
    os.write(writing, b"one\ntwo")
    assert _payloads(feed, 1) == [b"one"]
    assert not feed.ended()
    os.close(writing)
    assert _payloads(feed, 1) == [b"two"]
    assert feed.ended()
    feed.close()


def test_a_sender_waits_while_nothing_is_polled(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    os.set_blocking(writing, False)
    feed = Stdin(descriptor=reading).open(None)
    line, sent, refused = b"x" * 999 + b"\n", 0, 0
    while refused < 100:
        try:
            sent += os.write(writing, line)
            refused = 0
        except BlockingIOError:
            refused += 1
            time.sleep(0.005)
        assert sent < 2**25
    assert sent > 2**24 - 2**17
    os.close(writing)
    got = sum(len(message.payload) + 1 for message in _poll_until(feed, lambda _: feed.ended()))
    assert abs(got - sent) <= 1
    feed.close()


def test_addresses_that_cannot_be_are_refused(server: socket.socket) -> None:
    port = server.getsockname()[1]
    assert input_of(f"socket://[::1]:{port}?log=d") == Tcp("::1", port, "d")
    assert stdin_of("stdin:?log=d") == Stdin("d")
    for uri in ("socket://host", "socket://host:1/path", "socket://:1"):
        with pytest.raises(ValueError, match="socket://host:port"):
            input_of(uri)
    server.close()
    with pytest.raises(Unreachable, match="is the server running"):
        Tcp("127.0.0.1", port).check()
