"""One canonical value, one 64-bit hash: the only file that hashes.

A hash is SipHash-1-3 under a key of 16 bytes (Aumasson and Bernstein 2012), of a value's canonical payload and, after
it, its tag; canonical.py has the table of both. It is the same on every platform, in every process, and for a value
alone or in a vector. Arrow's dictionary-encoded columns hash as their values. Strings and bytes over 1 KiB stand as
their keyed BLAKE2b of 16 bytes, with the tag S and Y.

>>> DEFAULT.hash_one("ana") in DEFAULT.hash_many(["bo", "ana"])
True
"""

from __future__ import annotations

import functools
import hashlib
import os
import struct
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from transforms.sketches.canonical import DECIMAL, MISSING, NO_ZONE, canonical, column_of, require_column
from transforms.sketches.hashed import Hashed
from transforms.sketches.murmur3 import murmur3_many, murmur3_one, murmur3_words
from transforms.sketches.ragged import Ragged
from transforms.sketches.siphash import siphash_many, siphash_one, siphash_words

Hashes = NDArray[np.uint64]

PUBLIC = b"streamsketch 1.0"
_LOW = 2**26 - 1
_FEW = 16  # values: as long as these take one by one takes a vector to begin
_EMPTY = "DataSketches ignores empty strings: drop them first, or name them, as in '(empty)'"
_LONG = 1024  # bytes: beyond, BLAKE2b is faster than a step of the vector for every word


@dataclass(frozen=True, slots=True)
class Hasher:
    """A keyed 64-bit hash of values; sketches of different keys do not merge.

    The default key is public, so its sketches merge everywhere, and whoever wishes can craft items that collide.
    Where items come from strangers take a secret key, by reference: `Hasher.from_environment("SKETCH_KEY")`. A secret
    key is never written: neither into sketches, whose `identity` has a fingerprint, nor into pickles, which carry the
    name of the variable.

    Raises ValueError where the key has not 16 bytes.
    """

    key: bytes = field(default=PUBLIC, repr=False)
    normalize: bool = False  # strings in Unicode's form NFC, so that é is one value however it was typed
    variable: str | None = field(default=None, compare=False)  # of the environment, that holds the key

    def __post_init__(self) -> None:
        if len(self.key) != 16:
            raise ValueError(f"a key must have 16 bytes, got {len(self.key)}: make one with secrets.token_bytes(16)")
        _KNOWN[self.identity] = self

    @classmethod
    def from_environment(cls, variable: str, normalize: bool = False) -> Hasher:
        """The hash whose key is in an environment variable, as 32 hexadecimal digits."""
        text = os.environ.get(variable, "")
        try:
            return cls(bytes.fromhex(text), normalize, variable)
        except ValueError:
            raise ValueError(
                f"{variable} must hold a key of 32 hexadecimal digits, got {len(text)} characters: "
                "make one with secrets.token_hex(16)"
            ) from None

    @staticmethod
    def of(identity: str) -> Hasher:
        """The hash of an identity, if this process knows it; otherwise one that refuses to hash and says why."""
        name, _, seed = identity.partition(":")
        if name in {"murmur3", "murmur3-nfc"} and seed.isdecimal() and len(seed) <= 20:
            return DataSketchesHasher(normalize=name != "murmur3", seed=int(seed))
        return _KNOWN.get(identity) or _UnknownHasher(identity)

    @property
    def identity(self) -> str:
        """What names this hash in a sketch's parameters."""
        fingerprint = hashlib.blake2b(b"fingerprint", key=self.key, digest_size=8).hexdigest()
        return f"siphash13{'-nfc' if self.normalize else ''}:{fingerprint}"

    def hash_one(self, item: Any) -> int:
        """The hash of one value; raises ValueError for what has none."""
        payload, tag = canonical(item, self.normalize)
        return self._one(payload, tag)

    def hashed(self, values: Any) -> Hashed:
        """A column hashed once, for sketches that each take a part of it."""
        return Hashed(self.hash_many(values), self.identity)

    def hash_many(self, values: Any) -> Hashes:
        """The hashes of a numpy array, an Arrow array or a sequence, in its order."""
        if isinstance(values, Hashed):
            if values.identity != self.identity:
                raise ValueError(f"a column must be hashed by {self.identity}, got one hashed by {values.identity}")
            return values.hashes
        if isinstance(values, pa.ChunkedArray):
            return np.concatenate([np.empty(0, np.uint64), *map(self.hash_many, values.chunks)])
        if isinstance(values, np.ndarray) and require_column(values).dtype.kind in "iufb":
            return self._hash_numbers(values)
        items = values if isinstance(values, pa.Array | np.ndarray) else list(values)
        few = isinstance(items, list) and len(items) <= _FEW
        column = None if few else column_of(items)
        if column is None:  # or values of several kinds, or ints of more than 64 bits
            return np.fromiter(map(self.hash_one, items), np.uint64, len(items))
        return self._hash_arrow(column)

    def _hash_numbers(self, column: NDArray[Any]) -> Hashes:
        if column.dtype.kind == "f":
            floats = column.astype(np.float64) + 0.0  # -0.0 + 0.0 is 0.0
            floats[np.isnan(floats)] = np.nan
            return self._words(floats.view(np.uint64), ord("f"))
        if column.dtype == np.uint64 and column.size and int(column.max()) >= 2**63:
            return np.fromiter(map(self.hash_one, column.tolist()), np.uint64, column.size)
        return self._words(column.astype(np.int64).view(np.uint64), ord("b" if column.dtype.kind == "b" else "i"))

    def _hash_arrow(self, column: pa.Array) -> Hashes:
        kind = column.type
        if column.null_count:
            raise ValueError(MISSING)
        if pa.types.is_dictionary(kind):
            # A dictionary may hold entries, nulls among them, that no row uses.
            used = pc.unique(column.indices)
            of_entry = np.zeros(len(column.dictionary), np.uint64)
            of_entry[used.to_numpy(zero_copy_only=False)] = self.hash_many(column.dictionary.take(used))
            hashes: Hashes = of_entry[column.indices.to_numpy(zero_copy_only=False)]
            return hashes
        if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind):
            return self._hash_numbers(column.to_numpy(zero_copy_only=False))
        if _is_text(kind) or _is_binary(kind):
            return self._hash_strings(column, _is_text(kind))
        if pa.types.is_date(kind):
            days = column.cast(pa.date32()).view(pa.int32()).to_numpy()
            return self._words(days.astype(np.int64).view(np.uint64), ord("d"))
        if pa.types.is_timestamp(kind):
            if kind.tz is None:
                raise ValueError(NO_ZONE)
            micros = column.cast(pa.timestamp("us", tz=kind.tz)).view(pa.int64())
            return self._words(micros.to_numpy().view(np.uint64), ord("t"))
        if pa.types.is_decimal(kind):
            raise ValueError(DECIMAL)
        raise ValueError(f"cannot hash a column of {kind}: cast it to numbers, strings, bytes, dates or times in UTC")

    def _hash_strings(self, column: pa.Array, text: bool) -> Hashes:
        if text and self.normalize and not pc.all(pc.string_is_ascii(column.cast(pa.large_string()))).as_py():
            # Not pc.utf8_normalize: up to Arrow 25 its NFC is NFD (apache/arrow issue 51225).
            column = pa.array([unicodedata.normalize("NFC", item) for item in column.to_pylist()], pa.large_string())
        column = column.cast(pa.large_binary())
        if not len(column):
            return np.empty(0, np.uint64)
        _, offsets, data = column.buffers()
        bounds = np.frombuffer(offsets, np.int64, len(column) + 1, column.offset * 8)
        messages = Ragged.of(memoryview(data or b""), bounds)
        long = np.flatnonzero(messages.length > _LONG)
        if not long.size:
            return self._strings(messages, ord("s" if text else "y"))
        hashes = np.empty(len(column), np.uint64)
        short = np.flatnonzero(messages.length <= _LONG)
        hashes[short] = self._strings(
            Ragged(messages.words, messages.start[short], messages.length[short]), ord("s" if text else "y")
        )
        hashes[long] = [self._one(column[int(row)].as_py(), ord("s" if text else "y")) for row in long]
        return hashes

    # What a hash is made of: these three agree on every payload that two of them can take.

    def _one(self, payload: bytes, tag: int) -> int:
        if len(payload) > _LONG:
            payload = hashlib.blake2b(payload, key=self.key, digest_size=16).digest()
            tag = ord(chr(tag).upper())
        return siphash_one(payload, tag, self.key)

    def _words(self, words: Hashes, tag: int) -> Hashes:
        return siphash_words(words, tag, self.key)

    def _strings(self, messages: Ragged, tag: int) -> Hashes:
        return siphash_many(messages, tag, self.key)

    def __reduce__(self) -> tuple[Callable[..., Hasher], tuple[object, ...]]:
        if self.variable is not None:
            return Hasher.from_environment, (self.variable, self.normalize)
        if self.key != PUBLIC:
            raise TypeError("a secret key is not pickled: make the Hasher with Hasher.from_environment(name)")
        return Hasher, (PUBLIC, self.normalize)


@dataclass(frozen=True, slots=True)
class DataSketchesHasher(Hasher):
    """Hashes as Apache DataSketches does, so that sketches unite with those of other engines; not safe from floods.

    MurmurHash3 x64 128 of the bare payload, with no tag: 1 and True are one value, as are "a" and b"a". Of its 128
    bits the hash keeps the lowest 26 of the first word and the highest 38 of the second, which are those that a
    HyperLogLog of DataSketches uses. The empty string, which DataSketches ignores, and ints of more than 64 bits are
    refused with ValueError.
    """

    seed: int = 9001

    def __post_init__(self) -> None:
        if self.key != PUBLIC or not 0 <= self.seed < 2**64:
            raise ValueError(f"DataSketches hashes by a seed from 0 to 2^64 - 1 and without a key, got {self.seed}")
        _KNOWN[self.identity] = self

    @property
    def identity(self) -> str:
        return f"murmur3{'-nfc' if self.normalize else ''}:{self.seed}"

    def _one(self, payload: bytes, tag: int) -> int:
        if tag == ord("I"):
            raise ValueError("DataSketches hashes ints of 64 bits only: add larger ones as strings")
        if not payload:
            raise ValueError(_EMPTY)
        first, second = murmur3_one(payload, self.seed)
        return first & _LOW | second & ~_LOW

    def _words(self, words: Hashes, tag: int) -> Hashes:
        del tag
        return _interoperable(*murmur3_words(words, self.seed))

    def _strings(self, messages: Ragged, tag: int) -> Hashes:
        del tag
        if not messages.length.all():
            raise ValueError(_EMPTY)
        return _interoperable(*murmur3_many(messages, self.seed))

    def __reduce__(self) -> tuple[Callable[..., Hasher], tuple[object, ...]]:
        return DataSketchesHasher, (PUBLIC, self.normalize, None, self.seed)


@dataclass(frozen=True, slots=True)
class _UnknownHasher(Hasher):
    """Stands for a key that this process has not: sketches load, answer and merge, and refuse to add."""

    name: str = ""

    def __init__(self, identity: str) -> None:
        object.__setattr__(self, "name", identity)
        object.__setattr__(self, "key", PUBLIC)
        object.__setattr__(self, "normalize", False)
        object.__setattr__(self, "variable", None)

    @property
    def identity(self) -> str:
        return self.name

    def hash_one(self, item: Any) -> int:
        del item
        raise ValueError(
            f"this sketch was made with the hash {self.name}, whose key is not known here: "
            "make that Hasher first, for example with Hasher.from_environment(name)"
        )

    def hash_many(self, values: Any) -> Hashes:
        return np.array([self.hash_one(values)])

    def __reduce__(self) -> tuple[Callable[..., Hasher], tuple[object, ...]]:
        return Hasher.of, (self.name,)


_KNOWN: dict[str, Hasher] = {}  # by identity, so that a stored sketch finds its hash again
DEFAULT = Hasher()
Hasher(normalize=True)
DataSketchesHasher()


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _is_binary(kind: pa.DataType) -> bool:
    return any(
        test(kind)
        for test in (
            pa.types.is_binary,
            pa.types.is_large_binary,
            pa.types.is_fixed_size_binary,
            pa.types.is_binary_view,
        )
    )


def _interoperable(first: Hashes, second: Hashes) -> Hashes:
    return first & np.uint64(_LOW) | second & ~np.uint64(_LOW)


# More hashes from one.


def double_hashes(hashes: Hashes, count: int, width: int) -> NDArray[np.int64]:
    """For each hash `count` places below `width`, shape (count, n), by double hashing.

    Kirsch and Mitzenmacher, Less hashing, same performance (2006). `width` is at most 2^32.
    """
    low, high = hashes & np.uint64(0xFFFFFFFF), hashes >> np.uint64(32) | np.uint64(1)
    places = np.empty((count, hashes.size), np.int64)
    for row in places:
        # The high part of a product scales 32 bits to below the width without a division (Lemire 2019).
        row[:] = (low & np.uint64(0xFFFFFFFF)) * np.uint64(width) >> np.uint64(32)
        low = low + high
    return places


def lanes(hashes: Hashes, count: int) -> Iterator[Hashes]:
    """`count` further 64-bit hashes of each, one lane after another, by multiply-shift (Dietzfelbinger 1997).

    The high bits of a lane are the random ones. The constants are fixed for ever.
    """
    for lane in range(count):
        factor, summand = _lane(lane)
        yield hashes * factor + summand


@functools.cache
def _lane(number: int) -> tuple[np.uint64, np.uint64]:
    digest = hashlib.blake2b(struct.pack("<Q", number), digest_size=16, key=b"lanes").digest()
    factor, summand = struct.unpack("<QQ", digest)
    return np.uint64(factor | 1), np.uint64(summand)
