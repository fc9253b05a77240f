"""Reads Avro containers a block at a time, in bounded memory, whatever a file says of itself.

fastavro decodes a block; before that, this sees that the block is not larger than a block may be once it is
decompressed, and that its schema cannot make much of nothing (https://avro.apache.org/docs/1.12.0/specification/).
"""

from __future__ import annotations

import bz2
import io
import lzma
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO

import fastavro
import orjson
import pyarrow as pa
from fastavro import _read_py

_BLOCK = 16 * 2**20  # bytes, compressed or not; writers make blocks of some KiB
_BUFFER = 2**16
_HEADER = 2**20  # bytes of the schema and what else stands there
_NODES = 10_000  # types that a schema may consist of when it is written out
_DEPTH = 100  # levels
_MAGIC = b"Obj\x01"
_SYNC = 16


def read_rows(stream: BinaryIO) -> Iterator[Any]:
    """The rows of a container, in order; raises ValueError or what fastavro raises where it is damaged."""
    header, sync = _header(stream)
    # Where a value may hold one of its own type, the compiled decoder follows it beyond the end of its stack.
    decoder = _read_py.reader if recurs(_schema(header)) else fastavro.reader
    return iter(decoder(io.BufferedReader(_Chunks(_plain(stream, header, sync)), _BUFFER)))


def read_schema(stream: BinaryIO) -> Any:
    """The schema of a container, as fastavro parses it; raises ValueError where it has none."""
    return _schema(_header(stream)[0])


def _plain(stream: BinaryIO, header: Mapping[str, bytes], sync: bytes) -> Iterator[bytes]:
    """The same container with blocks that are not compressed, in pieces, each of which was seen to be bounded."""
    codec = header.get("avro.codec", b"null").decode()
    if codec not in _DECOMPRESS:
        raise ValueError(f"the codec must be one of {', '.join(_DECOMPRESS)}, got {codec!r}")
    said = header["avro.schema"]
    yield b"".join([_MAGIC, _varint(1), _varint(11), b"avro.schema", _varint(len(said)), said, _varint(0), sync])
    while first := stream.read(1):
        rows = _long(stream, first)
        data = _read(stream, _long(stream), "a block")
        if _read(stream, _SYNC, "a marker") != sync:
            raise ValueError("a block must end in the marker of the file: bytes are missing, or were added")
        content = _DECOMPRESS[codec](data)
        if len(content) > _BLOCK:
            raise ValueError(f"a block must be of at most {_BLOCK:,} bytes, got more when it was decompressed")
        if not 0 <= rows <= max(len(content), 1):
            raise ValueError(f"a block of {len(content):,} bytes must have as many rows at most, and says {rows:,}")
        yield b"".join([_varint(rows), _varint(len(content)), content, sync])


class _Chunks(io.RawIOBase):
    """A stream of pieces of bytes."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        super().__init__()
        self._pieces = pieces
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = memoryview(piece)
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size


def _header(stream: BinaryIO) -> tuple[dict[str, bytes], bytes]:
    """What a file says of itself, and its marker."""
    if stream.read(len(_MAGIC)) != _MAGIC:
        raise ValueError("cannot read the header: is it an avro file?")
    said: dict[str, bytes] = {}
    left = _HEADER
    while (number := _long(stream)) != 0:
        if number < 0:  # the size of the part follows
            number = -number
            _long(stream)
        for _ in range(min(number, _HEADER)):
            name = _read(stream, _long(stream), "the header")
            value = _read(stream, _long(stream), "the header")
            left -= len(name) + len(value) + 1
            if left < 0:
                raise ValueError(f"the header must be of at most {_HEADER:,} bytes, got more")
            said[name.decode()] = value
    return said, _read(stream, _SYNC, "the header")


def _schema(header: Mapping[str, bytes]) -> Any:
    if "avro.schema" not in header:
        raise ValueError("there must be a schema in the header, and there is none")
    schema = fastavro.parse_schema(orjson.loads(header["avro.schema"]))
    require_bounded(schema)
    return schema


def _read(stream: BinaryIO, size: int, what: str) -> bytes:
    if not 0 <= size <= _BLOCK:
        raise ValueError(f"{what} must be of 0 to {_BLOCK:,} bytes, and says {size:,}")
    data = stream.read(size)
    if len(data) < size:  # not an EOFError, which fastavro takes for the end of the file
        raise ValueError(f"the file ended within {what}")
    return data


def _long(stream: BinaryIO, first: bytes = b"") -> int:
    """A number in Avro's zigzag code of variable length."""
    value = shift = 0
    while shift < 70:
        byte = first or stream.read(1)
        first = b""
        if not byte:
            raise ValueError("the file ended within a number")
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return (value >> 1) ^ -(value & 1)
        shift += 7
    raise ValueError("a number must be of 10 bytes at most")


def _varint(number: int) -> bytes:
    rest, code = number << 1, bytearray()
    while rest > 0x7F:
        code.append(rest & 0x7F | 0x80)
        rest >>= 7
    return bytes([*code, rest])


def _snappy(data: bytes) -> bytes:
    size = shift = 0
    for byte in data[:5]:
        size |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    if size > _BLOCK:
        return bytes(_BLOCK + 1)
    content: bytes = pa.Codec("snappy").decompress(data[:-4], size, asbytes=True)  # a checksum follows
    if zlib.crc32(content).to_bytes(4, "big") != data[-4:]:
        raise ValueError("a block must have the checksum that it says")
    return content


def _zstandard(data: bytes) -> bytes:
    with pa.CompressedInputStream(pa.BufferReader(data), "zstd") as stream:
        content: bytes = stream.read(_BLOCK + 1)
        return content


# As many bytes as a block may have, and one more where there are more.
_DECOMPRESS: Mapping[str, Callable[[bytes], bytes]] = {
    "null": lambda data: data,
    "deflate": lambda data: zlib.decompressobj(-15).decompress(data, _BLOCK + 1),
    "bzip2": lambda data: bz2.BZ2Decompressor().decompress(data, _BLOCK + 1),
    "xz": lambda data: lzma.LZMADecompressor(memlimit=2 * _BLOCK).decompress(data, _BLOCK + 1),
    "snappy": _snappy,
    "zstandard": _zstandard,
}


_LEAST = {"null": 0, "float": 4, "double": 8}  # bytes of a value


def require_bounded(schema: Any) -> None:
    """Raises ValueError for a parsed schema that a few bytes could make endless."""
    _require_bounded(schema, {}, 0)


def _require_bounded(schema: Any, known: dict[str, tuple[int, int]], depth: int) -> tuple[int, int]:
    """How many types a parsed schema is when it is written out, and of how many bytes a value is at least.

    Raises ValueError for what a few bytes could make endless: many of nothing, and what doubles at each level.
    """
    if depth > _DEPTH:
        raise ValueError(f"a schema must be of at most {_DEPTH} levels, got more")
    if isinstance(schema, str):
        return known.get(schema, (1, _LEAST.get(schema, 1)))
    if isinstance(schema, list):
        return _counted([_require_bounded(part, known, depth + 1) for part in schema]), 1
    kind, name = schema["type"], schema.get("name", "")
    match kind:
        case "record" | "error":
            parts = [_require_bounded(field["type"], known, depth + 1) for field in schema["fields"]]
            known[name] = _counted(parts), sum(least for _, least in parts)
        case "array" | "map":
            nodes, least = _require_bounded(schema["items" if kind == "array" else "values"], known, depth + 1)
            if kind == "array" and least == 0:
                raise ValueError("an array must hold something, and one of this schema holds nothing, however often")
            known[name] = _counted([(nodes, least)]), 1
        case "fixed":
            known[name] = 1, schema["size"]
        case _:
            known[name] = (
                (1, _LEAST.get(kind, 1)) if isinstance(kind, str) else _require_bounded(kind, known, depth + 1)
            )
    return known[name]


def recurs(schema: Any) -> bool:
    """Whether a value of a parsed schema may hold one of its own type."""
    return _recurs(schema, frozenset())


def _recurs(schema: Any, within: frozenset[str]) -> bool:
    """Whether a type holds itself, or one that it is `within`."""
    match schema:
        case str():
            return schema in within
        case list():
            return any(_recurs(part, within) for part in schema)
        case {"fields": fields, "name": name}:
            return any(_recurs(field["type"], within | {name}) for field in fields)
        case {"items": inner} | {"values": inner} | {"type": inner}:
            return _recurs(inner, within)
    return False


def _counted(parts: list[tuple[int, int]]) -> int:
    nodes = 1 + sum(nodes for nodes, _ in parts)
    if nodes > _NODES:
        raise ValueError(f"a schema must be of at most {_NODES:,} types when it is written out, got more")
    return nodes
