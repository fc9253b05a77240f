"""Kinds: every sketch can be opened, and has stored bytes that must load for ever."""

from __future__ import annotations

from pathlib import Path

import pytest

from transforms import sketches
from transforms.sketches import SealError, Sketch, kinds, load
from transforms.sketches.sealing import seal

GOLDEN = Path(__file__).parents[2] / "data" / "golden"


def test_every_exported_sketch_is_in_the_table() -> None:
    exported = {getattr(sketches, name) for name in sketches.__all__}
    classes = {item for item in exported if isinstance(item, type) and issubclass(item, Sketch) and item is not Sketch}
    assert {f"{item.__module__}:{item.__name__}" for item in classes} == set(kinds._KINDS.values())
    assert {item.KIND for item in classes} == set(kinds._KINDS)


@pytest.mark.parametrize("kind", kinds._KINDS)
def test_golden_bytes_load_and_are_written_again(kind: str) -> None:
    data = (GOLDEN / f"{kind}-v1.bin").read_bytes()
    assert kind == load(data).KIND
    assert load(data).to_bytes() == data


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(SealError, match="newer streamsketch"):
        load(seal("os", {}, b""))
