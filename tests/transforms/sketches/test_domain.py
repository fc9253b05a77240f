"""Domain: every number lies in the cell whose edges surround it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from transforms.sketches.domain import Domain


@pytest.mark.parametrize(
    "domain",
    [
        Domain(0.0, 1.0, 0.1),
        Domain(0.0, 60.0, 0.001),
        Domain(-7.3, 11.9, 0.7),
        Domain(1e9, 1e9 + 1, 1e-6),
        Domain(-1e-3, 1e-3, 1e-9),
    ],
)
def test_a_float_lies_between_the_edges_of_its_cell(domain: Domain) -> None:
    rng = np.random.default_rng(1)
    edges = np.array([domain.edge(int(cell)) for cell in rng.integers(0, domain.cells, 2000)])
    values = np.concatenate([rng.uniform(domain.low, domain.high, 2000), edges, np.nextafter(edges[1:], -np.inf)])
    values = values[(values >= domain.low) & (values < domain.high)]
    cells, below, above = domain.locate(values)
    assert (below, above) == (0, 0)
    for value, cell in zip(values.tolist(), cells.tolist(), strict=True):
        assert domain.edge(cell) <= value < domain.edge(cell + 1)
        assert domain.cell(value) == cell


@pytest.mark.parametrize("low", [-(2**61), -5, 0, 2**61])
def test_whole_numbers_are_exact_up_to_the_ends(low: int) -> None:
    domain = Domain(low, low + 2**60 + 1, 1)
    numbers = [low - 1, low, low + 1, low + 2**60, low + 2**60 + 1, -(2**63), 2**63 - 1]
    cells, below, above = domain.locate(numbers)
    assert cells.tolist() == [0, 1, 2**60]
    assert (below, above) == (2, 2)
    assert [domain.cell(number) for number in numbers[1:4]] == [0, 1, 2**60]


def test_floats_in_a_whole_domain_are_floored_and_the_infinite_are_outside() -> None:
    cells, below, above = Domain(-2, 3, 1).locate([-2.5, -2.0, -0.5, 2.9, 3.0, math.inf, -math.inf, 1e300])
    assert cells.tolist() == [0, 1, 4]
    assert (below, above) == (2, 3)


@pytest.mark.parametrize(
    "bounds",
    [
        (1, 1, 1),
        (2, 1, 1),
        (0, 1, 0),
        (0, 1, -1),
        (0.0, math.inf, 1.0),
        (math.nan, 1.0, 0.1),
        (1e15, 2e15, 0.01),
        (0, 2**63, 1),
    ],
)
def test_a_domain_without_cells_or_with_unseen_ones_is_refused(bounds: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="a domain must"):
        Domain(*bounds)


def test_equal_domains_are_of_one_type() -> None:
    assert repr(Domain.of(np.int64(0), 10, 1)) == repr(Domain(0, 10, 1))
    assert repr(Domain.of(0, 10, 0.5)) == repr(Domain(0.0, 10.0, 0.5))
