"""Estimate: a number that says how sure it is."""

from __future__ import annotations

import pytest

from transforms.sketches.estimate import Estimate


def test_an_estimate_keeps_its_bounds_in_order() -> None:
    assert str(Estimate(3.0, 3.0, 3.0, 1.0)) == "3"
    assert Estimate.exact(2.0).confidence == 1.0
    with pytest.raises(ValueError, match="between its bounds"):
        Estimate(1.0, 2.0, 3.0, 0.5)
    with pytest.raises(ValueError, match="confidence"):
        Estimate(2.0, 2.0, 3.0, 95)
