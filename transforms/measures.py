"""What to measure, as data: a measure is a column and a question, and can be read from one line of text.

    count                       rows
    sum:bytes  mean:bytes       exact
    min:bytes  max:bytes
    distinct:user@0.02          how many different, with the relative error
    top:hashtags=20             the most frequent; a column of lists counts each item
    top:words=20@0.001          with an error of the counts, relative to all of them
    quantiles:latency=0.5,0.99  with an error of the rank (Kll)
    loghist:latency=0.5,0.99    with a relative error of the value (LogHistogram), the quick one

After @ stands the error that is allowed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from transforms.combining import SketchCombineFn
from transforms.distinct import distinct_count
from transforms.exact import count, largest, mean, smallest, total
from transforms.quantiles import log_quantiles, quantiles
from transforms.top import heavy_hitters

_LINE = re.compile(r"(?P<kind>\w+)(:(?P<column>[^=@]+))?(=(?P<arguments>[^@]*))?(@(?P<error>.+))?")


@dataclass(frozen=True)
class Measure:
    """A question about a column: `Measure("latency", quantiles(0.99))`; without a column, about the rows.

    Rows where the column is null, and nulls in its lists, do not count, as in SQL.
    """

    column: str | None
    combine_fn: SketchCombineFn[Any, Any]


@dataclass(frozen=True)
class _Kind:
    make: Callable[[str, str], SketchCombineFn[Any, Any]]  # of what stands after = and after @
    column: bool = True
    arguments: str | None = None  # an example, where the kind takes them
    error: bool = False


def _named(factory: Callable[..., SketchCombineFn[Any, Any]], *arguments: Any, error: str) -> SketchCombineFn[Any, Any]:
    return factory(*arguments, **({"error": float(error)} if error else {}))


_KINDS = {
    "count": _Kind(lambda _, __: count(), column=False),
    "sum": _Kind(lambda _, __: total()),
    "mean": _Kind(lambda _, __: mean()),
    "min": _Kind(lambda _, __: smallest()),
    "max": _Kind(lambda _, __: largest()),
    "distinct": _Kind(lambda _, error: _named(distinct_count, error=error), error=True),
    "top": _Kind(lambda n, error: _named(heavy_hitters, int(n or 10), error=error), arguments="20", error=True),
    "quantiles": _Kind(lambda qs, error: _named(quantiles, *_ranks(qs), error=error), arguments="0.5,0.99", error=True),
    "loghist": _Kind(
        lambda qs, error: _named(log_quantiles, *_ranks(qs), error=error), arguments="0.5,0.99", error=True
    ),
}


def parse_measure(text: str) -> tuple[str, Measure]:
    """The name and the measure that a line of text declares; the name is its kind and column.

    >>> name, measure = parse_measure("quantiles:latency=0.5,0.99@0.01")
    >>> name, measure.column
    ('quantiles:latency', 'latency')

    Raises ValueError for what is no measure: the rule, what came, and an example.
    """
    match = _LINE.fullmatch(text.strip())
    kind = _KINDS.get(match["kind"]) if match else None
    if not match or not kind:
        raise ValueError(
            f"a measure must begin with one of {', '.join(_KINDS)}, got {text!r}; for example distinct:user"
        )
    name, column, arguments, error = match["kind"], match["column"], match["arguments"], match["error"]
    if bool(column) != kind.column:
        rule = f"needs a column, for example {name}:latency" if kind.column else "takes no column"
        raise ValueError(f"the measure {name} {rule}, got {text!r}")
    if arguments is not None and not kind.arguments:
        raise ValueError(f"the measure {name} takes nothing after =, got {text!r}")
    if error is not None and not kind.error:
        raise ValueError(f"the measure {name} has no error to choose, got {text!r}")
    try:
        made = kind.make(arguments or "", error or "")
    except ValueError as problem:
        example = f"{name}:{column}={kind.arguments}" if kind.arguments else f"{name}:{column}@0.02"
        raise ValueError(f"cannot read the measure {text!r}: {problem}; for example {example}") from problem
    return f"{name}:{column}" if column else name, Measure(column, made)


def parse_measures(texts: Iterable[str]) -> dict[str, Measure]:
    """Several measures by name; ValueError where two have one name."""
    measures: dict[str, Measure] = {}
    for text in texts:
        name, measure = parse_measure(text)
        if name in measures:
            raise ValueError(f"there must be one measure {name}, got another one: {text!r}")
        measures[name] = measure
    return measures


def _ranks(text: str) -> tuple[float, ...]:
    return tuple(float(part) for part in text.split(",")) if text else (0.5, 0.99)
