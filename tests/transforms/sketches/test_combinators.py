"""Products, maps and options of sketches: the laws of their parts, in one sealed image."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from transforms.sketches.bloom import Bloom
from transforms.sketches.combinators import MapOf, Maybe, Product
from transforms.sketches.count_min import CountMin
from transforms.sketches.keys import read_key
from transforms.sketches.kinds import load
from transforms.sketches.log_histogram import LogHistogram
from transforms.sketches.minhash import MinHash
from transforms.sketches.sealing import SealError
from transforms.sketches.skip_list import SkipList
from transforms.sketches.total import Total

GOLDEN = Path(__file__).parents[2] / "data" / "golden"


def numbers(seed: int) -> list[list[int]]:
    rng = np.random.default_rng(seed)
    return [rng.integers(1, 500, size).tolist() for size in (30, 1, 0, 80, 4)]


def visits(seed: int) -> list[list[dict[str, Any]]]:
    return [[{"user": f"u{number % 50}", "ms": number} for number in batch] for batch in numbers(seed)]


def of_visits() -> Product:
    return Product(
        users=("user", Bloom(2_048, 3)), slow=("ms", SkipList(keep="largest", capacity=5)), ms=("ms", Total())
    )


def test_laws_hold_for_products(check_laws: Callable[..., None]) -> None:
    check_laws(
        lambda: Product(a=Bloom(512, 2), b=SkipList()), numbers(1), unlike=Product(a=Bloom(512, 3), b=SkipList())
    )
    check_laws(of_visits, visits(2), unlike=Product(users=Bloom(2_048, 3)))
    check_laws(lambda: Product(a=Total(), b=CountMin(64, 2)), numbers(3))  # a group


def test_laws_hold_for_maps(check_laws: Callable[..., None]) -> None:
    def keyed(key: Callable[[int], Any]) -> list[list[tuple[Any, int]]]:
        return [[(key(number), number) for number in batch] for batch in numbers(4)]

    check_laws(
        lambda: MapOf(SkipList),
        keyed(lambda n: f"é{n % 7}"),
        unlike=MapOf(lambda: SkipList(keep="largest", capacity=1)),
    )
    check_laws(lambda: MapOf(Total), keyed(lambda n: (n % 3, None, "x")))  # a group
    check_laws(lambda: MapOf(lambda: MapOf(Total)), [[(n % 3, (n % 2, n)) for n in batch] for batch in numbers(5)])
    records = [[(visit["ms"] % 4, visit) for visit in batch] for batch in visits(6)]
    check_laws(lambda: MapOf(of_visits), records)


def test_laws_hold_for_options(check_laws: Callable[..., None]) -> None:
    check_laws(lambda: Maybe(partial(MinHash, 8)), numbers(7), unlike=Maybe(partial(MinHash, 16)))
    check_laws(lambda: Maybe(Total), numbers(8))  # a group
    check_laws(lambda: Product(a=Maybe(Total), b=Product(c=SkipList())), numbers(9))


def test_a_combination_subtracts_only_if_all_of_its_parts_do() -> None:
    groups = (Product(a=Total(), b=LogHistogram()), MapOf(Total), Maybe(Total), MapOf(lambda: Product(a=Total())))
    others = (Product(a=Total(), b=SkipList()), MapOf(SkipList), Maybe(SkipList), MapOf(lambda: Product(a=SkipList())))
    assert all(group.SUBTRACTS for group in groups)
    for other in others:
        assert not other.SUBTRACTS
        with pytest.raises(ValueError, match=r"cannot subtract .* every part must subtract"):
            other.subtract(other.copy())


def test_a_subtraction_that_fails_half_way_takes_nothing() -> None:
    def make() -> Product:
        return Product(a=Total(), b=LogHistogram())

    some, more = make(), make()
    some.add_many([1, 2])
    more.add_many([1, 5])
    before = some.to_bytes()
    with pytest.raises(ValueError, match="cannot subtract"):
        some.subtract(more)
    assert some.to_bytes() == before

    one, other = MapOf(LogHistogram), MapOf(LogHistogram)
    one.add_many([("a", 1), ("b", 2)])
    other.add_many([("a", 1), ("b", 3)])
    before = one.to_bytes()
    with pytest.raises(ValueError, match="cannot subtract"):
        one.subtract(other)
    assert one.to_bytes() == before


def test_every_way_of_adding_records_gives_the_same_product() -> None:
    batch = visits(10)[0]
    columns = {name: [visit[name] for visit in batch] for name in ("user", "ms")}
    ways = [batch, columns, pa.table(columns), pa.RecordBatch.from_pydict(columns), iter(batch)]
    ways.append({name: np.array(column) for name, column in columns.items()})
    made = []
    for way in ways:
        product = of_visits()
        product.add_many(way)
        made.append(product.to_bytes())
    assert len(set(made)) == 1
    assert product["ms"].sum == sum(columns["ms"])
    assert product["slow"].kth(5) == max(columns["ms"])
    with pytest.raises(ValueError, match="must have the field 'user'"):
        product.add({"ms": 3})
    with pytest.raises(ValueError, match="must have the field 'user'"):
        product.add_many(pa.table({"ms": [3]}))


def test_a_map_answers_as_a_dict_of_lists_does() -> None:
    rng = np.random.default_rng(11)
    keys, items = rng.integers(0, 40, 3_000), rng.integers(0, 1_000, 3_000)
    oracle = defaultdict[str | None, list[int]](list)
    names = [f"k{key}" if key else None for key in keys]
    for name, item in zip(names, items.tolist(), strict=True):
        oracle[name].append(item)
    by_pairs, by_columns, by_table, by_codes = (MapOf(SkipList) for _ in range(4))
    by_pairs.add_many(zip(names, items, strict=True))
    batch = pa.RecordBatch.from_arrays([pa.array(names), pa.array(items)], ["key", "item"])
    by_columns.add_many(batch)
    by_table.add_many(pa.Table.from_batches([batch[:100], batch[100:100], batch[100:]]))
    coded = pa.array(names).dictionary_encode()
    by_codes.add_many(pa.RecordBatch.from_arrays([coded, pa.array(items)], ["key", "item"]))
    assert by_pairs == by_columns == by_table == by_codes
    assert len(by_pairs) == len(oracle)
    assert {key: part.range(0, 1_000) for key, part in by_pairs.items()} == {
        key: sorted(values) for key, values in oracle.items()
    }
    assert None in by_pairs
    assert "k0" not in by_pairs
    with pytest.raises(KeyError):
        by_pairs["k0"]
    with pytest.raises(ValueError, match="must have two columns"):
        by_pairs.add_many(pa.table({"key": [1]}))


@pytest.mark.parametrize("key", [True, 1.0, b"a", ("a", True), (("a",),), np.float64(1)])
def test_keys_that_could_be_mistaken_are_refused(key: Any) -> None:
    made = MapOf(Total)
    with pytest.raises(ValueError, match="a key must be"):
        made.add((key, 1))
    assert made == MapOf(Total)


def test_keys_are_told_apart_and_come_back_as_they_were() -> None:
    keys = ["1", 1, None, "null", (), ("a",), "a", '["a"]', ("a", 1, None), -(2**70), "é\ud800", np.int64(5)]
    made = MapOf(Total)
    made.add_many([(key, place) for place, key in enumerate(keys)])
    assert {key: part.sum for key, part in load(made.to_bytes()).items()} == {key: at for at, key in enumerate(keys)}
    for data in (b"[1, 2]", b'"\\u0061"', b"[[1]]", b"true", b"{}", b"1.0", b"[" * 100_000, b"\xff", b""):
        with pytest.raises(ValueError, match=r"key|JSON|Expecting|codec"):
            read_key(data)


def test_a_key_costs_little_beyond_its_sketch() -> None:
    made = MapOf(SkipList)
    made.add_many([(key, item) for key in range(2_000) for item in (key, key + 1, key + 2)])
    assert len(made.to_bytes()) < 100 * 2_000


def test_keys_whose_sketch_is_empty_again_are_forgotten() -> None:
    whole, part = MapOf(Total), MapOf(Total)
    whole.add_many([("a", 1), ("b", 2), ("b", 3)])
    part.add_many([("a", 1), ("b", 2)])
    whole.subtract(part)
    assert [(key, total.sum) for key, total in whole.items()] == [("b", 3)]
    maybe = Maybe(Total)
    maybe.add(3)
    maybe.subtract(maybe.copy())
    assert maybe.value is None


def test_a_key_whose_item_was_refused_is_not_stored() -> None:
    made = MapOf(Total)
    with pytest.raises(ValueError, match="numbers"):
        made.add(("a", "text"))
    assert made.to_bytes() == MapOf(Total).to_bytes()


def test_an_option_tells_nothing_from_zero() -> None:
    maybe = Maybe(Total)
    maybe.add_many([])
    maybe.merge(Maybe(Total))
    assert maybe.value is None
    assert maybe.memory() == 0
    maybe.add(0)
    assert (maybe.value.count, maybe.value.sum) == (1, 0)
    assert load(maybe.to_bytes()).value.count == 1


def test_merging_shares_nothing() -> None:
    for make in (lambda: MapOf(Total), lambda: Maybe(lambda: MapOf(Total)), lambda: Product(a=MapOf(Total))):
        one, other = make(), make()
        other.add(("a", 1))
        one.merge(other)
        before = other.to_bytes()
        one.add(("a", 5))
        assert other.to_bytes() == before


def test_products_have_parts_with_names() -> None:
    with pytest.raises(ValueError, match="parts with names"):
        Product()
    with pytest.raises(ValueError, match="parts with names"):
        Product(**{"a.b": Total()})
    assert Product(a=Total(), b=SkipList()) == Product(b=SkipList(), a=Total())
    with pytest.raises(ValueError, match=r"cannot merge Product\(a='total'\) with Product\(b='total'\)"):
        Product(a=Total()).merge(Product(b=Total()))
    with pytest.raises(ValueError, match="cannot merge"):
        Product(a=("x", Total())).merge(Product(a=("y", Total())))


def test_images_whose_parts_are_not_as_they_say_are_refused() -> None:
    for one, other in (
        (Product(a=Bloom(8, 1)), Product(a=Bloom(16, 1))),
        (MapOf(partial(Bloom, 8, 1)), MapOf(partial(Bloom, 16, 1))),
        (Maybe(partial(Bloom, 8, 1)), Maybe(partial(Bloom, 16, 1))),
    ):
        with pytest.raises(ValueError, match="as the parameters say"):
            type(one)._restore(one.parameters, other._payload())
        with pytest.raises(SealError):
            type(one).from_bytes(one.to_bytes()[:-1])
        with pytest.raises(ValueError, match="pieces"):
            type(one)._restore(one.parameters, one._payload() + b"x")


def golden() -> dict[str, Any]:
    product = Product(seen=("user", Bloom(256, 3)), ms=("ms", SkipList()))
    product.add_many({"user": ["ana", "bo"], "ms": [7, 31]})
    by_key = MapOf(SkipList)
    by_key.add_many([("en", 2.5), ("de", 1.5), ("en", 0.5), (("en", 1, None), 4.5)])
    maybe = Maybe(SkipList)
    maybe.add("ana")
    return {"product": product, "map_of": by_key, "maybe": maybe}


@pytest.mark.parametrize("kind", ["product", "map_of", "maybe"])
def test_golden_bytes_load_for_ever(kind: str) -> None:
    made = load((GOLDEN / f"{kind}-v1.bin").read_bytes())
    assert made == golden()[kind]
    answers = {
        "product": lambda: ["ana" in made["seen"], "zoe" in made["seen"], made["ms"].kth(2)],
        "map_of": lambda: [[key, part.kth(1)] for key, part in made.items()],
        "maybe": lambda: made.value.range("", "z"),
    }
    stated = {
        "product": [True, False, 31],
        "map_of": [["de", 1.5], ["en", 0.5], [["en", 1, None], 4.5]],
        "maybe": ["ana"],
    }
    assert json.loads(json.dumps(answers[kind]())) == stated[kind]
