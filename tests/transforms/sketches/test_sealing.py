"""Sealing: damaged bytes are told, and never opened."""

from __future__ import annotations

import random
import struct

import pytest

from transforms.sketches.count_min import CountMin
from transforms.sketches.hyperloglog import HyperLogLog
from transforms.sketches.sealing import SealError, seal, unseal

IMAGE = seal("count_min", {"width": 3, "hash": "x", "error": 0.5}, bytes(range(64)))


def test_what_was_sealed_comes_back() -> None:
    sealed = unseal(IMAGE)
    assert (sealed.kind, sealed.version, sealed.payload) == ("count_min", 1, bytes(range(64)))
    assert sealed.parameters == {"width": 3, "hash": "x", "error": 0.5}
    assert unseal(memoryview(IMAGE)) == unseal(bytearray(IMAGE)) == sealed  # type: ignore[arg-type]


def test_equal_parameters_in_another_order_give_equal_bytes() -> None:
    assert seal("k", {"a": 1, "b": 2}, b"") == seal("k", {"b": 2, "a": 1}, b"")
    with pytest.raises(ValueError, match="JSON compliant"):
        seal("k", {"a": float("nan")}, b"")


def test_every_damaged_image_is_a_clean_error() -> None:
    rng = random.Random(5)
    for _ in range(10_000):
        damaged = bytearray(IMAGE)
        kind = rng.randrange(4)
        if kind == 0:
            damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del damaged[rng.randrange(len(damaged)) :]
        elif kind == 2:
            at = rng.randrange(len(damaged))
            damaged[at : at + 8] = rng.randbytes(8)
        else:
            damaged[rng.randrange(len(damaged)) : 0] = rng.randbytes(1 + rng.randrange(9))
        if bytes(damaged) == IMAGE:
            continue
        with pytest.raises(SealError):
            unseal(bytes(damaged))


def test_a_sealed_lie_is_refused_by_the_sketch() -> None:
    hll = HyperLogLog(4)
    for parameters, payload in [
        ({"precision": 4}, b"\0"),
        ({"precision": 60, "hash": "x"}, b"\0"),
        ({"precision": "4x", "hash": "x"}, b"\0"),
        (hll.parameters, b"\1" + bytes(15)),
        (hll.parameters, b"\1" + bytes([40] * 16)),
        (hll.parameters, b"\0" + struct.pack("<2Q", 2, 1)),
        (hll.parameters, b"\2"),
        (hll.parameters, b""),
    ]:
        with pytest.raises(SealError, match="must hold what HyperLogLog wrote"):
            HyperLogLog.from_bytes(seal("hyperloglog", parameters, payload))


def test_a_kind_is_checked() -> None:
    with pytest.raises(SealError, match="HyperLogLog must be sealed as 'hyperloglog', got 'count_min'"):
        HyperLogLog.from_bytes(CountMin(3, 2).to_bytes())
