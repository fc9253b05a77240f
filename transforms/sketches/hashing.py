"""One canonical value, one 64-bit hash: the only file that hashes.

A hash is SipHash-1-3 under a key of 16 bytes (Aumasson and Bernstein 2012), of a value's canonical payload and, after
it, its tag; canonical.py has the table of both. It is the same on every platform, in every process, and for a value
alone or in a vector. Arrow's dictionary-encoded columns hash as their values. Strings and bytes over 1 KiB stand as
their keyed BLAKE2b of 16 bytes, with the tag S and Y.

>>> DEFAULT.hash_one("ana") in DEFAULT.hash_many(["bo", "ana"])
True
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from transforms.sketches.canonical import MISSING, canonical
from transforms.sketches.derived import Hashes
from transforms.sketches.hashed import Hashed
from transforms.sketches.murmur3 import murmur3_many, murmur3_one, murmur3_words
from transforms.sketches.payloads import payloads
from transforms.sketches.ragged import Ragged
from transforms.sketches.siphash import siphash_many, siphash_one, siphash_words

PUBLIC = b"streamsketch 1.0"
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
            return np.ascontiguousarray(values.hashes)
        if isinstance(values, pa.ChunkedArray):
            return np.concatenate([np.empty(0, np.uint64), *map(self.hash_many, values.chunks)])
        if isinstance(values, pa.DictionaryArray):
            return self._hash_dictionary(values)
        items = values if isinstance(values, pa.Array | np.ndarray) else list(values)
        few = isinstance(items, list) and len(items) <= _FEW
        column = None if few else payloads(items, self.normalize)
        if column is None:
            return np.fromiter(map(self.hash_one, items), np.uint64, len(items))
        parts, tag = column
        return self._words(parts, tag) if isinstance(parts, np.ndarray) else self._messages(parts, tag)

    def _hash_dictionary(self, column: pa.DictionaryArray) -> Hashes:
        if column.null_count:
            raise ValueError(MISSING)
        entries, rows = column.dictionary, column.indices.to_numpy(zero_copy_only=False)
        if len(entries) > len(rows):
            return self.hash_many(entries.take(column.indices))
        used = np.zeros(len(entries), np.bool_)  # an entry that no row uses may be null
        used[rows] = True
        hashes = np.zeros(len(entries), np.uint64)
        hashes[used] = self.hash_many(entries if used.all() else entries.filter(pa.array(used)))
        of_rows: Hashes = hashes[rows]
        return of_rows

    def _messages(self, messages: Ragged, tag: int) -> Hashes:
        long = messages.length > _LONG
        if not long.any():
            return self._strings(messages, tag)
        hashes = np.empty(messages.length.size, np.uint64)
        hashes[~long] = self._strings(messages.where(~long), tag)
        hashes[long] = [self._one(payload, tag) for payload in messages.where(long)]
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
        return murmur3_one(payload, self.seed)

    def _words(self, words: Hashes, tag: int) -> Hashes:
        del tag
        return murmur3_words(words, self.seed)

    def _strings(self, messages: Ragged, tag: int) -> Hashes:
        del tag
        if not messages.length.all():
            raise ValueError(_EMPTY)
        return murmur3_many(messages, self.seed)

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
