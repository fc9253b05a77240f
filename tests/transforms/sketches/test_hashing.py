"""Hashing: the same value has the same 64 bits, alone or in a column, here or in another process."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
import unicodedata
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from transforms.sketches.canonical import canonical, value_of
from transforms.sketches.derived import double_hashes, lanes
from transforms.sketches.hashing import DEFAULT, DataSketchesHasher, Hasher
from transforms.sketches.ragged import Ragged
from transforms.sketches.siphash import siphash_one

WORDS = [unicodedata.normalize("NFC", "é" * n) + "x" * m for n in range(9) for m in range(9)] + [
    "y" * n for n in (255, 256, 1023, 1024, 1025, 4000)
]
NOON = datetime(2020, 2, 29, 12, 0, 0, 7, tzinfo=UTC)

GOLDEN = [
    "5f6f84c368397a1f",
    "c1d7683825d810e1",
    "eedbfc8e0d52d188",
    "17ff35579bf47d75",
    "237eadc864cf7014",
    "6fe391c999354eae",
    "41556a4eccb49279",
    "c298e2dccfac97ee",
    "25fd03e58db410f9",
]
GOLDEN_ANA = 0xAB9D9999DA9484D2


def test_siphash_is_the_one_of_python_itself() -> None:
    assert sys.hash_info.algorithm == "siphash13"
    messages = [bytes(range(n)) for n in range(1, 41)]
    program = f"print([hash(m) for m in {messages!r}])"
    run = subprocess.run([sys.executable, "-c", program], env={"PYTHONHASHSEED": "0"}, capture_output=True, check=True)
    theirs = [int(text) % 2**64 for text in run.stdout.decode().strip("[]\n").split(",")]
    assert [siphash_one(m[:-1], m[-1], bytes(16)) for m in messages] == theirs


def test_hashes_are_the_same_for_ever() -> None:
    values = [1, True, 1.0, "1", b"1", date(1970, 1, 2), NOON, 2**64, "y" * 2000]
    assert [f"{DEFAULT.hash_one(value):016x}" for value in values] == GOLDEN
    assert DataSketchesHasher().hash_one("ana") == GOLDEN_ANA


@pytest.mark.parametrize("hasher", [DEFAULT, Hasher(bytes(range(16)), normalize=True), DataSketchesHasher()], ids=repr)
@pytest.mark.parametrize(
    ("items", "columns"),
    [
        (
            [-(2**63), -1, 0, 1, 7, 2**63 - 1],
            [np.array([-(2**63), -1, 0, 1, 7, 2**63 - 1]), pa.array([-(2**63), -1, 0, 1, 7, 2**63 - 1])],
        ),
        ([-1, 0, 127], [np.array([-1, 0, 127], np.int8), pa.array([-1, 0, 127], pa.int32())]),
        ([0, 3], [np.array([0, 3], np.uint64), pa.array([0, 3], pa.uint16())]),
        ([True, False], [np.array([True, False]), pa.array([True, False])]),
        (
            [0.0, 1.5, float("inf")],
            [np.array([-0.0, 1.5, np.inf], np.float32), pa.array([-0.0, 1.5, np.inf], pa.float64())],
        ),
        (
            WORDS[1:],
            [
                pa.array(WORDS[1:]),
                pa.array(WORDS[1:], pa.large_string()),
                pa.array(WORDS)[1:],
                pa.array(WORDS, pa.large_string())[1:],
                pa.chunked_array([WORDS[1:20], WORDS[20:]]),
                pa.array([*WORDS[1:], "unused"]).dictionary_encode()[:-1],
                np.array(WORDS[1:]),
                np.array(WORDS[1:], object),
                pa.array(WORDS[1:], pa.string_view()),
            ],
        ),
        ([b"ab", b"\0c"], [pa.array([b"ab", b"\0c"]), pa.array([b"ab", b"\0c"], pa.binary(2))]),
        ([NOON], [pa.array([NOON]), pa.array([NOON], pa.timestamp("ns", tz="Asia/Tokyo"))]),
        ([date(1969, 12, 31)], [pa.array([date(1969, 12, 31)]), pa.array([date(1969, 12, 31)], pa.date64())]),
        ([], [np.array([]), pa.array([], pa.string()), pa.chunked_array([], pa.int64())]),
    ],
    ids=["int64", "narrow", "unsigned", "bool", "float", "str", "bytes", "datetime", "date", "none"],
)
def test_a_value_hashes_alike_alone_and_in_any_column(hasher: Hasher, items: list[Any], columns: list[Any]) -> None:
    alone = [hasher.hash_one(item) for item in items]
    for column in [items, tuple(items), *columns]:
        hashes = hasher.hash_many(column)
        assert hashes.dtype == np.uint64
        assert hashes.tolist() == alone
    assert hasher.hash_many(items * 20).tolist() == alone * 20  # a few values take another way than many


def test_kinds_of_values_are_told_apart() -> None:
    values = [1, True, 1.0, "1", b"1", "\1", date(1970, 1, 2), datetime(1970, 1, 1, 0, 0, 0, 1, tzinfo=UTC), 2**64, ""]
    assert len({DEFAULT.hash_one(value) for value in values}) == len(values)
    assert len(set(DEFAULT.hash_many(values).tolist())) == len(values)


def test_one_value_has_one_hash_however_it_is_written() -> None:
    tokyo = NOON.astimezone(timezone(timedelta(hours=9)))
    for one, two in [(-0.0, 0.0), (float("nan"), -float("nan")), (NOON, tokyo), (np.int8(3), 3), (np.float32(1), 1.0)]:
        assert DEFAULT.hash_one(one) == DEFAULT.hash_one(two)
    composed, decomposed = "é", "e\u0301"
    nfc = Hasher(normalize=True)
    assert nfc.hash_many([decomposed]).tolist() == [nfc.hash_one(decomposed)] == [nfc.hash_one(composed)]
    assert DEFAULT.hash_one(composed) != DEFAULT.hash_one(decomposed)
    assert nfc.identity != DEFAULT.identity


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([None], "drop nulls"),
        (["a", None], "drop nulls"),
        (pa.array([1, None]), "drop nulls"),
        (pa.chunked_array([[1], [None]]), "drop nulls"),
        ([datetime(2020, 1, 1)], "time zone"),
        (np.array(["2020-01-01"], "M8[ns]"), "time zone"),
        (pa.array([datetime(2020, 1, 1)]), "time zone"),
        ([Decimal("1.0")], "Decimal"),
        (pa.array([Decimal("1.0")]), "Decimal"),
        ([("a", "b")], "tuple"),
        (pa.array([["a"]]), "list"),
        (["\ud800"], "surrogates"),
        (np.ma.array([1, 2], mask=[True, False]), "drop nulls"),
        (np.ma.array(["a", "b"], mask=[True, False]), "drop nulls"),
        (np.ones((2, 2)), "one column"),
    ],
)
def test_what_has_no_hash_is_refused_with_advice(values: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        DEFAULT.hash_many(values)


def test_a_value_comes_back_from_its_canonical_bytes() -> None:
    for value in [True, 0, -1, 2**63, -(2**63) - 1, 2**200, 1.5, "é", "", b"\0", NOON, date(1, 1, 1)]:
        back = value_of(*canonical(value))
        assert (back, type(back)) == (value, type(value))
    assert [len(canonical(value)[0]) for value in (2**71 - 1, 2**71, -(2**71), -(2**71) - 1)] == [9, 10, 9, 10]
    for payload, tag in [(b"1234567", "i"), (b"\xff", "s"), (b"12345678", "?"), (b"\xff" * 7 + b"\x7f", "d")]:
        with pytest.raises(ValueError, match=r"no value|decode|years"):
            value_of(payload, ord(tag))


def test_a_column_whose_offsets_are_damaged_is_refused_and_never_read() -> None:
    offsets = pa.py_buffer(np.array([0, 99, 3], np.int32))  # Arrow looks at the first and the last only
    with pytest.raises(ValueError, match="offsets must rise from 0 to at most 3"):
        DEFAULT.hash_many(pa.Array.from_buffers(pa.string(), 2, [None, offsets, pa.py_buffer(b"abc")]))
    for damaged in ([0, 2, 99], [-8, 2, 3], [3, 0, 3]):
        with pytest.raises(ValueError, match="offsets must rise from 0 to at most 3"):
            Ragged.of(b"abc", np.array(damaged))


def test_another_key_gives_another_hash_and_never_shows_itself() -> None:
    key = bytes(range(100, 116))
    secret = Hasher(key)
    assert secret.hash_one("ana") != DEFAULT.hash_one("ana")
    assert secret.identity != DEFAULT.identity
    for text in (repr(secret), secret.identity, str(secret)):
        assert key.hex() not in text
        assert repr(key)[2:-1] not in text
    with pytest.raises(TypeError, match="from_environment"):
        pickle.dumps(secret)
    with pytest.raises(ValueError, match="16 bytes, got 3"):
        Hasher(b"abc")


def test_a_key_by_reference_travels_as_the_name_of_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKETCH_KEY", "00112233445566778899aabbccddeeff")
    hasher = Hasher.from_environment("SKETCH_KEY")
    pickled = pickle.dumps(hasher)
    assert b"SKETCH_KEY" in pickled
    assert bytes.fromhex("00112233445566778899aabbccddeeff") not in pickled
    assert pickle.loads(pickled) == hasher == Hasher.of(hasher.identity)  # noqa: S301
    monkeypatch.delenv("SKETCH_KEY")
    with pytest.raises(ValueError, match=r"SKETCH_KEY must hold .* got 0"):
        pickle.loads(pickled)  # noqa: S301


@pytest.mark.parametrize("hasher", [DEFAULT, Hasher(normalize=True), DataSketchesHasher(seed=7)], ids=repr)
def test_public_hashers_travel_and_are_found_by_identity(hasher: Hasher) -> None:
    assert pickle.loads(pickle.dumps(hasher)) == hasher == copy.deepcopy(hasher)  # noqa: S301
    assert Hasher.of(hasher.identity) == hasher


def test_an_unknown_key_refuses_to_hash_and_says_what_to_do() -> None:
    unknown = Hasher.of("siphash13:0000000000000000")
    assert unknown.identity == "siphash13:0000000000000000"
    with pytest.raises(ValueError, match="whose key is not known here"):
        unknown.hash_many([1])


def test_interoperable_hashing_refuses_what_datasketches_drops() -> None:
    for value, reason in [("", "empty"), (2**64, "64 bits")]:
        for hash_it in (DataSketchesHasher().hash_one, lambda v: DataSketchesHasher().hash_many([v])):
            with pytest.raises(ValueError, match=reason):
                hash_it(value)


def test_hashes_do_not_depend_on_the_process() -> None:
    program = "from transforms.sketches import DEFAULT; print(DEFAULT.hash_one('ana'))"
    answers = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("0", "1")
    }
    assert answers == {f"{DEFAULT.hash_one('ana')}\n".encode()}


def test_derived_hashes_are_spread_evenly() -> None:
    hashes = DEFAULT.hash_many(np.arange(20_000))
    places = double_hashes(hashes, 4, 100)
    assert places.shape == (4, 20_000)
    for row in places:
        counts = np.bincount(row, minlength=100)
        assert ((counts - 200.0) ** 2 / 200).sum() < 160  # chi-squared, 99 degrees of freedom: p < .0001
    assert len(np.unique(np.stack([lane >> np.uint64(32) for lane in lanes(hashes[:1000], 16)]))) > 15_900


def test_a_column_hashed_once_stands_for_the_column_under_its_own_hash_only() -> None:
    names = pa.array(["ana", "bo", "cy", "ana"])
    hashed = DEFAULT.hashed(names)
    part = hashed.take(pa.array([3, 1, 0])).slice(1, 2)
    assert DEFAULT.hash_many(part).tolist() == DEFAULT.hash_many(["bo", "ana"]).tolist()
    assert len(part) == 2
    with pytest.raises(ValueError, match=r"a column must be hashed by murmur3:9001, got one hashed by siphash13"):
        DataSketchesHasher().hash_many(part)
