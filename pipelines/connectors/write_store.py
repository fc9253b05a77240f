"""Writes sketches of windows into a store of rollups, a transaction for each bundle."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, cast

import apache_beam as beam
from apache_beam.options.pipeline_options import PortableOptions
from apache_beam.utils.windowed_value import PaneInfo, PaneInfoTiming

from pipelines.connectors.back_pressure import writing
from rollups import Leaf, Store, StoredMeasure
from transforms.combining import SketchCombineFn
from transforms.measures import Measure
from transforms.sketches import Question
from transforms.windowing import window_bounds

_LOGGER = logging.getLogger(__name__)
_TOGETHER = 10_000  # leaves that are written at once


def sketches_of(measures: Mapping[str, Measure]) -> dict[str, Measure]:
    """The same measures, that tell their sketches for WriteStore rather than answers."""
    return {
        name: Measure(measure.column, SketchCombineFn(measure.combine_fn.make)) for name, measure in measures.items()
    }


def create_store(uri: str, *, window: int, by: Mapping[str, str], measures: Mapping[str, Measure]) -> None:
    """Makes the store for measures, or sees that the one that is there is alike; see `Store.create`."""
    fns = {name: measure.combine_fn for name, measure in measures.items()}
    stored = {name: StoredMeasure(fn.make(), cast("Question", fn.answer)) for name, fn in fns.items()}
    Store.create(uri, window=window, by=by, measures=stored).close()


_HERE = frozenset(
    {"FnApiRunner", "BundleBasedDirectRunner", "DirectRunner", "SwitchingDirectRunner", "InteractiveRunner"}
)


def require_reach(uri: str, pipeline: beam.Pipeline) -> None:
    """Raises ValueError where workers may run on other hosts, and the store is a file of this one."""
    runner, place = type(pipeline.runner).__name__, pipeline.options.view_as(PortableOptions).environment_type
    here = runner in _HERE or place == "LOOPBACK" or (runner == "PrismRunner" and not place)
    if "://" not in uri and not here:
        raise ValueError(
            f"the store {uri} is a file of this machine, and workers of {runner} may run on others: "
            "use postgresql://user@host/name, or --environment_type LOOPBACK for workers in this process"
        )


class WriteStore(beam.PTransform):
    """Keeps each key's sketches as a leaf of its window: PCollection[tuple[Key, dict[str, Sketch]]].

    Must follow the aggregation, with accumulating panes. One of the sketches must be `count`, a Count of all records.
    Leaves that are written again change nothing; what counts fewer records than the leaf in its place is left out,
    unless it is to `rebuild`.
    """

    def __init__(self, uri: str, contribution: str, *, rebuild: bool = False) -> None:
        super().__init__()
        self._write = _WriteLeaves(uri, contribution, rebuild=rebuild)

    def expand(self, sketches: beam.PCollection) -> beam.PCollection:
        return sketches | "WriteLeaves" >> beam.ParDo(self._write)


class _WriteLeaves(beam.DoFn):
    def __init__(self, uri: str, contribution: str, *, rebuild: bool) -> None:
        self._uri, self._contribution, self._rebuild = uri, contribution, rebuild

    def setup(self) -> None:
        self._store = Store(self._uri)

    def start_bundle(self) -> None:
        self._leaves: list[Leaf] = []
        self._until = 0

    def process(
        self,
        answer: tuple[tuple[Any, ...], dict[str, Any]],
        window: Any = beam.DoFn.WindowParam,
        pane: PaneInfo = beam.DoFn.PaneInfoParam,
    ) -> None:
        key, sketches = answer
        start, _ = window_bounds(window)
        if start is None:
            raise ValueError("what is kept are windows, got one that never ends: use windows of one size")
        self._until = max(self._until, window.max_timestamp().micros)
        closed = pane.timing != PaneInfoTiming.EARLY
        self._leaves.append(Leaf(start.micros, key, sketches["count"].count, sketches, closed))
        if len(self._leaves) >= _TOGETHER:
            self.finish_bundle()

    def finish_bundle(self) -> None:
        with writing(self._until):
            written = self._store.write(self._contribution, self._leaves, rebuild=self._rebuild)
        self._leaves = []
        if written.refused:
            _LOGGER.warning(
                "%d windows of keys count fewer records than what %s has of them, and were left as they are there; "
                "rebuild replaces them",
                written.refused,
                self._uri,
            )
        if written.expired:
            _LOGGER.warning(
                "%d windows of keys are no longer kept by %s, and were left out", written.expired, self._uri
            )

    def teardown(self) -> None:
        self._store.close()
