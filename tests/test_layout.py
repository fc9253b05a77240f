"""The house stands as drawn: names resolve to this tree, and nothing shadows them."""

from __future__ import annotations

import importlib
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("name", ["pipelines", "transforms", "rollups", "reports", "models"])
def test_the_generic_names_resolve_to_this_tree(name: str) -> None:
    assert Path(str(importlib.import_module(name).__file__)).parent == ROOT / name


def test_the_tests_are_no_package_so_that_they_shadow_nothing() -> None:
    assert not list((ROOT / "tests").rglob("__init__.py"))


def test_every_pipeline_has_one_stem() -> None:
    from pipelines.__main__ import PIPELINES

    assert {path.stem for path in (ROOT / "pipelines").glob("*.py")} >= set(PIPELINES)


def test_the_wheel_holds_every_package() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    names = ("pipelines", "transforms", "rollups", "reports", "models")
    inits = [init for name in names for init in (ROOT / name).rglob("__init__.py")]
    there = [init.parent for init in inits]
    assert sorted(declared) == sorted(".".join(package.relative_to(ROOT).parts) for package in there)
