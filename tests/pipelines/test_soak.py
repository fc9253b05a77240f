"""Two minutes of a live pipeline: its memory does not grow with what it reads, and every record is counted."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.ledger import read_ledger

pytestmark = pytest.mark.prism

_EVENTS = 2000  # a second
_SECONDS = 120


def test_memory_does_not_grow_with_what_is_read(tmp_path: Path, prism: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2]))
    from benchmarks.soak import soak

    found = soak(tmp_path, prism, _EVENTS, _SECONDS)
    (ledger,) = (tmp_path / "out.ledger").iterdir()
    counts, _ = read_ledger(f"{ledger}/")
    assert counts.read == counts.used > _EVENTS * _SECONDS * 0.8
    assert not counts.missing
    # A hundred bytes kept of each record would be 11 MB a minute.
    for sizes in (found.pipeline, found.runner):
        assert found.slope(sizes) < 11
