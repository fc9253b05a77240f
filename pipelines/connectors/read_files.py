"""Reads records from a file, a glob or a directory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from apache_beam.io.filesystem import CompressionTypes, FileMetadata
from apache_beam.io.filesystems import FileSystems

from pipelines.connectors.decoding import Split
from pipelines.connectors.formats import format_of
from transforms.parsing import Payload

_BYTES_A_SPLIT = 64 * 2**20


def find_splits(uri: str) -> list[Split]:
    """What there is to read, in order of name; ValueError where nothing is, or a name does not tell its format.

    In a directory, names that begin with a dot or an underscore are left out: those are files about the data.
    """
    files = sorted(matches(uri), key=lambda file: file.path)
    if not files:
        raise ValueError(f"no file matches {uri!r}: give a file, a glob such as 'tweets/*.avro', or a directory")
    return [split for file in files for split in _splits(file)]


def rows_of(split: Split) -> Iterator[tuple[int, Payload]]:
    """The payloads of a split of a file, each with its position."""
    with FileSystems.open(split.source, compression_type=CompressionTypes.UNCOMPRESSED) as stream:
        yield from format_of(split.source).read(stream, split.start, split.end)


def matches(uri: str) -> list[FileMetadata]:
    """The files that an address names, in any order."""
    if uri.endswith("/") or Path(uri).is_dir():
        directory = uri.rstrip("/")
        within = FileSystems.match([f"{directory}/**"])[0].metadata_list
        return [file for file in within if not _is_hidden(file.path.removeprefix(directory))]
    if FileSystems.exists(uri):  # before it is taken for a glob: a name may hold brackets
        return [FileSystems.get_filesystem(uri).metadata(uri)]
    return list(FileSystems.match([uri])[0].metadata_list)


def _is_hidden(path: str) -> bool:
    return any(part.startswith((".", "_")) for part in path.split("/"))


def _splits(file: FileMetadata) -> list[Split]:
    if not format_of(file.path).splittable or file.size_in_bytes <= _BYTES_A_SPLIT:
        return [Split(file.path, written=file.last_updated_in_seconds)]
    starts = range(0, file.size_in_bytes, _BYTES_A_SPLIT)
    return [Split(file.path, start, start + _BYTES_A_SPLIT, file.last_updated_in_seconds) for start in starts]
