"""Which code tells languages: numba's where it works, numpy's where it does not, and what the environment says."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

TELL = "from models.language.classifier import default; print(default().predict(['good morning everyone']).labels)"
WITHOUT_NUMBA = f"import sys; sys.modules['numba'] = None; {TELL}"
NUMBA_FAILS = f"import sys, types; sys.modules['numba'] = types.ModuleType('numba'); {TELL}"


def run(code: str, choice: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "STREAMSKETCH_KERNELS": choice}
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("code", "choice"), [(TELL, ""), (TELL, "numpy"), (TELL, "compiled"), (WITHOUT_NUMBA, ""), (WITHOUT_NUMBA, "numpy")]
)
def test_languages_are_told_with_numba_and_without(code: str, choice: str) -> None:
    done = run(code, choice)
    assert done.stdout == "['en']\n", done.stderr
    assert not done.stderr


def test_numba_that_fails_is_told_and_replaced() -> None:
    done = run(NUMBA_FAILS, "")
    assert done.stdout == "['en']\n"
    assert "languages are told by numpy alone, since numba fails" in done.stderr


@pytest.mark.parametrize(
    ("code", "choice", "rule"),
    [
        (WITHOUT_NUMBA, "compiled", "STREAMSKETCH_KERNELS=compiled, but numba cannot be used"),
        (NUMBA_FAILS, "compiled", "STREAMSKETCH_KERNELS=compiled, but numba cannot be used"),
        (TELL, "cython", "must be numpy or compiled, got 'cython'"),
    ],
)
def test_a_choice_that_cannot_be_is_refused(code: str, choice: str, rule: str) -> None:
    done = run(code, choice)
    assert done.returncode == 1
    assert rule in done.stderr
