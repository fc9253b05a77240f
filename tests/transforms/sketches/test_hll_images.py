"""HLL images as Java writes them; those of the C++ library are tested with HyperLogLog itself."""

from __future__ import annotations

import numpy as np
import pytest

from transforms.sketches.hyperloglog import HyperLogLog

LEAST = 6  # where an image keeps its least register


def test_the_least_register_that_java_states_is_read_and_checked() -> None:
    sketch = HyperLogLog(4)
    sketch.add_many(np.arange(5000))
    image = bytearray(sketch.to_datasketches())
    least = min(image[-16:])
    assert least > 0
    image[LEAST] = least
    assert HyperLogLog.from_datasketches(bytes(image)).estimate() == sketch.estimate()
    image[LEAST] = least + 1
    with pytest.raises(ValueError, match=f"from the {least + 1} stated to 63, got {least} to"):
        HyperLogLog.from_datasketches(bytes(image))
