"""A page as a real Chromium shows it: nothing overflows, nothing overlaps, every number is the store's."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from reports.holdings import Account, Accounts
from reports.page import report_page
from rollups import Store

pytestmark = pytest.mark.browser

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOSTILE = "</title></style><script>alert(1)</script>"

# What each number says of itself, of the head of its column, or of what holds it.
_NUMBERS = """() => [...document.querySelectorAll('[data-value]')].map(number => {
    const cell = number.closest('td'), head = cell && cell.closest('table').tHead?.rows[0].cells[cell.cellIndex];
    const said = {};
    for (const name of ['value', 'source', 'bound', 'measure', 'from', 'to', 'where', 'at', 'item']) {
        const key = 'data-' + name;
        const holder = number.closest(`[${key}]`);
        const told = head?.hasAttribute(key) && !cell.contains(holder) ? head : holder;
        if (told) said[name] = told.getAttribute(key);
    }
    return said;
})"""

# Elements that reach over the edge of the window, or of a box that does not scroll.
_OVERFLOWING = """() => [...document.body.querySelectorAll('*')].filter(element => {
    if (element.closest('.scroll, .unseen, svg, thead') || !element.checkVisibility()) return false;
    const box = element.getBoundingClientRect();
    return box.right > document.documentElement.clientWidth + 0.5 || box.left < -0.5
        || (element.scrollWidth > element.clientWidth + 1 && getComputedStyle(element).overflowX !== 'visible');
}).map(element => element.outerHTML.slice(0, 200))"""

# Pieces of text that lie on each other: the lines of every text, as they are drawn.
_OVERLAPPING = """() => {
    const lines = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const text = walker.currentNode, parent = text.parentElement;
        if (!text.data.trim() || parent.closest('.unseen, svg, .scroll, thead') || !parent.checkVisibility()) continue;
        const range = document.createRange();
        range.selectNodeContents(text);
        for (const box of range.getClientRects())
            if (box.width > 1) lines.push({box, text: text.data.trim().slice(0, 40)});
    }
    lines.sort((one, other) => one.box.top - other.box.top);
    const found = [];
    lines.forEach((one, at) => {
        for (const other of lines.slice(at + 1)) {
            if (other.box.top > one.box.bottom) break;
            const across = Math.min(one.box.right, other.box.right) - Math.max(one.box.left, other.box.left);
            const down = Math.min(one.box.bottom, other.box.bottom) - Math.max(one.box.top, other.box.top);
            if (across > 1 && down > 0.45 * Math.min(one.box.height, other.box.height))
                found.push([one.text, other.text]);
        }
    });
    return found;
}"""

# The contrast of the colour of each text with what is behind it, as WCAG 2 reckons it.
_FAINT = """() => {
    const light = colour => {
        const [r, g, b] = colour.match(/[\\d.]+/g).slice(0, 3).map(Number)
            .map(part => part / 255).map(part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const paper = light(getComputedStyle(document.body).backgroundColor), found = new Set();
    for (const element of document.body.querySelectorAll('*')) {
        if (![...element.childNodes].some(node => node.nodeType === 3 && node.data.trim())) continue;
        const ink = light(getComputedStyle(element).color);
        const contrast = (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
        if (contrast < 4.5) found.add(`${element.className || element.tagName} ${contrast.toFixed(2)}`);
    }
    return [...found];
}"""

# Whether texts in Arabic script stand to the left of the number that follows them, as all others do.
_BEFORE_ITS_NUMBER = """() => [...document.querySelectorAll('.list [data-item] > bdi')]
    .filter(text => /^[\u0600-\u06ff]/.test(text.textContent))
    .map(text => [text, text.nextElementSibling].map(each => each.getBoundingClientRect()))
    .map(([text, number]) => text.right <= number.left + 1)"""


@dataclass(frozen=True)
class Rise:
    group: tuple[Any, ...]
    start: datetime
    end: datetime
    item: Any
    count: int
    expected: float
    score: float


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A browser, talked to through a pipe: no port is open."""
    from playwright.sync_api import sync_playwright

    place = shutil.which("chromium")
    assert place, "Chromium must be installed: apt-get install chromium fonts-noto-core fonts-noto-cjk"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=place, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def store(new_store: Any) -> Store:
    """Half an hour of texts and keys that are hard to set."""
    keys = ["en", "ja", "ar", "und", None, HOSTILE, "x" * 2000, "\u202eevil", "مرحبا", "日本語のとても長い名前" * 9]
    made: Store = new_store({"lang": keys, "a rather long name of a key": ["a"] * 9 + ["b"]}, 30, events=300)
    return made


@pytest.fixture
def page(store: Store, tmp_path: Path) -> Path:
    """All sections of it."""
    place = tmp_path / "page.html"
    minutes = [NOON + timedelta(minutes=n) for n in range(31)]
    windows = [Account({"read": 9, "used": 8, "late": 1}, *bounds) for bounds in pairwise(minutes)]
    rises = [
        Rise(("ja", "a"), minutes[5], minutes[10], "決勝" * 40, 31, 1.5, 12.25),
        Rise((HOSTILE, "a"), minutes[5], minutes[10], HOSTILE, 31, 1.5, 12.0),
    ]
    accounts = Accounts([Account({"read": 270, "used": 240, "late": 30})], windows)
    place.write_text(
        report_page(store, title=f"{HOSTILE} {'word ' * 30}", rises=rises, accounts=accounts).html, encoding="utf-8"
    )
    return place


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_a_page_fits_its_window_and_all_of_it_can_be_read(
    chromium: Any, page: Path, tmp_path: Path, width: int, scheme: str
) -> None:
    complaints: list[str] = []
    tab = chromium.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    tab.on("console", lambda message: complaints.append(message.text))
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.on("dialog", lambda dialog: complaints.append(dialog.message))
    tab.on("request", lambda request: complaints.append(request.url) if request.url != page.as_uri() else None)
    tab.goto(page.as_uri())
    for opened in (False, True):
        tab.evaluate("opened => document.querySelectorAll('details').forEach(each => { each.open = opened })", opened)
        assert tab.evaluate("document.documentElement.scrollWidth") == width
        assert tab.evaluate(_OVERFLOWING) == []
        assert tab.evaluate(_OVERLAPPING) == []
    assert tab.evaluate(_FAINT) == []
    paper = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, paper.removeprefix("rgb(").removesuffix(")").split(","))) < 384) == (scheme == "dark")
    picture = tmp_path / "page.png"
    tab.screenshot(path=picture, full_page=True)
    assert picture.stat().st_size > 100_000
    assert complaints == []
    tab.close()


def test_every_number_that_a_browser_has_is_the_stores(chromium: Any, page: Path, store: Store, ask_again: Any) -> None:
    tab = chromium.new_page()
    tab.goto(page.as_uri())
    numbers = tab.evaluate(_NUMBERS)
    assert ask_again(store, numbers) > 1000
    shown = tab.evaluate("[...document.querySelectorAll('[data-value]')].map(each => each.textContent)")
    for said, text in zip(numbers, shown, strict=True):
        assert text.strip(), said
    tab.close()


def test_a_text_reads_in_its_own_direction_beside_its_number(chromium: Any, page: Path) -> None:
    tab = chromium.new_page(viewport={"width": 1280, "height": 900})
    tab.goto(page.as_uri())
    right = tab.evaluate(_BEFORE_ITS_NUMBER)
    assert right
    assert all(right)
    tab.close()
