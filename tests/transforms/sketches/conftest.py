"""The laws that every sketch owes, checked over random merge trees."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from transforms.sketches import load
from transforms.sketches.sketch import Sketch

TREES = 200


@pytest.fixture
def check_laws() -> Callable[..., None]:
    return _check_laws


def _check_laws(
    make: Callable[[], Any],
    batches: Sequence[Any],
    exact: bool = True,
    *,
    within: Callable[[Any], object] | None = None,
    unlike: Sketch | None = None,
    seed: int = 4,
) -> None:
    """Asserts the laws of a monoid for sketches of `batches` (each an argument of add_many).

    Exact sketches must come out with equal bytes; others must pass `within`, which asserts on a merged sketch. `unlike`
    is a sketch whose merge must be refused.
    """
    assert exact or within, "what is not bit-stable must be checked against its bound"
    shards = [_sketch_of(make, batch) for batch in batches]
    one_pass = make()
    for batch in batches:
        one_pass.add_many(batch)
    whole = one_pass.to_bytes()
    if within:
        within(one_pass)

    rng = random.Random(seed)
    for _ in range(TREES):
        merged = _merge_in_a_random_tree([shard.copy() for shard in shards], rng)
        if exact:
            assert merged.to_bytes() == whole
        if within:
            within(merged)

    _empty_is_zero(make, one_pass)
    _bytes_round_trip(one_pass)
    if exact:
        _one_by_one_is_many(make, batches[0])
    elif within and sum(map(len, batches)) <= 5_000:  # items one by one take another way to the same bound
        one_by_one = make()
        for item in (item for batch in batches for item in _items(batch)):
            one_by_one.add(item)
        within(one_by_one)
    if exact and one_pass.SUBTRACTS:
        _subtract_undoes_merge(shards[0], shards[-1])
    if unlike is not None:
        _unlike_is_refused(one_pass, unlike)


def _sketch_of(make: Callable[[], Any], batch: Any) -> Any:
    sketch = make()
    sketch.add_many(batch)
    return sketch


def _merge_in_a_random_tree(nodes: list[Any], rng: random.Random) -> Any:
    while len(nodes) > 1:
        left, right = (nodes.pop(rng.randrange(len(nodes))) for _ in range(2))
        before = right.to_bytes()
        left.merge(right)
        assert right.to_bytes() == before, "merge must leave its argument alone"
        nodes.append(left)
    return nodes[0]


def _empty_is_zero(make: Callable[[], Any], full: Any) -> None:
    left, right = make(), full.copy()
    left.merge(full)
    right.merge(make())
    assert left.to_bytes() == right.to_bytes() == full.to_bytes()
    nothing = make()
    nothing.merge(make())
    nothing.add_many([])
    assert nothing.to_bytes() == make().to_bytes()


def _bytes_round_trip(full: Any) -> None:
    data = full.to_bytes()
    for opened in (type(full).from_bytes(data), load(data), full.copy()):
        assert opened == full
        assert opened.to_bytes() == data
    other = full.copy()
    other.merge(full)
    assert full.to_bytes() == data, "a copy must share nothing"


def _items(batch: Any) -> list[Any]:
    return batch.tolist() if hasattr(batch, "tolist") else list(batch)


def _one_by_one_is_many(make: Callable[[], Any], batch: Any) -> None:
    single, many = make(), make()
    for item in _items(batch[:100]):
        single.add(item)
    many.add_many(batch[:100])
    assert single.to_bytes() == many.to_bytes()


def _subtract_undoes_merge(first: Any, second: Any) -> None:
    both, before = first.copy(), second.to_bytes()
    both.merge(second)
    both.subtract(second)
    assert both.to_bytes() == first.to_bytes()
    assert second.to_bytes() == before, "subtract must leave its argument alone"


def _unlike_is_refused(one: Any, unlike: Any) -> None:
    with pytest.raises(ValueError, match="cannot merge") as refusal:
        one.merge(unlike)
    for side in (one, unlike):
        for value in side.parameters.values() if type(one) is type(unlike) else [type(side).__name__]:
            assert str(value) in str(refusal.value)
