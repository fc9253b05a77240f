"""Lines: wherever a file is cut into ranges, every line is read once."""

from __future__ import annotations

import gzip
import io
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.connectors import lines
from pipelines.connectors.lines import Lines


def read(data: bytes, start: int = 0, end: int | None = None) -> list[tuple[int, bytes]]:
    return list(Lines().read(io.BytesIO(data), start, end))


@given(st.lists(st.sampled_from([b"a", b"long", b" ", b"\n"]), max_size=40), st.lists(st.integers(0, 80), max_size=5))
def test_ranges_together_read_each_line_once(pieces_of_data: list[bytes], cuts: list[int]) -> None:
    data = b"".join(pieces_of_data)
    bounds = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    pieces = [read(data, start, end) for start, end in itertools.pairwise(bounds)]
    assert list(itertools.chain(*pieces)) == read(data)
    assert [line for _, line in read(data)] == [line for line in data.split(b"\n") if line.strip()]


def test_a_position_is_where_the_line_begins() -> None:
    data = b"one\r\n\n  \nthree"
    assert read(data) == [(0, b"one"), (9, b"three")]
    assert data[9:] == b"three"


def test_a_line_without_an_end_is_cut_and_the_next_one_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "MAX_LINE", 10)
    ((_, first), second) = read(b"x" * 1000 + b"\nnext\n")
    assert 10 < len(first) < 20
    assert second == (1001, b"next")
    assert [line for _, line in read(b"y" * 10 + b"\n")] == [b"y" * 10]


def test_a_gzip_file_that_ends_early_gives_its_whole_lines_first() -> None:
    whole = gzip.compress(b"".join(b"line %d\n" % number for number in range(100_000)))
    reading = Lines(gzipped=True).read(io.BytesIO(whole[: len(whole) // 2]), 0, None)
    seen: list[bytes] = []
    with pytest.raises(EOFError):
        seen.extend(line for _, line in reading)
    assert len(seen) > 10_000
    assert seen == [b"line %d" % number for number in range(len(seen))]


@given(st.lists(st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]))), st.booleans())
def test_what_is_written_is_read(texts: list[str], gzipped: bool) -> None:
    layout, stream = Lines(gzipped=gzipped), io.BytesIO()
    layout.write(stream, [layout.encode(text) for text in texts])
    read_back = [line.decode() for _, line in layout.read(io.BytesIO(stream.getvalue()), 0, None)]
    assert read_back == [text for text in texts if text.encode().strip()]
