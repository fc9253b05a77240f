"""Every command that the README and the help show is run, as it stands."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
NAMES = (
    "trending",
    "collect_tweets",
    "examine_tweets",
    "train_language",
    "filter_language",
    "classify_tweets",
    "train_classifier",
    "evaluate_language",
    "detect_language",
    "word_count",
    "rollup",
    "query",
    "report",
    "plan",
    "replay_rejects",
    "compact",
)


def commands_of_the_readme() -> list[str]:
    found = re.findall(r"^\./run_local\.sh +((?!test)\w+ +[^\s#].*)$", (ROOT / "README.md").read_text(), re.MULTILINE)
    return [re.sub(" #.*", "", command) for command in found]


def commands_of_the_help() -> list[str]:
    sources = ((ROOT / "pipelines" / f"{name}.py").read_text() for name in NAMES)
    return [
        command for text in sources for command in re.findall(r"^    python -m pipelines (.*)$", text, re.MULTILINE)
    ]


@pytest.mark.parametrize("commands", [commands_of_the_readme(), commands_of_the_help()], ids=["readme", "help"])
def test_the_commands_run_one_after_the_other(commands: list[str], tmp_path: Path) -> None:
    assert list(dict.fromkeys(command.split()[0] for command in commands)) == list(NAMES)
    for command in commands:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "pipelines", *shlex.split(command)],
            cwd=tmp_path, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert "MISSING" not in done.stderr
    assert {"tweets", "profile.json", "language.safetensors", "ja.jsonl", "runs"} <= {
        p.name for p in tmp_path.iterdir()
    }
