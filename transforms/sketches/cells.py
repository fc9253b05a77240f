"""Counts in numbered cells of which few are filled: sums and shares of them, by whole arrays."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_Whole = NDArray[np.int64]

_DENSE = 4  # cells for each item up to which counting in all of them is quicker than sorting
_ALWAYS = 2**16


def summed(cells: _Whole, counts: _Whole | None, limit: int) -> tuple[_Whole, _Whole]:
    """The filled cells of 0 to below `limit`, in order, and the sum of the counts of each; 1 an item if not given.

    >>> summed(np.array([7, 3, 7]), None, 9)
    (array([3, 7]), array([1, 2]))
    """
    if limit <= _DENSE * cells.size + _ALWAYS:
        if counts is None:
            sums = np.bincount(cells, minlength=limit)
        else:
            sums = np.zeros(limit, np.int64)
            np.add.at(sums, cells, counts)
        filled = np.flatnonzero(sums)
        return filled, sums[filled]
    if counts is None:
        cells = np.sort(cells)
        starts = np.flatnonzero(np.diff(cells, prepend=-1))
        return cells[starts], np.diff(starts, append=cells.size)
    order = np.argsort(cells, kind="stable")  # which merges what comes sorted
    cells = cells[order]
    starts = np.flatnonzero(np.diff(cells, prepend=-1))
    return cells[starts], np.add.reduceat(counts[order], starts) if starts.size else counts


def ranked(codes: NDArray[np.intp], limit: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The place of each code among those that occur, in order, and the codes that occur.

    >>> ranked(np.array([7, 3, 7]), 9)
    (array([1, 0, 1]), array([3, 7]))
    """
    if limit <= _DENSE * codes.size + _ALWAYS:
        present = np.flatnonzero(np.bincount(codes, minlength=limit))
        rank = np.empty(limit, np.intp)
        rank[present] = np.arange(present.size)
        return rank[codes], present
    present, of_code = np.unique(codes, return_inverse=True)
    return of_code, present
