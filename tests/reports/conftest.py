"""Stores to show, and how a page is read back: every number with what it says of itself."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rollups import Leaf, Store, StoredMeasure
from transforms.sketches import Count, HeavyHitters, HyperLogLog, Kll, Moments, Question, Total

MINUTE = 60_000_000
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MEASURES = {
    "count": StoredMeasure(Count(), Question("count")),
    "distinct:user": StoredMeasure(HyperLogLog(6), Question("estimate", (0.95,))),
    "quantiles:ms": StoredMeasure(Kll(8), Question("quantiles", (0.5, 0.99))),
    "mean:ms": StoredMeasure(Total(), Question("mean")),
    "max:ms": StoredMeasure(Moments(), Question("max")),
    "top:tag": StoredMeasure(HeavyHitters(14), Question("top", (10,))),
}
HOSTILE = [
    "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "مرحبا بالعالم", "nul\0byte", "x" * 900,
    "\u202egnp.exe", "{{ 7 * 7 }}", "日本語の見出し", "", "'&amp;",
]  # fmt: skip

NewStore = Callable[..., Store]


@pytest.fixture
def new_store(tmp_path: Path) -> Iterator[NewStore]:
    """Makes stores of events of some keys in each of some windows, by chance; what they hold does not vary."""
    made = []

    def new(
        keys: dict[str, list[Any]],
        windows: int = 30,
        *,
        window: int = MINUTE,
        events: int = 20,
        tags: list[str] = HOSTILE,
        skip: Callable[[int], bool] = lambda _: False,
        uri: str = "",
    ) -> Store:
        chance = np.random.default_rng(7)
        store = Store.create(
            uri or str(tmp_path / "store.db"), window=window, by=dict.fromkeys(keys, "text"), measures=MEASURES
        )
        made.append(store)
        leaves = []
        start = int(NOON.timestamp()) * 1_000_000 // window * window
        for at in range(windows):
            for place, key in enumerate(zip(*keys.values(), strict=True)):
                count = int(chance.poisson(events / (1 + place)))
                if not count or skip(at):
                    continue
                sketches: dict[str, Any] = {name: measure.empty.copy() for name, measure in MEASURES.items()}
                sketches["count"].add_many(range(count))
                sketches["distinct:user"].add_many(chance.integers(0, 500, count))
                for measure in ("quantiles:ms", "mean:ms", "max:ms"):
                    sketches[measure].add_many(chance.lognormal(3, 1, count) if measure != "mean:ms" else [3] * count)
                more = [*tags, *(f"tag {n}" for n in range(20))]
                rare = chance.integers(0, len(more), count) * chance.integers(0, 2, count)
                sketches["top:tag"].add_many([more[(n * at) % len(more)] for n in rare] + more[:9])
                leaves.append(Leaf(start + at * window, key, count, sketches))
        store.write("a", leaves)
        store.settle()
        return store

    yield new
    for store in made:
        store.close()


_VOID = {"meta", "link", "br", "img", "input", "path"}
_SAID = ("value", "source", "bound", "measure", "from", "to", "where", "at", "item")

Number = dict[str, str | None]


class _Reader(HTMLParser):
    """A page as a browser would have it: its elements, its text, and its numbers with what holds for them."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.numbers: list[Number] = []
        self._open: list[tuple[str, dict[str, str | None]]] = []
        self._heads: list[dict[str, str | None]] = []
        self._cell = 0

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        mine = dict(attributes)
        self.tags.append((tag, mine))
        if tag == "table":
            self._heads = []
        elif tag == "tr":
            self._cell = -1
        elif tag in {"th", "td"}:
            self._cell += 1
            if any(name == "thead" for name, _ in self._open):
                self._heads.append(mine)
            elif tag == "td" and self._cell < len(self._heads):
                mine = {**self._heads[self._cell], **mine}
        if tag not in _VOID:
            self._open.append((tag, mine))
        if "data-value" in mine:
            said: Number = {}
            for _, attributes_of in self._open:
                said |= {name: attributes_of[f"data-{name}"] for name in _SAID if f"data-{name}" in attributes_of}
            self.numbers.append(said)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open, f"{tag} is closed and was not open"
        assert self._open.pop()[0] == tag, f"{tag} is closed where another is open"

    def handle_data(self, data: str) -> None:
        if not any(name in {"style", "title"} for name, _ in self._open):
            self.text.append(data)


class ReadPage:
    """What is on a page."""

    def __init__(self, html: str) -> None:
        reader = _Reader()
        reader.feed(html)
        assert not reader._open, "every element is closed"
        self.tags, self.numbers = reader.tags, reader.numbers
        self.text = " ".join(" ".join(reader.text).split())

    def of(self, source: str) -> list[float]:
        """The numbers that say this of themselves."""
        return [float(number["value"] or "nan") for number in self.numbers if number.get("source") == source]


@pytest.fixture
def read_page() -> Callable[[str], ReadPage]:
    """Reads the HTML of a page."""
    return ReadPage


@pytest.fixture
def ask_again() -> Callable[[Store, list[Number]], int]:
    """Asks a store for each number again, and holds the page to the answer; how many numbers that were."""

    def ask(store: Store, numbers: list[Number]) -> int:
        @functools.cache
        def answer(measure: str, start: str, end: str, where: str) -> Any:
            (row,) = store.query(
                measures=[measure],
                start=datetime.fromisoformat(start),
                end=datetime.fromisoformat(end),
                where=json.loads(where),
            )
            return row

        asked = 0
        for number in numbers:
            if number.get("source"):
                continue
            measure = number["measure"]
            row = answer(measure, number["from"], number["to"], number.get("where") or "{}")
            value: Any = row.values[measure]
            if number.get("item") is not None:
                value = row.sketches[measure].count(json.loads(number["item"] or ""))
            elif isinstance(value, dict):
                value = value[float(number["at"] or "nan")]
            expected = getattr(value, number.get("bound") or "value", value)
            assert float(number["value"] or "nan") == expected, number
            asked += 1
        return asked

    return ask
