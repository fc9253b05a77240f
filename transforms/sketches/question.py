"""A question to sketches, as a value: its name and what it takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Question:
    """Asks a sketch by the name of a method, with arguments, or of a property: called with the sketch, it answers.

    Called with a column of sketches it gives the answers of all, where the column has that question.

    >>> from transforms.sketches.count import Count
    >>> Question("count")(Count())
    0
    """

    name: str
    arguments: tuple[Any, ...] = ()

    def __call__(self, sketch: Any) -> Any:
        asked = getattr(sketch, self.name)
        return asked(*self.arguments) if callable(asked) else asked
