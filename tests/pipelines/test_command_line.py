"""The command line, run as a user runs it: what it lists, refuses, writes, and how it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import orjson
import pytest

from pipelines.__main__ import PIPELINES
from rollups import Store, StoredMeasure
from transforms.sketches import Count, Question

GOOD = '{"id":"%d","created_at":"2026-03-01T12:00:%02dZ","text":"number %d"}\n'


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "pipelines", *map(str, arguments)]


def run(*arguments: object, cwd: Path | None = None, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments), cwd=cwd, env={**os.environ, **more}, capture_output=True, text=True, check=False
    )


def tweets(path: Path, count: int) -> Path:
    path.write_text("".join(GOOD % (n, n % 60, n) for n in range(count)))
    return path


def test_it_lists_the_pipelines_with_a_sentence_each() -> None:
    done = run()
    assert done.returncode == 0
    for name in PIPELINES:
        (line,) = (line for line in done.stdout.splitlines() if line.strip().startswith(name))
        assert line.endswith(".")
        assert len(line.split()) > 4


@pytest.mark.parametrize("name", PIPELINES)
def test_help_teaches_with_an_example(name: str) -> None:
    done = run(name, "--help")
    assert done.returncode == 0
    assert f"    python -m pipelines {name} " in done.stdout
    assert "apitools" not in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["plan", "--help"],
        ["query", "--help"],
        ["query", "STORE", "--last", "1h", "--by", "lang"],
        ["query", "--store", "nowhere.db"],
        ["report", "STORE", "--output", os.devnull],
    ],
)
def test_what_runs_no_pipeline_starts_without_beam(arguments: list[str], tmp_path: Path) -> None:
    place = str(tmp_path / "store.db")
    count = StoredMeasure(Count(), Question("count"))
    Store.create(place, window=1_000_000, by={"lang": "text"}, measures={"count": count}).close()
    words = [place if word == "STORE" else word for word in arguments]
    program = (
        "import atexit, sys; atexit.register(lambda: print('apache_beam' in sys.modules));"
        f"from pipelines.__main__ import main; sys.exit(main({words}))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1] == "False"
    assert done.returncode == (2 if "nowhere.db" in words else 0)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["colect_tweets"], "did you mean collect_tweets?"),
        (["collect_tweets", "--inptu", "x"], "there is no option --inptu: did you mean --input?"),
        (["collect_tweets", "--input", "nowhere.jsonl", "--output", "out/"], "no file matches 'nowhere.jsonl'"),
        (["collect_tweets", "--input", "a.jsonl", "--output", "out/", "--limit", "0"], "limit must be at least 1"),
        (["train_language", "--input", "a.jsonl", "--output", "model.pkl"], "output must end in .safetensors"),
        (["filter_language", "--input", "a.jsonl", "--model", "none.safetensors", "--output", "-", "--language", "ja"],
         "there is no model 'none.safetensors'"),
        (["filter_language", "--input", "a.jsonl", "--model", "m", "--output", "-"], "give either cluster or language"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_in_one_line_with_exit_code_2(
    arguments: list[str], complaint: str, tmp_path: Path
) -> None:
    tweets(tmp_path / "a.jsonl", 1)
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["a.jsonl"]


def test_a_run_that_fails_says_which_step_and_why_with_exit_code_1(tmp_path: Path) -> None:
    source = tweets(tmp_path / "a.jsonl", 3)
    (tmp_path / "taken").touch()
    done = run("collect_tweets", "--input", source, "--output", tmp_path / "taken" / "out")
    assert done.returncode == 1
    assert "step Write/Write failed: " in done.stderr
    assert "Traceback" not in done.stderr
    assert "Traceback" in run(
        "collect_tweets", "--input", source, "--output", tmp_path / "taken" / "out", STREAMSKETCH_TRACEBACK="1"
    ).stderr  # fmt: skip


def test_collecting_twice_adds_nothing_and_the_ledger_balances(tmp_path: Path) -> None:
    source = tweets(tmp_path / "a.jsonl", 90)
    with source.open("a") as more:
        more.write("not a tweet\n")
    for _ in range(2):
        done = run("collect_tweets", "--input", source, "--output", tmp_path / "out", "--format", "jsonl")
        assert done.returncode == 0
        assert "collect_tweets: 91 read = 90 used + 1 rejected" in done.stderr
    (part,) = (tmp_path / "out").iterdir()
    assert len(part.read_bytes().splitlines()) == 90
    (reject,) = (tmp_path / "out.rejects").iterdir()
    assert orjson.loads(reject.read_bytes())["raw"] == "not a tweet"
    assert len(list((tmp_path / "out.ledger").iterdir())) == 2


def test_the_limit_stops_the_collection(tmp_path: Path) -> None:
    source = tweets(tmp_path / "a.jsonl", 50)
    done = run("collect_tweets", "--input", source, "--output", "-", "--limit", 7)
    assert [orjson.loads(line)["id"] for line in done.stdout.splitlines()] == [str(number) for number in range(7)]


def test_ctrl_c_ends_cleanly_and_says_what_was_done(tmp_path: Path) -> None:
    with subprocess.Popen(
        command("collect_tweets", "--input", "-", "--output", tmp_path / "out"),
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin
        assert process.stderr
        for number in range(5000):
            process.stdin.write(GOOD % (number, number % 60, number))
        process.stdin.flush()
        time.sleep(4)  # the input stays open: it waits for more
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
        assert process.wait(20) == 130
    assert "interrupted. collect_tweets: 5,000 read" in said
    assert "Traceback" not in said
    assert not list(tmp_path.glob("out/*"))
