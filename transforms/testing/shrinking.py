"""Makes a story smaller for as long as it keeps showing what it shows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, TypeVar

from transforms.testing.stories import Bundle, Story

P = TypeVar("P")

_ATTEMPTS = 300


def smallest(story: Story, problem: P, problem_of: Callable[[Story], P | None]) -> tuple[Story, P]:
    """The smallest story found that has a problem, and that problem: no step and no record can be left out of it."""
    tried = {repr(story)}
    attempts = _ATTEMPTS
    smaller = _smaller(story)
    while attempts and (candidate := next(smaller, None)) is not None:
        if repr(candidate) in tried:
            continue
        tried.add(repr(candidate))
        attempts -= 1
        found = problem_of(candidate)
        if found is not None:
            story, problem, smaller = candidate, found, _smaller(candidate)
    return story, problem


def _smaller(story: Story) -> Iterator[Story]:
    """The story without a half of its steps, a quarter, down to one; with bundles cut, likewise; with two made one."""
    for steps in _without(story.steps):
        yield replace(story, steps=steps)
    for place, step in enumerate(story.steps):
        before, after = story.steps[:place], story.steps[place + 1 :]
        if isinstance(step, Bundle):
            for records in _without(step.records):
                if records:
                    yield replace(story, steps=(*before, Bundle(records), *after))
            if after and isinstance(after[0], Bundle):
                yield replace(story, steps=(*before, Bundle(step.records + after[0].records), *after[1:]))


def _without(items: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    size = len(items)
    while size:
        for start in range(0, len(items), size):
            yield items[:start] + items[start + size :]
        size //= 2
