"""The timelines in docs are what pipelines tell today."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def test_the_timelines_show_what_pipelines_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))  # scripts are not installed
    drawing = importlib.import_module("scripts.draw_timelines")
    drawn = drawing.pictures()
    kept = {path.stem.removeprefix("time-"): path.read_text("utf-8") for path in drawing.PICTURES.glob("time-*.svg")}
    assert drawn == kept, (
        "pipelines tell something else now, or it is drawn otherwise: python -m scripts.draw_timelines"
    )
    page = (ROOT / "docs" / "time.md").read_text("utf-8")
    assert [name for name in drawn if f"(pictures/time-{name}.svg)" not in page] == []
