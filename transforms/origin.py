"""Notices when another package takes the place of one of ours: their names are generic, and others have them too."""

from __future__ import annotations

import importlib.util
from pathlib import Path


def require_sibling(name: str) -> None:
    """Raises ImportError, naming both places, where a package that belongs to streamsketch is not the one found."""
    expected = Path(__file__).parent.parent / name
    spec = importlib.util.find_spec(name)
    found = [Path(place) for place in (spec and spec.submodule_search_locations) or []]
    if expected not in found:
        raise ImportError(
            f"streamsketch needs its own package {name!r} in {expected}, but Python finds "
            f"{', '.join(map(str, found)) or 'none'}: rename that one, or put {expected.parent} before it on sys.path"
        )
