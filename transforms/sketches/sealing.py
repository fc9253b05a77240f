"""Sketches as bytes that load for ever, or say clearly why they do not.

An image is, little-endian: `SKCH`, format version (1 byte), lengths of kind (1), parameters (2) and payload (8), then
kind (ASCII), parameters (canonical JSON: sorted, no spaces, no NaN), payload, and 8 bytes of BLAKE2b over all of it.
"""

from __future__ import annotations

import functools
import hashlib
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

Parameters: TypeAlias = Mapping[str, int | float | str]

_HEADER = struct.Struct("<4sBBHQ")
_MAGIC = b"SKCH"
_VERSION = 1
_DIGEST = 8
# The key is public: the digest tells damaged bytes and bytes of others from ours, it does not tell friend from foe.
_DIGEST_KEY = b"streamsketch seal 1"
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False)


class SealError(ValueError):
    """Bytes that are no sealed sketch, or not one of the kind that was asked for."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """What an image says: its kind, the version of its format, the sketch's parameters, and its content."""

    kind: str
    version: int
    parameters: Parameters
    payload: bytes


def seal(kind: str, parameters: Parameters, payload: bytes) -> bytes:
    """An image of a sketch; equal arguments give equal bytes.

    Raises ValueError where a parameter is NaN or infinite, or the parameters take 64 KiB or more.

    >>> unseal(seal("count", {"step": 2}, b"abc")).payload
    b'abc'
    """
    name, written = kind.encode("ascii"), _write(tuple(parameters), *parameters.values())
    if len(written) >= 2**16:
        raise ValueError(f"parameters must take less than 64 KiB, got {len(written)} bytes: use fewer or shorter ones")
    header = _HEADER.pack(_MAGIC, _VERSION, len(name), len(written), len(payload))
    body = b"".join((header, name, written, payload))
    return body + _digest(body)


def unseal(data: bytes) -> Sealed:
    """What `seal` was given; raises SealError for anything else, before any length in it is believed."""
    if len(data) < _HEADER.size + _DIGEST:
        raise SealError(
            f"a sealed sketch must have at least {_HEADER.size + _DIGEST} bytes, got {len(data)}: it was cut"
        )
    magic, version, kind_size, written_size, payload_size = _HEADER.unpack_from(data)
    if magic != _MAGIC:
        raise SealError(f"a sealed sketch must begin with {_MAGIC!r}, got {bytes(magic)!r}: pass what to_bytes wrote")
    if version != _VERSION:
        raise SealError(f"a sealed sketch must be of format {_VERSION}, got {version}: use a newer streamsketch")
    expected = _HEADER.size + kind_size + written_size + payload_size + _DIGEST
    if len(data) != expected:
        raise SealError(f"this sealed sketch must have {expected} bytes, got {len(data)}: it was cut or extended")
    if _digest(memoryview(data)[:-_DIGEST]) != data[-_DIGEST:]:
        raise SealError("a sealed sketch must match its digest, and this one does not: its bytes were changed")
    middle = _HEADER.size + kind_size
    end = middle + written_size
    try:
        parameters = _read(bytes(data[middle:end]))
        kind = str(data[_HEADER.size : middle], "ascii")
    except (ValueError, RecursionError) as error:
        raise SealError(f"a sealed sketch must have readable kind and parameters: {error}") from error
    return Sealed(kind, version, parameters, bytes(data[end:-_DIGEST]))


@functools.lru_cache(1024, typed=True)  # 1 and 1.0 are equal, and are written differently
def _write(names: tuple[str, ...], *values: float | str) -> bytes:
    return _ENCODER.encode(dict(zip(names, values, strict=True))).encode()


@functools.lru_cache(1024)  # a store has many sketches of few kinds
def _read(written: bytes) -> Parameters:
    parameters = json.loads(written)
    if not isinstance(parameters, dict) or not all(type(value) in {int, float, str} for value in parameters.values()):
        raise ValueError("parameters must be an object of JSON, of numbers and strings")
    return MappingProxyType(parameters)


def _digest(body: bytes | memoryview) -> bytes:
    return hashlib.blake2b(body, digest_size=_DIGEST, key=_DIGEST_KEY).digest()
