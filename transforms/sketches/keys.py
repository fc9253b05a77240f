"""The keys of a map of sketches: which there are, how items are grouped by them, and how they are stored.

A key is a string, an int, None, or a tuple of these.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

Key: TypeAlias = str | int | tuple[str | int | None, ...] | None


def group_pairs(pairs: Iterable[tuple[Any, Any]]) -> Iterator[tuple[Key, list[Any]]]:
    """Each key with its items, in the order in which they came; raises ValueError for what is no key."""
    groups: dict[Key, list[Any]] = {}
    for key, item in pairs:
        groups.setdefault(_plain(key), []).append(item)
    return iter(groups.items())


def group_columns(batch: pa.RecordBatch | pa.Table) -> Iterator[tuple[Key, pa.Array]]:
    """Each key of the first column with its items, of the second."""
    if batch.num_columns != 2:
        raise ValueError(f"a batch must have two columns, of keys and of items, got {batch.schema.names}: select them")
    table = pa.Table.from_batches([batch]) if isinstance(batch, pa.RecordBatch) else batch
    keys, items = (column.combine_chunks() for column in table.columns)
    if pa.types.is_dictionary(keys.type):
        keys = keys.cast(keys.type.value_type)
    encoded = keys.dictionary_encode(null_encoding="encode")
    codes = encoded.indices.to_numpy()
    order = np.argsort(codes, kind="stable")
    items, bounds = items.take(pa.array(order)), np.searchsorted(codes[order], np.arange(len(encoded.dictionary) + 1))
    for key, begin, end in zip(encoded.dictionary.to_pylist(), bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        yield _plain(key), items[begin:end]


def _plain(key: Any) -> Key:
    """A key that can be stored; True, which Python takes for 1, is none."""
    parts = [
        part.item() if isinstance(part, np.generic) else part for part in (key if isinstance(key, tuple) else (key,))
    ]
    if not all(type(part) in {str, int, type(None)} for part in parts):
        raise ValueError(f"a key must be a string, an int, None, or a tuple of these, got {key!r}: convert it")
    return tuple(parts) if isinstance(key, tuple) else parts[0]


def write_key(key: Key) -> bytes:
    """A key as bytes, equal keys as equal bytes.

    >>> write_key(("en", 1)), read_key(b'["en",1]')
    (b'["en",1]', ('en', 1))
    """
    return json.dumps(key, separators=(",", ":")).encode()


def read_key(data: bytes) -> Key:
    """The key that was written; raises ValueError for any other bytes."""
    try:
        read = json.loads(data)
    except RecursionError as error:
        raise ValueError("a key must be flat: these bytes were changed") from error
    key = _plain(tuple(read) if isinstance(read, list) else read)
    if write_key(key) != data:
        raise ValueError(f"a key must be written in one way, got {data!r} for {key!r}")
    return key
