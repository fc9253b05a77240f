"""Partials: united in any order and grouping, and stored as bytes that are checked."""

from __future__ import annotations

import random

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pytest

from transforms.grouping import distinct_rows
from transforms.partials import Partial, PartialCoder, UnitePartials
from transforms.sketches import HyperLogLog, LogHistogram, SealError, sketch_column


def partial_of(keys: list[str | None], values: list[float]) -> Partial:
    """What a bundle with these rows knows."""
    rows, places = distinct_rows(pa.table({"key": keys}), len(keys))
    empties = (HyperLogLog(6), LogHistogram())
    return Partial(rows, tuple(sketch_column(empty, pa.array(values), places, rows.num_rows) for empty in empties))


def sealed(partial: Partial) -> dict[str | None, list[bytes]]:
    keys = partial.keys.column("key").to_pylist()
    return {key: [column.sketch(place).to_bytes() for column in partial.columns] for place, key in enumerate(keys)}


def test_any_tree_of_partials_is_the_partial_of_all_rows() -> None:
    chance = random.Random(3)
    rows = [(chance.choice(["en", "ja", "fr", None]), chance.lognormvariate(3, 1)) for _ in range(400)]
    whole = sealed(partial_of(*map(list, zip(*rows, strict=True))))
    unite = UnitePartials()
    for _ in range(50):
        parts = [
            unite.add_input(unite.create_accumulator(), partial_of(*map(list, zip(*rows[at : at + 9], strict=True))))
            for at in range(0, len(rows), 9)
        ]
        coder = unite.get_accumulator_coder()
        while len(parts) > 1:
            chance.shuffle(parts)
            taken = chance.randint(2, 7)
            parts = [*parts[taken:], coder.decode(coder.encode(unite.merge_accumulators(parts[:taken])))]
        united = unite.extract_output(parts[0])
        assert united is not None
        assert sealed(united) == whole


def test_partials_of_no_key_columns_have_one_row() -> None:
    column = sketch_column(HyperLogLog(6), pa.array([1, 2]), np.zeros(2, np.intp), 1)
    none = pa.table({})
    united = Partial.united([Partial(none, (column,))] * 3)
    assert [sketch.estimate().value for sketch in united.columns[0]] == [2.0]
    assert PartialCoder().decode(PartialCoder().encode(united)).columns[0].to_bytes() == united.columns[0].to_bytes()


def test_nothing_is_united_to_nothing() -> None:
    unite = UnitePartials()
    coder = unite.get_accumulator_coder()
    nothing = unite.merge_accumulators([unite.create_accumulator(), coder.decode(coder.encode([]))])
    assert unite.extract_output(nothing) is None


def test_stored_partials_of_another_version_and_damaged_ones_are_refused() -> None:
    data = PartialCoder().encode(partial_of(["en"], [1.0]))
    with pytest.raises(ValueError, match=r"version .*drain first"):
        PartialCoder().decode(b"\x07" + data[1:])
    with pytest.raises(SealError, match="digest"):
        PartialCoder().decode(data[:-1] + bytes([data[-1] ^ 1]))


def test_beam_moves_partials_with_their_coder() -> None:
    assert isinstance(beam.coders.registry.get_coder(Partial), PartialCoder)
