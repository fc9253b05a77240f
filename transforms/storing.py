"""What state holds: keys and values as bytes, in a form that their types state, never a pickle.

A pickle changes with the code that wrote it; a job that starts again from its saved state must still read it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import apache_beam as beam
from apache_beam.coders import Coder, FastPrimitivesCoder, PickleCoder
from apache_beam.coders.coders import _PickleCoderBase
from apache_beam.typehints.native_type_compatibility import convert_to_beam_type


def coder_of(kind: Any, what: str) -> Coder:
    """The coder that a type has, or the coder itself; raises ValueError where there is none but pickling.

    >>> coder_of(tuple[str, int], "a state")
    TupleCoder[StrUtf8Coder, VarIntCoder]
    """
    coder: Coder = kind if isinstance(kind, Coder) else beam.coders.registry.get_coder(convert_to_beam_type(kind))
    if _pickles(coder):
        raise ValueError(
            f"{what} is stored, so the form of its bytes must be known, got {kind}: say a type such as tuple[str, int] "
            "or list[float], or a record with a registered coder; for what is read, by .with_output_types(...)"
        )
    return coder


def _pickles(coder: Coder) -> bool:
    if isinstance(coder, FastPrimitivesCoder | PickleCoder | _PickleCoderBase):
        return True
    parts = [*coder._get_component_coders(), *(getattr(coder, name, None) for name in ("_key_coder", "_value_coder"))]  # noqa: SLF001  Beam has no other way to ask
    return any(isinstance(part, Coder) and _pickles(part) for part in parts)


@dataclass(frozen=True)
class PairCoders:
    """How the keys and values of a collection of pairs are stored."""

    key: Coder
    value: Coder
    key_type: Any
    value_type: Any

    @classmethod
    def of(cls, pairs: beam.PCollection, what: str) -> PairCoders:
        """By the types of a collection; raises ValueError where they are not known. `what` is for that message."""
        key_type, value_type = getattr(pairs.element_type, "tuple_types", (Any, Any))
        key = coder_of(key_type, f"the key of {what}").as_deterministic_coder(what)
        return cls(key, coder_of(value_type, f"the value of {what}"), key_type, value_type)

    def encode(self, pair: tuple[Any, Any]) -> tuple[bytes, bytes]:
        return self.key.encode(pair[0]), self.value.encode(pair[1])
