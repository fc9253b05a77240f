"""The write-ahead log: what was appended is there after any kill and any torn write, and the disk is bounded."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipelines.connectors.feeds import Message, Unreachable
from pipelines.connectors.log import Log

_APPEND_FOREVER = """
import sys
from pipelines.connectors.log import Log
log = Log(sys.argv[1], segment=2000)
while True:
    log.append([(1.0, b"%d" % n) for n in range(log.end, log.end + 7)])
    print(log.end, flush=True)
"""


def _bytes(message: Message) -> bytes:
    assert isinstance(message.payload, bytes)
    return message.payload


def _payloads(log: Log) -> list[bytes]:
    return [_bytes(message) for message in log.read(log.first, 10**6)]


def test_what_was_appended_is_read_in_order_from_any_number(tmp_path: Path) -> None:
    log = Log(str(tmp_path), segment=200)
    for start in range(0, 100, 5):
        log.append([(float(n), b"%d" % n) for n in range(start, start + 5)])
    for number in (0, 1, 37, 99, 100, 3):
        read = log.read(number, 30)
        assert [int(_bytes(message)) for message in read] == list(range(number, min(number + 30, 100)))
        assert [message.position for message in read] == [int(message.written) for message in read]
    log.close()


def test_a_write_torn_at_any_byte_is_cut_and_the_log_goes_on(tmp_path: Path) -> None:
    log = Log(str(tmp_path))
    log.append([(1.0, b"first"), (2.0, b"second")])
    path = next(tmp_path.glob("*.log"))
    whole = path.stat().st_size
    log.append([(3.0, b"third, which is torn")])
    log.close()
    content = path.read_bytes()
    for size in range(whole, len(content)):
        for rest in (b"", bytes(len(content) - size)):  # cut off, or as zeros that were never filled
            path.write_bytes(content[:size] + rest)
            log = Log(str(tmp_path))
            assert _payloads(log) == [b"first", b"second"]
            log.append([(4.0, b"again")])
            assert _payloads(log) == [b"first", b"second", b"again"]
            log.close()


def test_a_kill_at_any_moment_loses_nothing_that_was_appended(tmp_path: Path) -> None:
    chance = random.Random(7)
    told = 0
    for _ in range(5):
        with subprocess.Popen([sys.executable, "-c", _APPEND_FOREVER, str(tmp_path)], stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            first = writer.stdout.readline()  # it has begun
            time.sleep(chance.uniform(0, 0.1))
            writer.send_signal(signal.SIGKILL)
            told = int([first, *(line for line in writer.stdout if line.endswith(b"\n"))][-1])
        log = Log(str(tmp_path))
        assert log.end >= told
        assert _payloads(log) == [b"%d" % n for n in range(log.end)]
        log.close()
    assert told > 7


def test_acknowledged_files_are_removed_and_numbers_go_on(tmp_path: Path) -> None:
    log = Log(str(tmp_path), segment=100)
    for n in range(20):
        log.append([(0.0, bytes(60) + b"%d" % n)])
    log.forget(15)
    assert 10 < log.first <= 15
    log.forget(20)
    log.close()
    log = Log(str(tmp_path))
    assert log.end == 20
    with pytest.raises(Unreachable, match="and not 3"):
        log.read(3, 1)
    with pytest.raises(Unreachable, match="and not 21"):
        log.read(21, 1)
    log.close()


def test_a_full_log_says_so_and_takes_more_once_there_is_room(tmp_path: Path) -> None:
    log = Log(str(tmp_path), most=500, segment=100)
    for _ in range(5):
        log.append([(0.0, bytes(80))])
    with pytest.raises(Unreachable, match="may hold 500 bytes"):
        log.append([(0.0, bytes(80))])
    end = log.end
    assert end == 5
    assert len(_payloads(log)) == end
    log.forget(end)
    log.append([(0.0, b"more")])
    assert log.end == end + 1
    log.close()


def test_a_log_has_one_process(tmp_path: Path) -> None:
    log = Log(str(tmp_path))
    with pytest.raises(Unreachable, match="one reader"):
        Log(str(tmp_path))
    log.close()
    Log(str(tmp_path)).close()


def test_damage_before_the_last_file_is_told(tmp_path: Path) -> None:
    log = Log(str(tmp_path), segment=100)
    for n in range(10):
        log.append([(0.0, bytes(60) + b"%d" % n)])
    log.close()
    path = min(tmp_path.glob("*.log"))
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    log = Log(str(tmp_path))
    with pytest.raises(Unreachable, match="damaged from message"):
        log.read(0, 10)
    log.close()
