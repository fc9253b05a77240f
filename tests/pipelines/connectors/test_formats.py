"""Formats: the ending of a name tells the layout, or is refused."""

from __future__ import annotations

import io

import pytest

from pipelines.connectors.containers import Avro, Parquet
from pipelines.connectors.formats import format_of, suffix_of
from pipelines.connectors.lines import Lines
from pipelines.connectors.whole import Whole


@pytest.mark.parametrize(
    ("path", "kind"),
    [("a.jsonl", Lines), ("b/A.JSONL.GZ", Lines), ("c.log", Lines), ("d.avro", Avro), ("e.parquet", Parquet),
     ("f.safetensors", Whole)],
)  # fmt: skip
def test_the_ending_of_a_name_tells_the_format(path: str, kind: type) -> None:
    assert type(format_of(path)) is kind


def test_the_longest_ending_counts() -> None:
    assert suffix_of("a.jsonl.gz") == ".jsonl.gz"
    assert format_of("a.jsonl.gz") == Lines(gzipped=True)
    assert suffix_of("gs://bucket/tweets") is None


def test_a_whole_file_holds_exactly_one_element() -> None:
    stream, layout = io.BytesIO(), Whole()
    layout.write(stream, [layout.encode(b"\x00model")])
    assert list(layout.read(io.BytesIO(stream.getvalue()), 0, None)) == [(0, b"\x00model")]
    with pytest.raises(ValueError, match="exactly one element, got 2"):
        layout.write(io.BytesIO(), [b"a", b"b"])
    with pytest.raises(TypeError, match="needs an element of bytes, got str"):
        layout.encode("text")
