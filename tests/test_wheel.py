"""The wheel, in a fresh virtual environment outside the checkout, serves a user's own pipeline and its test."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "docs" / "library_example"

pytestmark = pytest.mark.wheel


def run(*command: object, cwd: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([*map(str, command)], cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a user's files and a virtual environment that holds the wheel, its dependencies, and pytest."""
    place = tmp_path_factory.mktemp("outside")
    source = shutil.copytree(
        ROOT, place / "source", ignore=shutil.ignore_patterns(".venv", ".git", "*.egg-info", "build")
    )
    run(
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        place,
        source,
        cwd=place,
    )
    shutil.rmtree(source)
    venv.create(place / "venv", with_pip=True)
    (wheel,) = place.glob("*.whl")
    constraints = place / "constraints.txt"
    pinned = (line.split(" ")[0] for line in (ROOT / "requirements.lock").read_text().splitlines() if "==" in line[:60])
    constraints.write_text("".join(f"{pin}\n" for pin in pinned if not pin.startswith((" ", "#"))))
    run(place / "venv/bin/pip", "install", "--quiet", "-c", constraints, wheel, "pytest", cwd=place)
    for file in EXAMPLE.glob("*.py"):
        shutil.copy(file, place)
    return place


def test_a_users_own_test_passes(outside: Path) -> None:
    said = run(outside / "venv/bin/python", "-m", "pytest", "-q", "test_languages_per_minute.py", cwd=outside)
    assert "1 passed" in said


def test_a_users_own_pipeline_reads_the_sample(outside: Path) -> None:
    run(outside / "venv/bin/python", "languages_per_minute.py", "sample:tweets.jsonl", "counts.jsonl", cwd=outside)
    assert "2026-03-01T12:" in (outside / "counts.jsonl").read_text()


def test_the_command_line_runs_from_the_wheel(outside: Path) -> None:
    run(outside / "venv/bin/python", "-m", "pipelines", "collect_tweets", "--input", "sample:tweets.jsonl",
        "--output", "tweets/", cwd=outside)  # fmt: skip
    assert list((outside / "tweets").glob("*.avro"))
