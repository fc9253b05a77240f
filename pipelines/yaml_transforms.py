"""Questions to streams for pipelines in Beam YAML: rows in, rows out, as templates/yaml/providers.yaml names them.

    python -m apache_beam.yaml.main --yaml_pipeline_file=templates/yaml/requests.yaml --jinja_variables='{…}'

They answer for each window and each value of the columns in `by`, as rows with these columns, window_start and
window_end (RFC 3339), and the answer; windows are those of YAML's `windowing`. Needs pip install 'streamsketch[yaml]'.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import apache_beam as beam
from apache_beam.typehints.row_type import RowTypeConstraint
from apache_beam.typehints.schemas import named_fields_from_element_type

from transforms.combining import CombineSketchPerKey, SketchCombineFn
from transforms.deduplication import DeduplicateApproximately
from transforms.distinct import distinct_count
from transforms.quantiles import quantiles
from transforms.top import heavy_hitters
from transforms.windowing import window_bounds

# Names and types of the columns of answers; the type None is that of the column asked about.
_Columns = Sequence[tuple[str, type | None]]
_WINDOW = [("window_start", str | None), ("window_end", str | None)]  # null of the one window of all time


class _Question(beam.PTransform):
    """One question about a column, for each window and key: PCollection[Row] -> PCollection[Row]."""

    def __init__(
        self,
        column: str,
        by: list[str] | None,
        combine_fn: SketchCombineFn[Any, Any],
        columns: _Columns,
        tell: Callable[[Any], Iterator[tuple[Any, ...]]],
    ) -> None:
        super().__init__()
        self._column, self._by, self._combine_fn = column, list(by or []), combine_fn
        self._columns, self._tell = columns, tell

    def expand(self, rows: beam.PCollection) -> beam.PCollection:
        kinds = dict(named_fields_from_element_type(rows.element_type))
        if missing := {self._column, *self._by} - set(kinds):
            raise ValueError(f"rows must have {', '.join(sorted(missing))}, they have {', '.join(kinds)}")
        kind: Any = kinds[self._column]
        key: Any = tuple[tuple([kinds[name] for name in self._by])] if self._by else tuple[()]  # type: ignore[misc]
        told = [(name, kinds[self._column] if kind is None else kind) for name, kind in self._columns]
        fields = [*((name, kinds[name]) for name in self._by), *_WINDOW, *told]
        names, tell = [name for name, _ in fields], self._tell

        def pair(row: Any, by: list[str] = self._by, column: str = self._column) -> tuple[tuple[Any, ...], Any]:
            return tuple(getattr(row, name) for name in by), getattr(row, column)

        def rows_of(answered: tuple[tuple[Any, ...], Any], window: Any = beam.DoFn.WindowParam) -> Iterator[beam.Row]:
            bounds = [bound and bound.to_rfc3339() for bound in window_bounds(window)]
            for values in tell(answered[1]):
                yield beam.Row(**dict(zip(names, (*answered[0], *bounds, *values), strict=True)))

        return (
            rows
            | "Pair" >> beam.Map(pair).with_output_types(tuple[key, kind])
            | "Answer" >> CombineSketchPerKey(self._combine_fn)
            | "Rows" >> beam.FlatMap(rows_of).with_output_types(RowTypeConstraint.from_fields(fields))
        )


class CountDistinct(_Question):
    """How many different values a column has: distinct, low, high.

    Args:
        column: the column whose values are counted, each once.
        by: the columns of the key; without any there is one answer a window.
        error: the relative error, at 95 % confidence.
    """

    def __init__(self, column: str, by: list[str] | None = None, error: float = 0.02) -> None:
        told = [("distinct", float), ("low", float), ("high", float)]
        super().__init__(column, by, distinct_count(error), told, _estimate)


class TopItems(_Question):
    """The most frequent values of a column, the first of all first: item, count.

    Args:
        column: the column whose values are counted.
        n: how many values are told.
        by: the columns of the key; without any there is one answer a window.
    """

    def __init__(self, column: str, n: int = 10, by: list[str] | None = None) -> None:
        super().__init__(column, by, heavy_hitters(n), [("item", None), ("count", float)], _items)


class Quantiles(_Question):
    """Which value lies at which rank: rank, value, off by at most 1.33 % of all ranks.

    Args:
        column: a column of numbers.
        ranks: from 0 to 1, 0.5 for the median.
        by: the columns of the key; without any there is one answer a window.
    """

    def __init__(self, column: str, ranks: list[float], by: list[str] | None = None) -> None:
        super().__init__(column, by, quantiles(*ranks), [("rank", float), ("value", float)], _ranked)


class DropRepeated(beam.PTransform):
    """Rows whose value of a column did not come before in their window; 1 % that are new are dropped, too, at most.

    Args:
        column: the column that tells rows apart.
        capacity: how many different values a window has.
    """

    def __init__(self, column: str, capacity: int) -> None:
        super().__init__()
        self._column, self._capacity = column, capacity

    def expand(self, rows: beam.PCollection) -> beam.PCollection:
        named = operator.attrgetter(self._column)
        told = rows | "TellApart" >> DeduplicateApproximately(self._capacity, key=named)
        return told.fresh


def _estimate(answer: Any) -> Iterator[tuple[float, float, float]]:
    yield float(answer.value), float(answer.low), float(answer.high)


def _items(answer: list[tuple[Any, Any]]) -> Iterator[tuple[Any, float]]:
    for item, count in answer:
        yield item, float(count.value)


def _ranked(answer: dict[float, Any]) -> Iterator[tuple[float, float]]:
    for rank, value in answer.items():
        yield rank, float(value.value)
