"""What is always there, found in a store itself."""

from __future__ import annotations

from pathlib import Path

from rollups import Leaf, Store, StoredMeasure
from rollups.rising import always_there
from transforms.sketches import Question
from transforms.sketches.count import Count
from transforms.sketches.heavy_hitters import HeavyHitters

MINUTE = 60_000_000
MEASURES = {
    "count": StoredMeasure(Count(), Question("count")),
    "top:word": StoredMeasure(HeavyHitters(50), Question("top", (3,))),
}


def leaf(place: int, lang: str, words: list[str]) -> Leaf:
    count, frequent = Count(), HeavyHitters(50)
    count.add_many(words)
    frequent.add_many(words)
    return Leaf(place * MINUTE, (lang,), len(words), {"count": count, "top:word": frequent})


def test_what_every_part_has_is_always_there(tmp_path: Path) -> None:
    with Store.create(str(tmp_path / "s.db"), window=MINUTE, by={"lang": "text"}, measures=MEASURES) as store:
        for place in range(60):
            store.write("a", [leaf(place, "en", ["the", f"w{place}", *(["goal"] if place > 40 else [])])])
            store.write("a", [leaf(place, "fr", ["le"] if place % 10 else ["la"])])
        # Parts are five minutes: every one has "le", every other one has no minute for "la".
        assert always_there(store, "top:word", by=["lang"]) == {("en",): {"the"}, ("fr",): {"le"}}
        assert always_there(store, "top:word", by=["lang"], parts=6)["fr",] == {"le", "la"}
        assert always_there(store, "top:word") == {(): {"the", "le"}}


def test_of_little_time_nothing_is_always_there(tmp_path: Path) -> None:
    with Store.create(str(tmp_path / "s.db"), window=MINUTE, by={"lang": "text"}, measures=MEASURES) as store:
        assert always_there(store, "top:word") == {}
        for place in range(2):
            store.write("a", [leaf(place, "en", ["the"])])
        assert always_there(store, "top:word") == {}
