"""The generic names: another package of the same name is noticed, and both places are named."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


def run(code: str, place: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(place)}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=place, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("shadow", "code", "complaint"),
    [
        ("models", "import transforms.schemas", "needs its own package 'models'"),
        ("models", "import pipelines.options", "needs its own package 'models'"),
        ("transforms", "import pipelines.options", "needs its own package 'transforms'"),
    ],
)
def test_another_package_of_the_same_name_is_noticed(tmp_path: Path, shadow: str, code: str, complaint: str) -> None:
    (tmp_path / shadow).mkdir()
    (tmp_path / shadow / "__init__.py").touch()
    done = run(code, tmp_path)
    assert done.returncode == 1
    assert complaint in done.stderr
    if shadow == "models":
        assert str(tmp_path / "models") in done.stderr
