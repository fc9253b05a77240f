"""Files that are small and want to become large, deep or endless; run as a program, it reads each of a folder.

For each it prints lines of JSON: what was read and rejected, CPU seconds, and the peak of memory so far in MiB.
"""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import re
import struct
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.testing.test_pipeline import TestPipeline

from pipelines.connectors import read, read_batches
from pipelines.launch.job import keep_state_uncached
from transforms.parsing import parse_tweet
from transforms.tables import Field

_MUCH = 300 * 2**20
_GOOD = b'{"id":"1","created_at":"2014-07-01T00:01:09Z","text":"a"}'
_STRING = {"type": "record", "name": "r", "fields": [{"name": "text", "type": "string"}]}
_SYNC = b"0123456789abcdef"


def _zeros(compress: Callable[[bytes], Any], finish: Callable[[], bytes]) -> bytes:
    """So many zeros, compressed piece by piece."""
    piece = bytes(2**20)
    return b"".join([*(compress(piece) for _ in range(_MUCH // len(piece))), finish()])


def _gzipped(piece: bytes) -> bytes:
    compressor = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join([*(compressor.compress(piece) for _ in range(_MUCH // len(piece))), compressor.flush()])


def _varint(number: int) -> bytes:
    rest, code = number << 1 if number >= 0 else (-number << 1) - 1, bytearray()
    while rest > 0x7F:
        code.append(rest & 0x7F | 0x80)
        rest >>= 7
    return bytes([*code, rest])


def _text(data: bytes) -> bytes:
    return _varint(len(data)) + data


def _avro(schema: Any, rows: int, data: bytes, codec: bytes = b"null", size: int | None = None) -> bytes:
    said = schema if isinstance(schema, bytes) else json.dumps(schema).encode()
    header = b"Obj\x01" + _varint(2) + _text(b"avro.schema") + _text(said) + _text(b"avro.codec") + _text(codec)
    return header + b"\0" + _SYNC + _varint(rows) + _varint(len(data) if size is None else size) + data + _SYNC


def _record(*fields: Any, name: str = "r") -> dict[str, Any]:
    return {"type": "record", "name": name, "fields": [{"name": f"f{n}", "type": of} for n, of in enumerate(fields)]}


def _raw(compressor: Any) -> bytes:
    return _zeros(compressor.compress, compressor.flush)


def _laughs() -> Any:
    schema: Any = _record("null", "null", name="r0")
    for level in range(1, 40):
        schema = _record(schema, f"r{level - 1}", name=f"r{level}")
    return schema


def _nested(levels: int) -> bytes:
    return (
        b'{"type":"record","name":"r","fields":[{"name":"a","type":'
        + b'{"type":"array","items":' * levels
        + (b'"int"' + b"}" * levels + b"}]}")
    )


def _parquet(table: pa.Table, **how: Any) -> bytes:
    stream = io.BytesIO()
    pq.write_table(table, stream, **how)
    return stream.getvalue()


def _nothing(rows: int) -> bytes:
    """Rows of one null each, in a footer that says that there are many more."""
    stream = io.BytesIO()
    schema = pa.schema([pa.field("id", pa.string())])
    with pq.ParquetWriter(stream, schema, compression="zstd") as writer:
        batch = pa.record_batch([pa.nulls(10_000_000, pa.string())], schema=schema)
        for _ in range(rows // len(batch)):
            writer.write_batch(batch, row_group_size=len(batch))
    return stream.getvalue()


def bombs() -> Iterator[tuple[str, bytes]]:
    """The names of the files, and what is in them."""
    yield "endless_line.jsonl.gz", _gzipped(b"x" * 2**20)
    yield "blank_lines.jsonl.gz", _gzipped(b"\n" * 2**20)
    yield "spaces.jsonl.gz", _gzipped(b" " * 1023 + b"\n")
    yield "brackets.jsonl.gz", _gzipped(b"[" * 2**20)
    yield "truncated.jsonl.gz", gzip.compress(_GOOD * 1000)[:-20]
    yield "wrong_checksum.jsonl.gz", gzip.compress(_GOOD)[:-8] + b"\0" * 8
    yield "members.jsonl.gz", gzip.compress(b"\n") * 100_000 + b"no member"
    yield "random.jsonl.gz", b"\x1f\x8b" + bytes(range(256)) * 100
    yield "line_of_32_MiB.jsonl", b'{"text":"' + b"x" * 2**25
    yield "zeros.jsonl", bytes(2**25)
    yield "deep.jsonl", b"[" * 2**20 + b"\n" + b'{"a":' * 150_000
    yield "long_number.jsonl", b'{"created_at":' + b"9" * 1_000_000 + b"}"
    yield "exponent.jsonl", b'{"id":1,"text":"a","created_at":1e999999999}\n{"id":1e400}'
    yield "escapes.jsonl", b'{"text":"' + b"\\u0000" * 170_000 + b'"}'
    yield "many_fields.jsonl", b"{" + b",".join(b'"%d":%d' % (n, n) for n in range(80_000)) + b"}"
    yield "same_field.jsonl", b"{" + b",".join([b'"id":1'] * 140_000) + b"}"
    yield "bzip2.avro", _avro(_STRING, 1, _raw(bz2.BZ2Compressor()), b"bzip2")
    yield "deflate.avro", _avro(_STRING, 1, _raw(zlib.compressobj(9, zlib.DEFLATED, -15)), b"deflate")
    yield "xz.avro", _avro(_STRING, 1, _raw(lzma.LZMACompressor(preset=0)), b"xz")
    yield "zstandard.avro", _avro(_STRING, 1, pa.compress(bytes(_MUCH), "zstd", asbytes=True), b"zstandard")
    yield "snappy.avro", _avro(_STRING, 1, b"\xff\xff\xff\xff\x0f" + bytes(10), b"snappy")
    yield "endless_nulls.avro", _avro(_record("null"), 2**60, b"")
    yield "array_of_nulls.avro", _avro(_record({"type": "array", "items": "null"}), 1, _varint(2**60) + b"\0")
    yield (
        "array_of_empty.avro",
        _avro(_record({"type": "array", "items": _record(name="e")}), 1, _varint(2**60) + b"\0"),
    )
    yield "laughs.avro", _avro(_laughs(), 1, b"\0")
    yield "in_itself.avro", _avro(_record(["null", "r"]), 1, b"\x02" * 1_000_000 + b"\0")
    yield "deep_schema.avro", _avro(_nested(400), 1, b"\0")
    yield "deeper_schema.avro", _avro(_nested(20_000), 1, b"\0")
    yield "long_string.avro", _avro(_STRING, 1, _varint(2**60) + b"a")
    yield "many_rows.avro", _avro(_STRING, 2**60, b"\0" * 1000)
    yield "huge_block.avro", _avro(_STRING, 1, b"\0", size=2**50)
    yield "negative_block.avro", _avro(_STRING, 1, b"\0", size=-5)
    yield "huge_header.avro", b"Obj\x01" + _varint(2**50) + _varint(2**50)
    yield "truncated.avro", _avro(_STRING, 3, b"\x02a" * 3)[:-10]
    yield "nulls.parquet", _nothing(200_000_000)
    yield "one_string.parquet", _parquet(pa.table({"text": ["x" * (_MUCH // 3)]}), compression="zstd")
    yield "truncated.parquet", _parquet(pa.table({"id": ["1"]}))[:-9]
    yield "huge_footer.parquet", b"PAR1" + bytes(100) + struct.pack("<I", 2**31 - 1) + b"PAR1"


def tell(number: int, name: str, what: str) -> None:
    """A count of a file, as a line of JSON."""
    print(json.dumps({"name": name, what: number}), flush=True)  # noqa: T201  this is what was asked for


def main(folder: Path) -> None:
    """Reads every file of a folder as tweets and as columns, and counts what comes of it."""
    keep_state_uncached()
    fields = [Field("created_at", "time"), Field("text", "any")]
    for file in sorted(folder.iterdir()):
        begun = time.process_time()
        for make in (lambda path: read(path, parse_tweet), lambda path: read_batches(path, fields)):
            try:
                source = make(str(file))
            except ValueError:  # its schema is not asked for: that is told before anything is read
                tell(1, file.name, "refused")
                continue
            with TestPipeline(runner="FnApiRunner") as pipeline:
                found = pipeline | source
                rejected = found.rejects | "Rejected" >> beam.combiners.Count.Globally()
                _ = rejected | "TellRejected" >> beam.Map(tell, file.name, "rejected")
                _ = found.read | beam.CombineGlobally(sum) | beam.Map(tell, file.name, "read")
        tell(round(time.process_time() - begun, 1), file.name, "seconds")
        (peak,) = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"))
        tell(int(peak) // 1024, file.name, "peak")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
