"""Stored bytes of every kind, damaged: outside the seal they are refused, inside it they are refused or make sense."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import pytest

from transforms.sketches import SealError, load
from transforms.sketches.sealing import seal, unseal

GOLDEN = sorted((Path(__file__).parents[2] / "data" / "golden").glob("*.bin"))
DAMAGES = 10_000


def damaged(data: bytes, rng: random.Random) -> bytes:
    """With a bit turned, a word replaced, an end cut off, or bytes put in."""
    image, at = bytearray(data), rng.randrange(len(data))
    match rng.randrange(4):
        case 0:
            image[at] ^= 1 << rng.randrange(8)
        case 1:
            image[at : at + 8] = rng.randbytes(len(image[at : at + 8]))
        case 2:
            del image[at:]
        case _:
            image[at:at] = rng.randbytes(1 + rng.randrange(8))
    return bytes(image)


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_no_damaged_image_opens(path: Path) -> None:
    data, rng = path.read_bytes(), random.Random(10)
    for _ in range(DAMAGES // len(GOLDEN)):
        image = damaged(data, rng)
        if image != data:
            with pytest.raises(SealError):
                load(image)


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_damage_under_a_new_seal_is_refused_or_a_sketch_that_stores_and_merges(path: Path) -> None:
    sealed, rng = unseal(path.read_bytes()), random.Random(11)
    for _ in range(DAMAGES // len(GOLDEN)):
        try:
            sketch = load(seal(sealed.kind, dict(sealed.parameters), damaged(sealed.payload, rng)))
        except SealError:
            continue
        again = load(sketch.to_bytes())
        assert again.to_bytes() == sketch.to_bytes()
        try:
            again.merge(sketch)
        except OverflowError:  # counts that are near the limit
            continue
        assert load(again.to_bytes()).parameters == sketch.parameters


def test_counts_that_would_not_fit_their_bytes_after_a_merge_are_refused() -> None:
    for kind, payload in [("count", struct.pack("<Q", 2**63)), ("total", struct.pack("<qH", 1, 2**16 - 1) + b"\1")]:
        with pytest.raises(SealError, match="must"):
            load(seal(kind, {}, payload))
    largest = struct.pack("<q", 2**63 - 1)
    for kind, payload in [("count", largest), ("total", largest + bytes(3))]:
        sketch = load(seal(kind, {}, payload))
        before = sketch.to_bytes()
        with pytest.raises(OverflowError, match="2\\^63"):
            sketch.merge(sketch.copy())
        assert sketch.to_bytes() == before
