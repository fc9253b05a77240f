"""Items crafted against the public key do harm under it, and none under a secret one; test_hyperloglog has its own."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from transforms.sketches import DEFAULT, Bloom, CountMin, Hasher

SECRET = Hasher(bytes(range(16)))
VICTIM = -1  # is never added


def crafted_against(make: Callable[[], CountMin | Bloom]) -> list[int]:
    """Items that between them touch all that the victim would: its counters or bits, found by trying."""

    def touched(item: int) -> set[int]:
        sketch = make()
        sketch.add(item)
        content = sketch._counters if isinstance(sketch, CountMin) else np.unpackbits(sketch._bytes)
        return set(np.flatnonzero(content).tolist())

    wanted, crafted, item = touched(VICTIM), [], 0
    while wanted:
        if found := touched(item) & wanted:
            wanted -= found
            crafted.append(item)
        item += 1
    return crafted


def test_crafted_items_do_not_raise_the_count_of_another() -> None:
    def flooded(hasher: Hasher) -> CountMin:
        sketch = CountMin(1_000, 5, hasher=hasher)
        sketch.add_many(crafted, [10_000] * len(crafted))
        sketch.add_many(range(100_000, 200_000))
        return sketch

    crafted = crafted_against(lambda: CountMin(1_000, 5))
    public, secret = flooded(DEFAULT), flooded(SECRET)
    assert public.count(VICTIM).value >= 10_000
    assert secret.count(VICTIM).value <= np.e / 1_000 * secret.total < 1_000


def test_crafted_items_do_not_make_another_seen() -> None:
    crafted = crafted_against(lambda: Bloom(4_096, 7))
    public, secret = Bloom(4_096, 7), Bloom(4_096, 7, hasher=SECRET)
    for sketch in (public, secret):
        sketch.add_many(crafted)
    assert VICTIM in public
    assert VICTIM not in secret
