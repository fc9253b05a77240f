"""Live runs on Prism: files appear while words are counted, Ctrl-C drains, nothing is lost and nothing counts twice."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from pipelines.ledger import read_ledger

if TYPE_CHECKING:
    from tests.pipelines.conftest import Run, RunLive

pytestmark = pytest.mark.prism

_PATIENCE = 90.0  # seconds, for what takes a second or two where nothing else is going on


@contextmanager
def word_count(folder: Path, run_live: RunLive, window: str) -> Iterator[Run]:
    (folder / "texts").mkdir()
    flags = ["--input", f"watch:{folder}/texts", "--output", f"{folder}/counts/", "--window", window]
    with run_live("word_count", *flags) as run:
        yield run


def counts(folder: Path) -> list[Path]:
    return sorted((folder / "counts").glob("[!.]*.jsonl"))


@dataclass
class Texts:
    """Writes files of texts with times of their own, and keeps what must become of each."""

    folder: Path
    chance: random.Random
    files: int = 0
    used: list[tuple[float, str]] = field(default_factory=list)
    late: list[tuple[float, str]] = field(default_factory=list)
    rejected: int = 0

    def write(self, number: int) -> None:
        """A file appears, complete: clocks are ten minutes off, and one text of twenty is far too late."""
        lines = []
        for _ in range(number):
            kind = self.chance.choices(["good", "late", "ahead", "behind", "broken"], [89, 5, 2, 2, 2])[0]
            if kind == "broken":
                lines.append(b'{"text": 1}')
                self.rejected += 1
                continue
            age = {
                "good": min(self.chance.expovariate(0.2), 30),
                "late": self.chance.uniform(200, 300),
                "ahead": -600,
                "behind": 600,
            }[kind]
            at = round(time.time() - age, 3)
            text = f"to be w{self.chance.randrange(30)} {self.files}:{len(lines)}"
            (self.late if kind in {"late", "behind"} else self.used).append((at, text))
            lines.append(orjson.dumps({"text": text, "created_at": datetime.fromtimestamp(at, UTC)}))
        hidden = self.folder / f".{self.files}.jsonl"
        hidden.write_bytes(b"\n".join(lines))
        hidden.rename(self.folder / f"{self.files:04}.jsonl")
        self.files += 1


def starts_of(at: float, size: int, period: int) -> list[float]:
    """Where the windows begin that hold a time, the last one last."""
    last = at // period * period
    return [last - period * back for back in reversed(range(size // period))]


def moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def words_in(texts: list[tuple[float, str]], size: int, period: int) -> Counter[tuple[float, str]]:
    return Counter(
        (start, word) for at, text in texts for start in starts_of(at, size, period) for word in text.split()
    )


def told(parts: list[Path], rows_of: Callable[..., list[dict[str, Any]]]) -> Counter[tuple[float, str]]:
    """The counts of all part files: those that came late are added, as discarding windows tell them."""
    counts: Counter[tuple[float, str]] = Counter()
    for row in rows_of(*parts):
        counts[moment(row["window_start"]), row["word"]] += row["count"]
    return counts


@pytest.mark.parametrize(("window", "size", "period"), [("5s, lateness 1m", 5, 5), ("20s/5s, lateness 1m", 20, 5)])
def test_what_appears_while_it_runs_is_counted_once_or_told_late(
    tmp_path: Path, run_live: RunLive, rows_of: Callable[..., list[Any]], window: str, size: int, period: int
) -> None:
    with word_count(tmp_path, run_live, window) as run:
        texts = Texts(tmp_path / "texts", random.Random(7))
        begun = time.monotonic()
        while time.monotonic() - begun < 15 or not list(tmp_path.glob("counts.ledger/*/[!.]*")):
            texts.write(200)
            assert run.process.poll() is None, run.said()
            assert time.monotonic() - begun < _PATIENCE, run.said()
            time.sleep(0.3)
        (ledgers,) = (tmp_path / "counts.ledger").iterdir()
        before, _ = read_ledger(f"{ledgers}/")
        texts.write(50)  # and at once:
        run.press_ctrl_c()
        run.wait_for_the_end()
    used, late = texts.used, texts.late
    assert told(counts(tmp_path), rows_of) == words_in(used, size, period)
    aside = rows_of(*(tmp_path / "counts.late").glob("[!.]*"))
    assert Counter(row["text"] for row in aside) == Counter(text for _, text in late)
    assert {(row["text"], moment(row["window_start"])) for row in aside} == {
        (text, starts_of(at, size, period)[-1]) for at, text in late
    }
    assert len(rows_of(*(tmp_path / "counts.rejects").glob("[!.]*"))) == texts.rejected
    ledger, windows = read_ledger(f"{ledgers}/")
    assert str(ledger) in run.said()
    assert (ledger.used, ledger.late, ledger.rejected) == (len(used), len(late), texts.rejected)
    assert ledger.missing == 0
    assert 0 < before.read < ledger.read  # it was told while it ran
    for texts_of, name in ((used, "used"), (late, "late"), (used + late, "read")):
        expected = Counter(starts_of(at, size, period)[-1] for at, _ in texts_of)
        told_of = {w.window_start.timestamp(): getattr(w, name) for w in windows if w.window_start}
        assert {start: number for start, number in told_of.items() if number} == expected, name


def test_lines_count_when_their_file_appeared(
    tmp_path: Path, run_live: RunLive, rows_of: Callable[..., list[Any]]
) -> None:
    with word_count(tmp_path, run_live, "2s") as run:
        for number in range(12):
            hidden = tmp_path / "texts" / f".{number}.txt"
            hidden.write_text(f"to be {number}\n" * 50)
            hidden.rename(tmp_path / "texts" / f"{number}.txt")
            time.sleep(0.5)
        run.wait_for(lambda: bool(counts(tmp_path)), "a window is told")
        run.press_ctrl_c()
        run.wait_for_the_end()
    words: Counter[str] = Counter()
    for row in rows_of(*counts(tmp_path)):
        words[row["word"]] += row["count"]
    assert words == {"to": 600, "be": 600} | {str(number): 50 for number in range(12)}
    assert "word_count: 600 read = 600 used" in run.said()
