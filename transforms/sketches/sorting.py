"""Order by small whole numbers, digit by digit: several times quicker than by comparing.

Source: Knuth, The Art of Computer Programming 3, 5.2.5, sorting by distribution. numpy distributes what fits 16 bits.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_DIGIT = 16  # bits


def stable_order(numbers: NDArray[Any], limit: int) -> NDArray[np.intp]:
    """The order that sorts numbers from 0 to below `limit`; equal ones stay as they are.

    >>> stable_order(np.array([2, 0, 2, 1]), 3)
    array([1, 3, 0, 2])
    """
    order = np.argsort(numbers.astype(np.uint16), kind="stable")
    for shift in range(_DIGIT, max(limit - 1, 1).bit_length(), _DIGIT):
        order = order[np.argsort((numbers >> shift).astype(np.uint16)[order], kind="stable")]
    return order


def sorted_pairs(
    groups: NDArray[np.intp], words: NDArray[np.uint64], size: int
) -> tuple[NDArray[np.intp], NDArray[np.uint64]]:
    """Pairs of a group below `size` and a word, sorted, each once; quick where words spread, as hashes do.

    >>> sorted_pairs(np.array([1, 0, 1, 1]), np.array([5, 9, 2, 5], np.uint64), 2)
    (array([0, 1, 1]), array([9, 2, 5], dtype=uint64))
    """
    order = np.argsort((words >> np.uint64(64 - _DIGIT)).astype(np.uint16), kind="stable")
    order = order[stable_order(groups[order], size)]
    groups, words = groups[order], words[order]
    same = groups[1:] == groups[:-1]
    if (same & (words[1:] < words[:-1])).any():  # words that share a group and their first digit
        words = _sorted_within(np.flatnonzero(np.diff(words >> np.uint64(64 - _DIGIT)) | ~same) + 1, words)
    fresh = np.ones(words.size, np.bool_)
    fresh[1:] = ~same | (words[1:] != words[:-1])
    return groups[fresh], words[fresh]


def _sorted_within(starts: NDArray[np.intp], words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Words, sorted between each start and the next; those that are in order are left alone."""
    run = np.zeros(words.size, np.intp)
    run[starts] = 1
    run = run.cumsum()
    unsorted = np.zeros(run[-1] + 1, np.bool_)
    unsorted[run[1:][(run[1:] == run[:-1]) & (words[1:] < words[:-1])]] = True
    places = np.flatnonzero(unsorted[run])
    words[places] = words[places][np.lexsort((words[places], run[places]))]
    return words
