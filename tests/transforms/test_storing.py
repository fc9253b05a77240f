"""coder_of and PairCoders: what is stored has a known form."""

from __future__ import annotations

from typing import Any

import apache_beam as beam
import pytest
from apache_beam.coders import PickleCoder

from transforms.storing import PairCoders, coder_of


@pytest.mark.parametrize(
    ("kind", "value"), [(int, -3), (str, "ü"), (bytes, b"\0"), (tuple[str, int], ("a", 1)), (list[float], [0.5, 2.0])]
)
def test_values_come_back_from_their_bytes(kind: Any, value: Any) -> None:
    coder = coder_of(kind, "a state")
    assert coder.decode(coder.encode(value)) == value


@pytest.mark.parametrize("kind", [Any, object, dict, tuple[str, Any], list[object], PickleCoder(), int | str])
def test_what_would_be_pickled_is_refused(kind: Any) -> None:
    with pytest.raises(ValueError, match="a state is stored, so the form of its bytes must be known"):
        coder_of(kind, "a state")


def test_keys_are_those_of_the_type_of_a_collection() -> None:
    pairs = beam.Pipeline(runner="FnApiRunner") | beam.Create([("a", 1)]).with_output_types(tuple[str, int])
    coders = PairCoders.of(pairs, "a question")
    assert coders.encode(("a", 1)) == (b"a", b"\x01")
