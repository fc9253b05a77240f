"""The page of a store says what the store says, whatever is in it."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
import uuid
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import psycopg
import pytest

from reports.holdings import Account, Accounts
from reports.page import report_page
from rollups import Leaf, Store, StoredMeasure
from transforms.sketches import HeavyHitters, Question

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LANGUAGES = ["en", "ja", "ar", "und", None, "<b>bold</b>"]
DEVICES = ["a", "b", "a", "b", "c", None]


@dataclass(frozen=True)
class Rise:
    group: Mapping[str, Any] | tuple[Any, ...]
    start: datetime
    end: datetime
    item: Any
    count: int
    expected: float
    score: float


@pytest.fixture
def store(new_store: Any) -> Store:
    """Half an hour of some languages."""
    made: Store = new_store({"lang": LANGUAGES, "device": DEVICES}, 30)
    return made


def test_every_answer_on_the_page_is_the_stores(store: Store, read_page: Any, ask_again: Any) -> None:
    page = read_page(report_page(store).html)
    assert ask_again(store, page.numbers) > 1000
    for measure in store.measures:
        assert any(number.get("measure") == measure and not number.get("source") for number in page.numbers), measure
    bounds = {number.get("bound") for number in page.numbers if not number.get("source")}
    assert bounds == {None, "low", "high"}  # the store was made to be unsure


def test_an_answer_on_the_page_is_written_as_it_is(store: Store) -> None:
    html = report_page(store).html
    (row,) = store.query(measures=["count", "mean:ms"])
    assert f'<span data-value="{row.values["count"]}">{row.values["count"]:,}</span>' in html
    assert '<span data-value="3">3</span>' in html


def test_other_numbers_follow_from_the_answers(store: Store, read_page: Any) -> None:
    ten = timedelta(minutes=10)
    page = read_page(report_page(store, step=ten).html)
    (whole,) = store.query(measures=["count"])
    total = whole.values["count"]
    assert set(page.of("rate per minute")) == {total / 30}
    assert page.of("windows") == [30]
    sizes = {
        key: sorted((row.values["count"] for row in store.query(measures=["count"], by=[key])), reverse=True)
        for key in store.by
    }
    leading = [of_key[0] / total for of_key in sizes.values()]
    assert page.of("share") == leading + [size / total for of_key in sizes.values() for size in of_key]
    assert page.of("groups") == [6, 4]
    last, before = (
        [item for item, _ in store.query(measures=["top:tag"], start=begin, end=begin + ten).rows[0].values["top:tag"]]
        for begin in (NOON + 2 * ten, NOON + ten)
    )
    (top,) = store.query(measures=["top:tag"])
    items = [item for item, _ in top.values["top:tag"]]
    assert page.of("place") == list(range(1, len(items) + 1))
    assert page.of("place now") == [last.index(item) + 1 for item in items if item in last]
    moved = [before.index(item) - last.index(item) for item in items if item in last and item in before]
    assert page.of("moved") == [abs(by) for by in moved if by]


def test_what_is_stored_is_told_to_the_byte(store: Store, read_page: Any) -> None:
    page = read_page(report_page(store).html)
    for table, name in (("leaves", "leaf bytes"), ("nodes", "node bytes")):
        rows = store.database.execute(f"SELECT SUM(LENGTH(sketch)) FROM {table} GROUP BY measure ORDER BY measure")  # noqa: S608
        assert page.of(name) == [size for (size,) in rows]
    assert "HyperLogLog, precision 6 ±25 % of the number with 95 % confidence; exact up to 8" in page.text


def test_the_same_store_gives_the_same_bytes_in_any_process(store: Store, tmp_path: Path) -> None:
    code = (
        "import sys; from rollups import Store; from reports.page import report_page\n"
        "sys.stdout.buffer.write(report_page(Store(sys.argv[1])).html.encode())"
    )
    (place,) = tmp_path.glob("store.db")
    told = [
        subprocess.run(
            [sys.executable, "-c", code, str(place)],
            env={**os.environ, "PYTHONHASHSEED": seed, "TZ": zone, "PYTHONPATH": os.pathsep.join(sys.path)},
            check=True,
            capture_output=True,
        ).stdout
        for seed, zone in (("1", "UTC"), ("2", "Asia/Tokyo"))
    ]
    assert told == [report_page(store).html.encode()] * 2


@pytest.mark.postgres
def test_a_store_in_postgresql_has_the_same_page(store: Store, new_store: Any, postgres: str) -> None:
    name = f"store_{uuid.uuid4().hex}"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    there = new_store({"lang": LANGUAGES, "device": DEVICES}, 30, uri=postgres.replace("/postgres", f"/{name}"))
    assert report_page(there) == report_page(store)


def test_hostile_text_is_text(new_store: Any, read_page: Any) -> None:
    hostile = '</title></style><script>alert("1")</script>\0'
    html = report_page(new_store({"lang": [hostile, "x" * 3000, "\u202eevil", '" onload="x']}), title=hostile).html
    page = read_page(html)
    assert {tag for tag, _ in page.tags} & {"script", "img", "b", "iframe", "object", "link"} == set()
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    assert "\0" not in html
    assert "\u202e" not in html
    assert html.count("<title>") == 1 + html.count("<svg") - html.count('class="swatch"')
    assert "alert(&#34;1&#34;)&lt;/script&gt;␀" in html
    assert "�evil" in page.text
    assert "x" * 119 + "…" in page.text
    items = {json.loads(attributes["data-item"]) for _, attributes in page.tags if "data-item" in attributes}
    assert {"nul\0byte", "x" * 900, "<script>alert(1)</script>"} <= items | set(map(str, items))
    assert "49" not in [text for text in page.text.split() if text == "{{ 7 * 7 }}"]


def test_the_page_asks_nothing_of_any_network(store: Store, read_page: Any) -> None:
    html = report_page(store).html
    page = read_page(html)
    assert not [attributes for _, attributes in page.tags if attributes.keys() & {"src", "href", "action", "srcset"}]
    assert not re.search(r"url\(|@import|https?:", re.search(r"<style>(.*?)</style>", html, re.DOTALL)[1])  # type: ignore[index]
    policy = [attributes["content"] for _, attributes in page.tags if "http-equiv" in attributes]
    assert policy == ["default-src 'none'; style-src 'unsafe-inline'"]


def test_every_drawing_is_said_in_words_and_every_text_keeps_its_direction(store: Store, read_page: Any) -> None:
    page = read_page(report_page(store).html)
    drawings = [attributes for tag, attributes in page.tags if tag == "svg"]
    assert len(drawings) > 15
    assert all(
        drawing.get("aria-hidden") or (drawing["role"] == "img" and drawing["aria-label"]) for drawing in drawings
    )
    (records,) = [one["aria-label"] for one in drawings if (one.get("aria-label") or "").startswith("Records, every")]
    answers = store.query(measures=["count"], step=timedelta(minutes=1)).rows
    peak = max(answers, key=lambda answer: answer.values["count"])
    assert records == (
        f"Records, every minute: highest {peak.values['count']} at {peak.start:%H:%M}, "
        f"last {answers[-1].values['count']}"
    )
    languages = [attributes["lang"] for tag, attributes in page.tags if tag == "bdi" and "lang" in attributes]
    assert set(languages) == {"en", "ja", "ar"}


def test_an_empty_store_says_so(new_store: Any, read_page: Any) -> None:
    page = read_page(report_page(new_store({"lang": []}), rises=[]).html)
    assert "There is no window in this store yet." in page.text
    assert page.of("leaf bytes") == [0] * 6


def test_one_window_needs_no_drawing(new_store: Any, read_page: Any, ask_again: Any) -> None:
    store = new_store({"lang": ["en"]}, 1)
    page = read_page(report_page(store).html)
    assert ask_again(store, page.numbers)
    assert "1 window of 1 minute" in page.text
    assert {tag for tag, _ in page.tags} & {"svg", "details"} == set()
    assert "Over time" not in page.text


def test_a_store_without_keys_or_numbers_has_its_lists(read_page: Any, ask_again: Any, tmp_path: Path) -> None:
    frequent = StoredMeasure(HeavyHitters(9), Question("top", (3,)))
    with Store.create(str(tmp_path / "plain.db"), window=60_000_000, by={}, measures={"own": frequent}) as store:
        sketch = HeavyHitters(9)
        sketch.add_many(["a", "a", "b"])
        store.write("a", [Leaf(0, (), 3, {"own": sketch})])
        page = read_page(report_page(store).html)
        assert ask_again(store, page.numbers) == 2
    assert "By " not in page.text


def test_thousands_of_windows_are_shown_in_steps_of_a_round_length(
    new_store: Any, read_page: Any, ask_again: Any
) -> None:
    store = new_store({"lang": ["en"]}, 5000, events=2)
    page = read_page(report_page(store).html)
    assert "Every hour, in UTC." in page.text
    rows = {(a["data-from"], a["data-to"]) for tag, a in page.tags if tag == "tr" and "data-from" in a}
    assert len(rows) == 84
    assert ask_again(store, page.numbers)


def test_of_hundreds_of_keys_the_largest_are_shown_and_the_others_said(
    new_store: Any, read_page: Any, ask_again: Any
) -> None:
    names = [f"key {n}" for n in range(300)]
    store = new_store({"lang": names}, 3, events=400)
    page = read_page(report_page(store).html)
    assert ask_again(store, page.numbers)
    sizes = [(-row.values["count"], row.group["lang"]) for row in store.query(measures=["count"], by=["lang"])]
    largest = [name for _, name in sorted(sizes)[:12]]
    shown = [json.loads(a["data-where"])["lang"] for tag, a in page.tags if tag == "article"]
    assert shown == largest
    assert page.of("groups") == [12, len(sizes)]
    assert page.of("rest") == [-sum(size for size, _ in sorted(sizes)[12:])]


def test_gaps_are_gaps_and_a_range_without_records_is_shown(new_store: Any, read_page: Any, ask_again: Any) -> None:
    store = new_store({"lang": ["en"]}, 20, skip=lambda at: at in range(5, 9))
    page = read_page(report_page(store).html)
    assert ask_again(store, page.numbers)
    means = [one for one in page.numbers if one.get("measure") == "mean:ms" and not one.get("source")]
    assert len(means) == 1 + 16 + 1  # in all, sixteen windows that have a mean, and in the only group
    empty = read_page(report_page(store, start=NOON + timedelta(minutes=5), end=NOON + timedelta(minutes=9)).html)
    assert "Nothing in this range." in empty.text
    assert ask_again(store, empty.numbers)


def test_damaged_rows_are_named_and_the_others_shown(store: Store, read_page: Any, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "store.db")) as database, database:
        for table in ("leaves", "nodes"):
            keys = "SELECT key_number FROM keys WHERE lang = 'ja'"
            database.execute(f"UPDATE {table} SET sketch = X'00' WHERE measure = 1 AND key_number IN ({keys})")  # noqa: S608
    html, damaged = report_page(store)
    page = read_page(html)
    assert damaged
    assert all("leaves, measure 1, place" in problem for problem in damaged)
    assert "What could not be read" in page.text
    assert damaged[0] in page.text
    shown = [json.loads(a["data-where"]).get("lang", "") for tag, a in page.tags if tag == "article"]
    assert "ja" not in shown
    assert "en" in shown


@pytest.mark.parametrize("group", [("ja", "a"), {"lang": "ja", "device": "a"}])
def test_what_is_rising_is_listed_by_its_score(store: Store, read_page: Any, group: Any) -> None:
    end = NOON + timedelta(minutes=5)
    rises = [
        Rise((), NOON, end, "<i>weak</i>", 7, 2.5, 6.5),
        Rise(group, NOON, end, "強い", 31, 1.0, 12.25),
    ]
    page = read_page(report_page(store, rises=rises).html)
    assert page.of("rise") == [31, 1, 12.25, 7, 2.5, 6.5]
    assert "強い ja · a · 12:00–12:05 31 where 1 was expected 12.2 <i>weak</i> 12:00–12:05" in page.text
    assert ("bdi", {"lang": "ja"}) in page.tags


def test_a_section_of_what_is_rising_is_there_only_where_it_was_asked_for(store: Store, read_page: Any) -> None:
    assert "Rising" not in read_page(report_page(store).html).text
    assert "Nothing came oftener" in read_page(report_page(store, rises=[]).html).text


def test_the_ledger_says_where_every_record_went_in_all_and_by_window(store: Store, read_page: Any) -> None:
    minutes = [NOON + timedelta(minutes=n) for n in range(41)]
    windows = [
        Account({"read": 10, "used": 10 - n % 2, "late": n % 2}, begin, end)
        for n, (begin, end) in enumerate(pairwise(minutes))
    ]
    runs = [Account({"read": 400, "used": 380, "late": 20}), Account({"read": 5, "used": 3, "rejected": 2})]
    page = read_page(report_page(store, accounts=Accounts(runs, windows)).html)
    assert "405 read = 383 used + 20 late + 2 rejected" in page.text
    assert page.of("ledger windows") == [20, 40]
    assert page.of("ledger of window") == [10, 9, 1] * 20
    assert "1 March 2026, 12:39" in page.text
    assert "does not balance" not in page.text


@pytest.mark.parametrize(("used", "told"), [(8, "2 are missing"), (11, "1 were counted twice")])
def test_a_ledger_that_does_not_balance_is_an_alarm(store: Store, read_page: Any, used: int, told: str) -> None:
    page = read_page(report_page(store, accounts=Accounts([Account({"read": 10, "used": used})])).html)
    assert f"{told}: the ledger does not balance" in page.text
    assert "≠" in page.text


@pytest.mark.parametrize(
    ("start", "end", "step", "problem"),
    [
        (NOON + timedelta(minutes=3), NOON, None, "a range must end after it begins"),
        (NOON, None, timedelta(seconds=90), "a step must be a multiple of windows"),
        (NOON, None, timedelta(0), "a step must be a multiple of windows"),
        (NOON + timedelta(seconds=1), None, None, "a range must begin and end with windows"),
    ],
)
def test_what_cannot_be_shown_is_refused(
    store: Store, start: datetime, end: datetime | None, step: timedelta | None, problem: str
) -> None:
    with pytest.raises(ValueError, match=problem):
        report_page(store, start=start, end=end, step=step)
