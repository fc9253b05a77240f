"""Standard streams: lines in, lines out, and no power over a terminal."""

from __future__ import annotations

import io
import sys
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that, equal_to

from pipelines.connectors import read, write
from pipelines.results import visible
from transforms.parsing import parse_line


class FakeStdin:
    """What sys.stdin is, as far as a reader of bytes can see."""

    def __init__(self, data: bytes) -> None:
        self.buffer = io.BytesIO(data)


def test_standard_input_is_read_up_to_the_limit(in_process: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    stdin = FakeStdin(b"one\ntwo\nthree\n")
    monkeypatch.setattr(sys, "stdin", stdin)
    with in_process() as pipeline:
        assert_that((pipeline | read("-", parse_line, limit=2)).records, equal_to(["one", "two"]))
    assert stdin.buffer.read() == b"three\n"


@pytest.mark.parametrize(("uri", "stream"), [("-", "out"), ("stderr:", "err")])
def test_records_are_printed_in_order(
    in_process: Any, capsys: pytest.CaptureFixture[str], uri: str, stream: str
) -> None:
    with in_process() as pipeline:
        _ = pipeline | beam.Create([{"n": 2}, {"n": 1}]) | write(uri)
    assert getattr(capsys.readouterr(), stream) == '{"n":1}\n{"n":2}\n'


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_control_characters_and_does_not_obey_them(
    in_process: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    with in_process() as pipeline:
        _ = pipeline | beam.Create(["\x1b]0;owned\x07", "tab\tstays"]) | write("-")
    assert terminal.getvalue() == "\\x1b]0;owned\\x07\ntab\tstays\n"


def test_letters_of_any_script_stay_as_they_are() -> None:
    assert visible("日本 مرحبا 👩‍👩‍👧") == "日本 مرحبا 👩‍👩‍👧"
