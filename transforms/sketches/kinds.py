"""Any sealed sketch, opened by what it says it is."""

from __future__ import annotations

import importlib
from typing import Any

from transforms.sketches.sealing import SealError, unseal
from transforms.sketches.sketch import Sketch

# Where the class of each kind is. A literal table, so that stored bytes can name no other code; read late, so that
# sketches which hold sketches can use it.
_KINDS = {
    "bloom": "transforms.sketches.bloom:Bloom",
    "count": "transforms.sketches.count:Count",
    "count_min": "transforms.sketches.count_min:CountMin",
    "decayed": "transforms.sketches.decayed:Decayed",
    "dyadic_quantiles": "transforms.sketches.dyadic_quantiles:DyadicQuantiles",
    "heavy_hitters": "transforms.sketches.heavy_hitters:HeavyHitters",
    "hyperloglog": "transforms.sketches.hyperloglog:HyperLogLog",
    "kll": "transforms.sketches.kll:Kll",
    "log_histogram": "transforms.sketches.log_histogram:LogHistogram",
    "map_of": "transforms.sketches.combinators:MapOf",
    "maybe": "transforms.sketches.combinators:Maybe",
    "minhash": "transforms.sketches.minhash:MinHash",
    "moments": "transforms.sketches.moments:Moments",
    "product": "transforms.sketches.combinators:Product",
    "skip_list": "transforms.sketches.skip_list:SkipList",
    "total": "transforms.sketches.total:Total",
}


def load(data: bytes) -> Any:
    """The sketch of any kind that `to_bytes` wrote; raises SealError for anything else.

    >>> from transforms.sketches.hyperloglog import HyperLogLog
    >>> load(HyperLogLog(12).to_bytes()).parameters["precision"]
    12
    """
    sealed = unseal(data)
    if sealed.kind not in _KINDS:
        raise SealError(f"kind must be one of {', '.join(_KINDS)}, got {sealed.kind!r}: use a newer streamsketch")
    module, name = _KINDS[sealed.kind].split(":")
    kind: type[Sketch] = getattr(importlib.import_module(module), name)
    return kind.from_sealed(sealed)
