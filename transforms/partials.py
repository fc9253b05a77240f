"""What a bundle knows of a pane and shard: its keys, and for each measure a column of sketches, one a key."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import apache_beam as beam
import numpy as np
import pyarrow as pa

from transforms.grouping import distinct_rows
from transforms.schemas import BatchCoder
from transforms.sketches import SketchColumn, load_column, unite
from transforms.sketches.pieces import join_pieces, split_pieces

_TOGETHER = 32  # partials that wait to be united


@dataclass(frozen=True)
class Partial:
    """Keys, one a row, and the sketches of each measure in their order; there is one row of no column without keys."""

    keys: pa.Table
    columns: tuple[SketchColumn, ...]

    @classmethod
    def united(cls, partials: Sequence[Partial]) -> Partial:
        """The partial of all that these are of."""
        if len(partials) == 1:
            return partials[0]
        sizes = [len(partial.columns[0]) for partial in partials]
        together = pa.concat_tables([partial.keys for partial in partials], promote_options="permissive")
        keys, places = distinct_rows(together, sum(sizes))
        size = keys.num_rows if keys.num_columns else 1
        split = np.split(places, np.cumsum(sizes)[:-1])
        measures = zip(*(partial.columns for partial in partials), strict=True)
        return cls(keys, tuple(unite(list(zip(columns, split, strict=True)), size) for columns in measures))


class PartialCoder(beam.coders.Coder):
    """A partial between workers: a version byte, keys as an Arrow stream, and columns sealed; never a pickle."""

    VERSION = b"\x01"

    def encode(self, value: Partial) -> bytes:
        (keys,) = value.keys.combine_chunks().to_batches() or [pa.RecordBatch.from_pylist([], value.keys.schema)]
        columns = [column.to_bytes() for column in value.columns]
        return self.VERSION + join_pieces([BatchCoder().encode(keys), *columns])

    def decode(self, encoded: bytes) -> Partial:
        if encoded[:1] != self.VERSION:
            raise ValueError(f"a stored partial must be of version {self.VERSION!r}, got {encoded[:1]!r}: drain first")
        keys, *columns = split_pieces(encoded[1:])
        return Partial(pa.Table.from_batches([BatchCoder().decode(keys)]), tuple(map(load_column, columns)))

    def is_deterministic(self) -> bool:
        return False  # the same keys may come in another order

    @classmethod
    def from_type_hint(cls, typehint: object, registry: object) -> PartialCoder:
        del typehint, registry
        return cls()

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self)  # Beam keeps one of equal coders

    def __hash__(self) -> int:
        return hash(type(self))


beam.coders.registry.register_coder(Partial, PartialCoder)


class _WaitingCoder(PartialCoder):
    """The partials of an accumulator, united; of none nothing."""

    def encode(self, value: list[Partial]) -> bytes:  # type: ignore[override]
        return super().encode(Partial.united(value)) if value else b""

    def decode(self, encoded: bytes) -> list[Partial]:  # type: ignore[override]
        return [super().decode(encoded)] if encoded else []


class UnitePartials(beam.CombineFn):
    """Partials -> the one of all of them, or None where there is none; many are united at once."""

    def create_accumulator(self) -> list[Partial]:
        return []

    def add_input(self, accumulator: list[Partial], partial: Partial) -> list[Partial]:
        return self.merge_accumulators([accumulator, [partial]])

    def merge_accumulators(self, accumulators: Iterable[list[Partial]]) -> list[Partial]:
        waiting: list[Partial] = []
        for accumulator in accumulators:
            waiting += accumulator
            if len(waiting) >= _TOGETHER:
                waiting = [Partial.united(waiting)]
        return waiting

    def extract_output(self, accumulator: list[Partial]) -> Partial | None:
        return Partial.united(accumulator) if accumulator else None

    def get_accumulator_coder(self) -> beam.coders.Coder:
        return _WaitingCoder()
