"""Kernels: the same bits, whichever code runs them, and an answer, whatever is wrong with numba."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from transforms.sketches import (
    DEFAULT,
    Bloom,
    CountMin,
    DataSketchesHasher,
    DyadicQuantiles,
    Hasher,
    HyperLogLog,
    LogHistogram,
    MinHash,
    Sketch,
    kernels,
)
from transforms.sketches.derived import lane_constants
from transforms.sketches.ragged import Ragged

numba = pytest.importorskip("numba")

EDGES = [0, 1, 255, 2**26 - 1, 2**26, 2**32 - 1, 2**32, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 2, 2**64 - 1]
LEAST = sys.float_info.min  # all below counts as zero
FLOATS = [sign * size for sign in (1, -1) for size in (0.0, 5e-324, LEAST, np.nextafter(LEAST, 0), sys.float_info.max)]
MANY = 40_000  # more than two blocks of any kernel


def _random(size: int, seed: int) -> NDArray[np.uint64]:
    return np.random.default_rng(seed).integers(0, 2**64, size, np.uint64)


def _words(numbers: list[int]) -> NDArray[np.uint64]:
    return np.array(numbers, np.uint64)


number = st.sampled_from(EDGES) | st.integers(0, 2**64 - 1)
seed = st.integers(0, 2**32 - 1)
hashes = st.builds(_words, st.lists(number, max_size=40)) | st.builds(_random, st.sampled_from([1, 8191, MANY]), seed)
four = st.builds(_words, st.lists(number, min_size=4, max_size=4))


@st.composite
def messages(draw: st.DrawFn) -> tuple[Any, ...]:
    """Words, starts and lengths of messages: of no bytes, up to several words, some long, from any place on."""
    lengths = draw(st.lists(st.integers(0, 40) | st.sampled_from([255, 256, 1023, 1024]), max_size=40))
    if draw(st.booleans()):
        lengths *= MANY // 4 // max(1, len(lengths)) + 1 if sum(lengths) < 1000 else 1
    skipped = draw(st.integers(0, 9))
    offsets = np.cumsum([skipped, *lengths]).astype(np.int64)
    data = np.random.default_rng(draw(seed)).bytes(int(offsets[-1]) + draw(st.integers(0, 9)))
    ragged = Ragged.of(memoryview(data), offsets)
    if draw(st.booleans()):  # some rows only, as where long messages are hashed apart
        ragged = ragged.where(np.arange(len(lengths)) % 3 > 0)
    return ragged.words, ragged.start, ragged.length


@st.composite
def counters(draw: st.DrawFn) -> tuple[Any, ...]:
    column = draw(hashes)
    depth, width = draw(st.integers(1, 6)), draw(st.sampled_from([1, 2, 7, 1000, 4096]))
    table = np.random.default_rng(draw(seed)).integers(-(2**62), 2**62, (depth, width))
    each = np.random.default_rng(draw(seed)).integers(0, draw(st.sampled_from([2, 2**50])), column.size)
    return table, column, draw(st.sampled_from([each, np.broadcast_to(np.int64(3), column.size)]))


@st.composite
def values(draw: st.DrawFn) -> tuple[Any, ...]:
    """Finite floats by their bits, and how many bits are below a bucket's."""
    few = st.lists(st.sampled_from(FLOATS) | st.floats(allow_nan=False, allow_infinity=False), max_size=40)
    scales = st.sampled_from([0.0, 1.0, 1e300])
    many = st.builds(lambda s, by: np.append(np.random.default_rng(s).normal(size=MANY) * by, FLOATS), seed, scales)
    column = np.abs(draw(few | many)) if draw(st.booleans()) else np.array(draw(few | many), np.float64)
    return column.view(np.int64), draw(st.integers(43, 52))


@st.composite
def filter_bits(draw: st.DrawFn) -> tuple[Any, ...]:
    size = draw(st.sampled_from([1, 3, 1000, 50_000]))
    share = draw(st.sampled_from([0.0, 0.5, 1.0]))
    bits = np.random.default_rng(draw(seed)).random((size, 8)) < share
    return np.packbits(bits, axis=1).ravel(), draw(hashes), *lane_constants(draw(st.sampled_from([1, 7, 64])))


ARGUMENTS: dict[str, st.SearchStrategy[tuple[Any, ...]]] = {
    "siphash_each_word": st.builds(lambda w, last, v: (w, np.uint64(last), v, w * 0), hashes, number, four),
    "siphash_each_message": st.builds(
        lambda m, tag, v: (*m, np.uint64(tag), v, np.zeros(m[1].size, np.uint64)), messages(), st.integers(0, 255), four
    ),
    "murmur3_each_word": st.builds(lambda w, s: (w, np.uint64(s), w * 0), hashes, number),
    "murmur3_each_message": st.builds(
        lambda m, s: (*m, np.uint64(s), np.zeros(m[1].size, np.uint64)), messages(), number
    ),
    "raise_registers": st.builds(
        lambda p, s, h: (np.random.default_rng(s).integers(0, 40, 1 << p, np.uint8), h),
        st.integers(4, 21),
        seed,
        hashes,
    ),
    "add_weights": counters(),
    "count_buckets": values(),
    "lower_least": st.builds(
        lambda k, start, h: (np.full(k, start, np.uint64), h, *lane_constants(k)),
        st.sampled_from([1, 3, 128]),
        number,
        hashes,
    ),
    "set_bits": filter_bits(),
    "find_bits": filter_bits().map(lambda arguments: (*arguments, np.zeros(arguments[1].size, np.bool_))),
}


def _equal(one: Any, other: Any) -> bool:
    """Whether both are the same in every bit and type."""
    if isinstance(one, tuple):
        return len(one) == len(other) and all(map(_equal, one, other))
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()
    return bool(one == other)


def test_every_kernel_has_a_loop_and_arguments_to_be_compared_by() -> None:
    from transforms.sketches import loops

    there = {name for name, member in vars(loops).items() if isinstance(member, kernels.Loop)}
    assert there == set(kernels.KERNELS) == set(ARGUMENTS)


@pytest.mark.parametrize("name", ARGUMENTS)
def test_a_loop_gives_the_bits_of_numpy(name: str) -> None:
    loop, reference = kernels.compiled(name), kernels.KERNELS[name]

    @settings(max_examples=60, deadline=None)
    @given(ARGUMENTS[name])
    def compare(arguments: tuple[Any, ...]) -> None:
        ours, theirs = copy.deepcopy(arguments), copy.deepcopy(arguments)
        assert _equal(loop(*ours), reference(*theirs))
        assert _equal(ours, theirs)  # what they wrote into, and what they must leave alone

    compare()


@pytest.mark.parametrize("name", ARGUMENTS)
def test_a_loop_reads_what_may_not_be_written_and_lets_other_threads_run(name: str) -> None:
    loop = kernels.compiled(name)
    assert loop.targetoptions["nogil"]
    arrays = loop.signatures[0]
    read_only = [kind for kind in arrays if isinstance(kind, numba.types.Array) and not kind.mutable]
    assert read_only, "columns come from Arrow, whose buffers are read-only"


@pytest.fixture
def choose(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Makes every kernel choose again, as the first call of a process does."""

    def choose(choice: str) -> None:
        monkeypatch.setattr(kernels, "CHOICE", choice)
        monkeypatch.setattr(kernels, "RUNNING", {})

    return choose


def _columns() -> Iterator[Any]:
    chance = np.random.default_rng(5)
    numbers = chance.integers(-(2**62), 2**62, MANY)
    texts = [f"{'ü' * (n % 11)}{n % 977}" for n in numbers.tolist()]
    yield from (numbers, numbers[::3], pa.array(numbers)[7:], numbers.astype(np.float64), numbers > 0, numbers[:1])
    yield from (pa.array(texts), pa.array(texts, pa.large_string())[3:-5], pa.array(texts).dictionary_encode())
    yield from (pa.array([*texts[:50], "long" * 999]), pa.array([text.encode() for text in texts]), texts[:20])
    yield pa.chunked_array([texts[:100], texts[100:300]])


SKETCHES: list[Callable[[], Sketch]] = [
    HyperLogLog,
    lambda: HyperLogLog(9, hasher=DataSketchesHasher()),
    CountMin,
    lambda: CountMin(7, 3),
    lambda: Bloom.for_error(10_000, 0.01),
    lambda: Bloom.for_error(10_000_000, 0.001),
    MinHash,
    lambda: MinHash(hasher=Hasher(bytes(range(16)))),
]


def _images() -> list[bytes]:
    """Every sketch that has kernels, of every kind of column, and all that a column hashes to."""
    images = []
    for column in _columns():
        images.append(DEFAULT.hash_many(column).tobytes())
        images.append(Hasher(bytes(16), normalize=True).hash_many(column).tobytes())
        for make in SKETCHES:
            sketch = make()
            sketch.add_many(column)
            images.append(sketch.to_bytes())
            if isinstance(sketch, Bloom):
                images.append(sketch.contains_many(np.arange(1000)).tobytes())
    chance = np.random.default_rng(6)
    for scale in (1.0, -1e-200, 1e200):
        histogram = LogHistogram()
        histogram.add_many(np.concatenate([chance.lognormal(size=MANY) * scale, [0.0, -0.0, 5e-324, -1.0]]))
        images.append(histogram.to_bytes())
    ranks = DyadicQuantiles(0, 60, 0.001)
    ranks.add_many(chance.lognormal(size=MANY))
    images.append(ranks.to_bytes())
    return images


def test_sketches_have_equal_bytes_with_either_kernels(choose: Callable[[str], None]) -> None:
    choose("numpy")
    by_numpy = _images()
    assert kernels.RUNNING == kernels.KERNELS
    choose("compiled")
    assert _images() == by_numpy
    assert set(kernels.RUNNING) == set(kernels.KERNELS)
    assert not set(kernels.RUNNING.values()) & set(kernels.KERNELS.values())


def test_threads_that_come_first_together_share_one_compilation(
    choose: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    choose("numpy")
    column = np.arange(MANY)
    expected = DEFAULT.hash_many(column).tobytes()
    choose("compiled")
    compilations: list[str] = []
    compiled = kernels.compiled
    monkeypatch.setattr(kernels, "compiled", lambda name: compilations.append(name) or compiled(name))
    with ThreadPoolExecutor(8) as threads:
        answers = set(threads.map(lambda _: DEFAULT.hash_many(column).tobytes(), range(64)))
    assert answers == {expected}
    assert compilations == ["siphash_each_word"]


def test_without_numba_numpy_does_the_work_unless_compiled_was_asked_for(
    choose: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "transforms.sketches.loops", raising=False)
    monkeypatch.setitem(sys.modules, "numba", None)
    choose("either")
    DEFAULT.hash_many(np.arange(100))
    assert {"siphash_each_word": kernels.KERNELS["siphash_each_word"]} == kernels.RUNNING
    choose("compiled")
    with pytest.raises(ImportError, match=r"numba is not installed: pip install 'streamsketch\[fast\]'"):
        DEFAULT.hash_many(np.arange(100))


@pytest.mark.parametrize("failure", [ImportError("Numba needs NumPy 2.4 or less"), OSError("libLLVM: no such file")])
def test_a_numba_that_fails_is_told_of_and_numpy_does_the_work(
    choose: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    def njit(*_: object, **__: object) -> None:
        raise failure

    monkeypatch.setattr(numba, "njit", njit)
    choose("either")
    with pytest.warns(RuntimeWarning, match=f"numpy alone, since numba fails: {failure}"):
        assert DEFAULT.hash_many(np.arange(100))[7] == DEFAULT.hash_one(7)
    assert {"siphash_each_word": kernels.KERNELS["siphash_each_word"]} == kernels.RUNNING
    choose("compiled")
    with pytest.raises(ImportError, match=f"numba fails: {failure}"):
        DEFAULT.hash_many(np.arange(100))


def test_where_nothing_can_be_kept_loops_are_compiled_all_the_same(
    choose: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    njit, tried = numba.njit, []

    def without_a_folder(signature: str, *, nogil: bool, cache: bool = False) -> Any:
        tried.append(cache)
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return njit(signature, nogil=nogil)

    choose("compiled")
    monkeypatch.setattr(numba, "njit", without_a_folder)
    assert DEFAULT.hash_many(np.arange(100))[7] == DEFAULT.hash_one(7)
    assert tried == [True, False]


@pytest.mark.parametrize(
    ("choice", "expected"),
    [("", "False True CPUDispatcher"), ("compiled", "False True CPUDispatcher"), ("numpy", "False False function")],
)
def test_the_environment_chooses_and_numba_is_not_imported_before_it_is_needed(choice: str, expected: str) -> None:
    program = (
        "import sys; from transforms.sketches import DEFAULT, kernels; import numpy\n"
        "before = 'numba' in sys.modules\n"
        "assert DEFAULT.hash_many(numpy.arange(100))[7] == DEFAULT.hash_one(7)\n"
        "print(before, 'numba' in sys.modules, type(kernels.RUNNING['siphash_each_word']).__name__)"
    )
    assert _run(program, choice).stdout.strip() == expected


def test_a_choice_that_there_is_not_is_refused_at_import() -> None:
    refused = _run("import transforms.sketches", "cython")
    assert "STREAMSKETCH_KERNELS must be numpy or compiled, got 'cython'" in refused.stderr


def _run(program: str, choice: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "STREAMSKETCH_KERNELS": choice}
    return subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
