"""Rows of a table by pane and key, with whole arrays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from transforms.sketches import DEFAULT
from transforms.sketches.cells import ranked
from transforms.sketches.sorting import stable_order

Places = NDArray[np.intp]


@dataclass(frozen=True)
class Part:
    """The rows of one pane and shard: their keys, each once, and where they stand in the order of `Parts`."""

    end: int  # of the pane, microseconds since 1970
    shard: int
    keys: pa.Table
    size: int  # how many keys


@dataclass(frozen=True)
class Parts:
    """Rows by pane and shard; within each part, the place of each row's key among those of the part."""

    parts: list[Part]
    of_row: Places
    key_of_row: Places

    @classmethod
    def of(cls, table: pa.Table, by: Sequence[str], pane_ends: NDArray[np.int64], shards: int) -> Parts:
        """The parts of a table, given the end of each row's pane; a key is always in the same shard of `shards`."""
        encoded = pa.array(pane_ends).dictionary_encode()
        keys, key_of_row = distinct_rows(table.select(by), table.num_rows)
        shard_of_key = _shards(keys, shards) if shards > 1 and by else np.zeros(max(keys.num_rows, 1), np.intp)
        order = np.arange(shard_of_key.size)
        if shards > 1:  # keys in the order of their shards, so that a part is a run of groups
            order = stable_order(shard_of_key, shards)
            rank = np.empty_like(order)
            rank[order] = np.arange(order.size)
            key_of_row = rank[key_of_row]
        cells = encoded.indices.to_numpy().astype(np.intp) * order.size + key_of_row
        group_of_row, groups = ranked(cells, len(encoded.dictionary) * order.size)
        pane, key = np.divmod(groups, order.size)
        key = order[key]
        starts = np.flatnonzero(np.diff(pane * shards + shard_of_key[key], prepend=-1))
        part_of_group = np.repeat(np.arange(starts.size), np.diff(starts, append=groups.size))
        ends = encoded.dictionary.to_numpy()[pane[starts]].tolist()
        parts = [
            Part(end, shard, keys.take(pa.array(places)), places.size)
            for end, shard, places in zip(
                ends, shard_of_key[key[starts]].tolist(), np.split(key, starts[1:]), strict=True
            )
        ]
        key_of_group = np.arange(groups.size) - starts[part_of_group]
        return cls(parts, part_of_group[group_of_row], key_of_group[group_of_row])

    def split(self, values: Any, rows: Places | None) -> Iterator[tuple[Any, Places]]:
        """The values of each part, and the place of each one's key; `rows` tells which row a value is of.

        Without it there is a value a row. Values are what has `take` and `slice`.
        """
        part, key = (self.of_row, self.key_of_row) if rows is None else (self.of_row[rows], self.key_of_row[rows])
        if (part[1:] < part[:-1]).any():
            order = stable_order(part, len(self.parts))
            values, key = values.take(pa.array(order)), key[order]
        end = 0
        for count in np.bincount(part, minlength=len(self.parts)).tolist():
            start, end = end, end + count
            yield values.slice(start, count), key[start:end]


def distinct_rows(table: pa.Table, size: int) -> tuple[pa.Table, Places]:
    """The rows of a table that differ, and the place among them of each; nulls are equal, as are rows of no column.

    >>> rows, places = distinct_rows(pa.table({"lang": ["en", None, "en"], "device": [1, 1, 1]}), 3)
    >>> rows.to_pylist(), places.tolist()
    ([{'lang': 'en', 'device': 1}, {'lang': None, 'device': 1}], [0, 1, 0])
    """
    places = np.zeros(size, np.intp)
    dictionaries: list[pa.Array] = []
    codes: list[Places] = []
    for column in table.columns:
        values = column.combine_chunks()
        if pa.types.is_dictionary(values.type):
            values = values.cast(values.type.value_type)
        encoded = values.dictionary_encode(null_encoding="encode")
        count, code = len(encoded.dictionary), encoded.indices.to_numpy(zero_copy_only=False)
        dictionaries.append(encoded.dictionary)
        if len(dictionaries) == 1:
            places, present = code.astype(np.intp), np.arange(count)
        else:
            places, present = ranked(places * count + code, len(codes[0]) * count)
        before, value = np.divmod(present, max(count, 1))
        codes = [known[before] for known in codes] + [value]
    columns = [of.take(pa.array(code)) for of, code in zip(dictionaries, codes, strict=True)]
    return pa.Table.from_arrays(columns, table.schema.names), places


def _shards(keys: pa.Table, shards: int) -> Places:
    """The shard of each key, the same in every process and for every width of its types."""
    mixed = np.zeros(keys.num_rows, np.uint64)
    for column in keys.columns:
        values = column.combine_chunks()
        hashes = np.zeros(len(values), np.uint64)
        present = values.is_valid().to_numpy(zero_copy_only=False)
        hashes[present] = _hashes(values.drop_null())
        mixed = mixed * np.uint64(0x9E3779B97F4A7C15) + hashes
    return (mixed >> np.uint64(32)).astype(np.intp) % shards


def _hashes(values: pa.Array) -> NDArray[np.uint64]:
    try:
        return DEFAULT.hash_many(values)
    except ValueError:  # what sketches refuse to hash, because it may be equal to other types
        return DEFAULT.hash_many(values.cast(pa.string()))


def flattened(values: pa.Array) -> tuple[pa.Array, Places | None]:
    """The values of a column without nulls, lists taken apart, and the row of each; None where there is one a row.

    >>> flattened(pa.array([["a", "b"], None, [None, "c"]]))[1]
    array([0, 0, 2])
    """
    rows: Places | None = None
    while (
        pa.types.is_list(values.type) or pa.types.is_large_list(values.type) or pa.types.is_fixed_size_list(values.type)
    ):
        parents = pc.list_parent_indices(values).to_numpy(zero_copy_only=False)
        rows = parents.astype(np.intp) if rows is None else rows[parents]
        values = pc.list_flatten(values)
    if values.null_count:
        valid = np.flatnonzero(values.is_valid().to_numpy(zero_copy_only=False))
        rows = valid if rows is None else rows[valid]
        values = values.drop_null()
    return values, rows


def together(batches: Sequence[pa.RecordBatch]) -> pa.Table:
    """Batches as one table; where their types differ, the wider ones count. ArrowTypeError where there is none."""
    tables = [pa.Table.from_batches([batch]) for batch in batches]
    if any(table.schema != tables[0].schema for table in tables):
        tables = [table.cast(pa.schema(map(_decoded, table.schema))) for table in tables]
    return pa.concat_tables(tables, promote_options="permissive")


def _decoded(field: pa.Field) -> pa.Field:
    return field.with_type(field.type.value_type) if pa.types.is_dictionary(field.type) else field
