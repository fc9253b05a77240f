"""Addresses of systems, as a user writes them: kafka://host:9092/topic?group=words&bound=5s."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit, urlunsplit


def parse_address(uri: str, parameters: Mapping[str, Callable[[str], Any]]) -> tuple[SplitResult, dict[str, Any]]:
    """The parts of an address, and the values of its parameters, converted.

    Raises ValueError for a parameter that is not among `parameters`, comes twice or has a value that cannot be, and for
    a password: what is secret is named, not written (see `secret`).

    >>> parts, values = parse_address("kafka://localhost:9092/words?group=g", {"group": str})
    >>> parts.port, parts.path, values
    (9092, '/words', {'group': 'g'})
    """
    parts = urlsplit(uri)
    if parts.password:
        raise ValueError(
            f"an address holds no password, got one for {parts.username}@{parts.hostname}: "
            "name a variable or a file that holds it, as password=env:NAME or password=file:PATH"
        )
    values: dict[str, Any] = {}
    for name, text in parse_qsl(parts.query, keep_blank_values=True):
        if name not in parameters:
            near = difflib.get_close_matches(name, parameters, n=1)
            advice = f"did you mean {near[0]}?" if near else f"it knows {', '.join(sorted(parameters))}"
            raise ValueError(f"{uri.partition('?')[0]} has no parameter {name!r}: {advice}")
        if name in values:
            raise ValueError(f"{uri.partition('?')[0]} takes {name!r} once, got it twice")
        try:
            values[name] = parameters[name](text)
        except ValueError as error:
            raise ValueError(f"{name}={text}: {error}") from error
    return parts, values


def take_parameters(uri: str, parameters: Mapping[str, Callable[[str], Any]]) -> tuple[str, dict[str, Any]]:
    """An address without some parameters, which it may have or not, and their values, converted; others stay in it.

    >>> take_parameters("kafka://localhost:9092/words?group=g&rate=10", {"rate": float})
    ('kafka://localhost:9092/words?group=g', {'rate': 10.0})
    """
    parts = urlsplit(uri)
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    values: dict[str, Any] = {}
    for name, text in pairs:
        if name in parameters:
            try:
                values[name] = parameters[name](text)
            except ValueError as error:
                raise ValueError(f"{name}={text}: {error}") from error
    rest = urlencode([(name, text) for name, text in pairs if name not in parameters], safe=":/,")
    return urlunsplit(parts._replace(query=rest)), values


def yes_or_no(text: str) -> bool:
    """A parameter that is yes or no."""
    if text not in {"yes", "no"}:
        raise ValueError("must be yes or no")
    return text == "yes"


def secret(reference: str) -> str:
    """What a reference to a secret stands for: env:NAME is a variable, file:PATH a file. Read where it is needed.

    Addresses are seen in graphs and logs, so they hold references only. Raises ValueError where there is none.
    """
    kind, _, name = reference.partition(":")
    if kind == "env" and name in os.environ:
        return os.environ[name]
    if kind == "file" and Path(name).is_file():
        return Path(name).read_text(encoding="utf-8").strip()
    if kind in {"env", "file"}:
        raise ValueError(f"there is no {'variable' if kind == 'env' else 'file'} {name!r}, which {reference} refers to")
    raise ValueError("a secret is named as env:NAME or file:PATH, and never written into an address")
