"""Which column serves which sketch, and any sealed column, opened by what it says it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from transforms.sketches.count import Count
from transforms.sketches.count_column import CountColumn
from transforms.sketches.hashed import Hashed
from transforms.sketches.heavy_hitters import HeavyHitters
from transforms.sketches.heavy_hitters_column import HeavyHittersColumn
from transforms.sketches.hyperloglog import HyperLogLog
from transforms.sketches.hyperloglog_column import HyperLogLogColumn
from transforms.sketches.kinds import load
from transforms.sketches.kll import Kll
from transforms.sketches.kll_column import KllColumn
from transforms.sketches.log_histogram import LogHistogram
from transforms.sketches.log_histogram_column import LogHistogramColumn
from transforms.sketches.moments import Moments
from transforms.sketches.moments_column import MomentsColumn
from transforms.sketches.sealing import SealError, unseal
from transforms.sketches.sketch import Sketch
from transforms.sketches.sketch_column import Groups, SketchColumn, open_column
from transforms.sketches.sketch_list import SketchList
from transforms.sketches.total import Total
from transforms.sketches.total_column import TotalColumn

_COLUMNS: dict[type[Sketch], type[SketchColumn]] = {
    Count: CountColumn,
    HeavyHitters: HeavyHittersColumn,
    HyperLogLog: HyperLogLogColumn,
    Kll: KllColumn,
    LogHistogram: LogHistogramColumn,
    Moments: MomentsColumn,
    Total: TotalColumn,
}
_KINDS = {column.KIND: column for column in list[type[SketchColumn]]([SketchList, *_COLUMNS.values()])}


def sketch_column(empty: Sketch, values: Any, groups: Any, size: int) -> SketchColumn:
    """Sketches like `empty`, one for each group from 0 to `size` - 1, of the values of that group.

    Values are an Arrow array without nulls or a numpy array, or what `empty.prepare` makes of one; `groups` has the
    group of each. Raises ValueError where a group is not below size, and as `add_many` does.

    >>> users = sketch_column(HyperLogLog(12), pa.array(["ana", "bo", "ana"]), [0, 1, 0], 3)
    >>> users.estimate().field("value").to_pylist(), users.sketch(1).estimate().value
    ([1.0, 1.0, 0.0], 1.0)
    """
    of_value: Groups = np.asarray(groups, np.intp)
    column = values if isinstance(values, pa.Array | Hashed) else pa.array(values)
    if of_value.shape != (len(column),):
        raise ValueError(f"groups must be one for each of {len(column)} values, got shape {of_value.shape}")
    if of_value.size and not (of_value.min() >= 0 and of_value.max() < size):
        raise ValueError(f"groups must be from 0 to below {size}, got {of_value.min()} to {of_value.max()}")
    return _COLUMNS.get(type(empty), SketchList).of(empty, column, of_value, size)


def load_column(data: bytes) -> Any:
    """The column that `to_bytes` wrote, whatever its sketches; raises SealError for anything else.

    >>> load_column(sketch_column(Count(), pa.array(["a", "b"]), [1, 1], 2).to_bytes()).count.to_pylist()
    [0, 2]
    """
    sealed = unseal(data)
    if sealed.kind not in _KINDS:
        raise SealError(f"a sealed column must be one of {', '.join(_KINDS)}, got {sealed.kind!r}: use load(data)")
    empty, *pieces = open_column(sealed)
    return _KINDS[sealed.kind].from_sealed(sealed, load(empty), pieces)
