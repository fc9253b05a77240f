"""What is published of accuracy: the data keep the promises, and the page and its pictures show that data."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

DOCS = Path(__file__).parents[3] / "docs"
SOURCE = (DOCS / "data" / "accuracy.json").read_bytes()
SERIES = {(one["sketch"], one["series"]): one for one in json.loads(SOURCE)["series"]}
ERRING = ("HyperLogLog", "CountMin", "HeavyHitters", "MinHash", "Kll", "DyadicQuantiles", "LogHistogram")


def percent(error: float) -> str:
    return f"{100 * error:.2g} %" if error >= 1e-5 or not error else "below 0.001 %"


def row(one: dict[str, Any]) -> str:
    at = one["n"].index(1_000), one["n"].index(1_000_000)
    errors = " | ".join(percent(one["rms"][place]) for place in at)
    whose = one["series"].replace("ours", "streamsketch")
    return f"| {one['sketch']}, {one['parameters']} | {whose} | {errors} | {one['stored'][at[1]]:,} |"


def furthest(sketch: str, series: str, deviations: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The larger of both errors at so many standard deviations, for each length."""
    quantiles = np.array(SERIES[sketch, series]["quantiles"])
    return np.abs(quantiles[:, [3 - deviations, 3 + deviations]]).max(axis=1)


def test_the_error_of_hyperloglog_is_that_of_datasketches_after_union() -> None:
    ours = np.array(SERIES["HyperLogLog", "ours, hashed as DataSketches"]["rms"])
    theirs = np.array(SERIES["HyperLogLog", "DataSketches, after union"]["rms"])
    assert (ours <= 1.05 * theirs).all()
    assert theirs[-10:].min() > 0.01


@pytest.mark.parametrize(
    ("sketch", "promise", "deviations"),
    [
        ("HyperLogLog", 0.049, 2),
        ("CountMin", 0.001, 3),
        ("HeavyHitters", 1 / 97, 3),
        ("MinHash", 0.12, 2),
        ("Kll", 0.0133, 3),
        ("DyadicQuantiles", 0.01, 3),
        ("LogHistogram", 0.01, 3),
        ("SkipList", 0.0, 3),
        ("Moments", 1e-12, 3),
    ],
)
def test_published_errors_keep_the_promise_at_every_length(sketch: str, promise: float, deviations: int) -> None:
    assert (furthest(sketch, "ours", deviations) <= promise).all()


def test_a_filter_says_the_rate_that_was_measured() -> None:
    measured, said = (np.array(SERIES["Bloom", series]["rms"]) for series in ("ours", "what error_now() says"))
    assert np.allclose(measured, said, rtol=0.1, atol=1e-5)
    assert measured[SERIES["Bloom", "ours"]["n"].index(100_000)] <= 1.2 * 0.01


def test_the_page_states_what_was_measured() -> None:
    page = (DOCS / "sketches.md").read_text()
    for one in SERIES.values():
        if one["sketch"] in ERRING:
            assert row(one) in page


def test_pictures_were_drawn_from_the_data_and_are_small() -> None:
    drawn_from = f"accuracy.json {hashlib.blake2b(SOURCE, digest_size=8).hexdigest()}"
    pictures = {path.name: path.read_text() for path in (DOCS / "pictures").glob("[am]*.svg")}
    page = (DOCS / "sketches.md").read_text()
    assert set(pictures) == {"memory.svg", "accuracy-bloom.svg", *(f"accuracy-{name.lower()}.svg" for name in ERRING)}
    for name, picture in pictures.items():
        assert f"<dc:description>{drawn_from}</dc:description>" in picture
        assert len(picture) < 60_000
        assert f"(pictures/{name})" in page
