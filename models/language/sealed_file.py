"""Arrays and a passport as one safetensors file under a seal, so that reading it executes nothing and trusts nothing.

The passport is one entry of metadata, as JSON; it names the kind of the file, its version, and a SHA-256 over all of
it and the arrays, which is checked before any of it is used. Equal contents are equal files.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

Tensors = Mapping[str, NDArray[Any]]

_LARGEST_HEADER = 16 * 2**20  # bytes
_ADVICE = "train it again, or fetch it again from where it was written"
# What a file of another kind, and a passport of wrong types, cause on the way before they are called by one name.
UNFIT = (SafetensorError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)


class FileError(ValueError):
    """The bytes are not a file that can be trusted."""


def sealed(kind: str, version: int, passport: Mapping[str, Any], tensors: Tensors) -> bytes:
    """The file of a passport and arrays; raises ValueError where the passport is no JSON or larger than 16 MiB.

    >>> opened(sealed("example", 1, {"n": 2}, {"a": np.arange(2)}), "example", 1)
    ({'n': 2}, {'a': array([0, 1])})
    """
    described = {**passport, "format": kind, "version": version}
    arrays = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
    written = canonical(described | {"sha256": _digest(described, arrays)})
    if len(written) > _LARGEST_HEADER // 2:
        raise ValueError(f"a passport must be at most {_LARGEST_HEADER // 2} bytes long, got {len(written)}")
    data: bytes = save(arrays, {"passport": written})
    return data


def opened(data: bytes, kind: str, version: int) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """The passport and the arrays of a file whose seal is whole; raises FileError for anything else."""
    length = int.from_bytes(data[:8], "little")
    if not 0 < length <= min(_LARGEST_HEADER, len(data) - 8):
        raise FileError(
            f"a {kind} file must begin with the length of its header, at most {_LARGEST_HEADER} bytes, got {length} "
            f"in a file of {len(data)}: pass one in safetensors"
        )
    try:
        metadata = json.loads(data[8 : 8 + length])["__metadata__"]
        passport, tensors = json.loads(metadata["passport"]), load(data)
        came, written = (passport.pop("format"), passport.pop("version")), passport.pop("sha256")
        seal = _digest(passport | {"format": came[0], "version": came[1]}, tensors)
    except UNFIT as error:
        raise FileError(f"a {kind} file must hold arrays and a passport, got {error!r}: {_ADVICE}") from error
    if len(metadata) != 1:
        raise FileError(f"a {kind} file must have a passport and no other metadata, got {sorted(metadata)}")
    if came != (kind, version) or isinstance(came[1], bool):
        raise FileError(f"a {kind} file must be of version {version}, got {came}: read it with what wrote it")
    if written != seal:
        raise FileError(f"a {kind} file must have the SHA-256 {written}, got {seal}: it was changed; {_ADVICE}")
    return passport, tensors


def canonical(value: object) -> str:
    """A value as JSON of one form."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _digest(described: Mapping[str, Any], tensors: Tensors) -> str:
    shapes = [[name, tensors[name].dtype.str, tensors[name].shape] for name in sorted(tensors)]
    digest = hashlib.sha256(canonical([described, shapes]).encode())
    for name in sorted(tensors):
        digest.update(tensors[name].data)
    return digest.hexdigest()


def kind_of(data: bytes) -> str:
    """The kind that a file of a passport says it is of, not checked at all; "" where it says none.

    >>> kind_of(sealed("example", 1, {}, {"a": np.arange(2)})), kind_of(b"anything")
    ('example', '')
    """
    length = int.from_bytes(data[:8], "little")
    try:
        return str(
            json.loads(json.loads(data[8 : 8 + min(length, _LARGEST_HEADER)])["__metadata__"]["passport"])["format"]
        )
    except UNFIT:
        return ""
