"""Items crafted against the public key do harm under it, and none under a secret one; test_hyperloglog has its own."""

from __future__ import annotations

import numpy as np

from transforms.sketches import DEFAULT, Bloom, CountMin, Hasher

SECRET = Hasher(bytes(range(16)))
CANDIDATES = np.arange(16_000)
VICTIM = -1  # is never added


def crafted_against(sketch: CountMin | Bloom) -> list[int]:
    """For each place of the victim under the public key, an item that stands in it too."""
    places, of_victim = (
        np.array(list(sketch._places(DEFAULT.hash_many(items)))) for items in (CANDIDATES, np.array([VICTIM]))
    )
    alike = places == of_victim
    assert alike.any(axis=1).all(), "no item was found for some place: try more candidates"
    return CANDIDATES[alike.argmax(axis=1)].tolist()


def test_crafted_items_do_not_raise_the_count_of_another() -> None:
    def flooded(hasher: Hasher) -> CountMin:
        sketch = CountMin(1_000, 5, hasher=hasher)
        sketch.add_many(crafted, [10_000] * len(crafted))
        sketch.add_many(range(100_000, 200_000))
        return sketch

    crafted = crafted_against(CountMin(1_000, 5))
    public, secret = flooded(DEFAULT), flooded(SECRET)
    assert public.count(VICTIM).value >= 10_000
    assert secret.count(VICTIM).value <= np.e / 1_000 * secret.total < 1_000


def test_crafted_items_do_not_make_another_seen() -> None:
    crafted = crafted_against(Bloom(4_096, 7))
    public, secret = Bloom(4_096, 7), Bloom(4_096, 7, hasher=SECRET)
    for sketch in (public, secret):
        sketch.add_many(crafted)
    assert VICTIM in public
    assert VICTIM not in secret
