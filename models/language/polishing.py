"""Turns the weights of naive Bayes until the probabilities fit: multinomial logistic regression, begun from counts.

Naive Bayes takes n-grams for independent, and so hears a letter four times; this corrects it text after text, by
stochastic gradient descent. It needs the texts again, so it is no sum of shards: counts are what merges, and this the
last touch. Needs numba (the extra `fast`). One thread and nothing but IEEE sums, products and quotients, so the same
texts in the same order give the same bits everywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.language.ngrams import Grams

_BIAS_RATE = 0.1  # of the rate of weights: a bias is in every text


def polish(
    weights: NDArray[np.floating[Any]],
    grams: Grams,
    labels: NDArray[np.int64],
    shares: NDArray[np.float64],
    order: NDArray[np.int64],
    rate: float,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Weights (buckets, labels) and biases (labels,) after a step for each text that `order` names, in that order.

    `labels` has the column of each text's label, and `shares` how much a text of each label counts. The rate falls
    from `rate` to 0. Raises ImportError without numba.
    """
    # To 1/1024: what starts from logarithms would differ in the last bit from one machine to another.
    polished = np.ascontiguousarray(np.rint(weights * 1024) / 1024, dtype=np.float32)
    biases = np.zeros(weights.shape[1], np.float32)
    _descent()(polished, biases, grams.buckets, grams.bounds, labels, shares.astype(np.float32), order, rate)
    return polished, biases


@cache
def _descent() -> Callable[..., None]:
    try:
        import numba  # noqa: PLC0415  an extra
    except ImportError as error:
        raise ImportError("polishing needs numba: pip install 'streamsketch[fast]'") from error
    exponential: Any = numba.njit()(_exponential)

    def descend(
        weights: NDArray[np.float32],
        biases: NDArray[np.float32],
        buckets: NDArray[np.int32],
        bounds: NDArray[np.int64],
        labels: NDArray[np.int64],
        shares: NDArray[np.float32],
        order: NDArray[np.int64],
        rate: float,
    ) -> None:
        columns = weights.shape[1]
        score = np.empty(columns, np.float32)
        for turn in range(order.size):
            text = order[turn]
            first, last = bounds[text], bounds[text + 1]
            if first == last:
                continue
            score[:] = 0
            for gram in range(first, last):
                row = weights[buckets[gram]]
                for column in range(columns):
                    score[column] += row[column]
            root = np.float32(1 / np.sqrt(last - first))
            most = np.float32(-np.inf)
            for column in range(columns):
                score[column] = score[column] * root + biases[column]
                most = max(most, score[column])
            total = np.float32(0)
            for column in range(columns):
                score[column] = exponential(score[column] - most)
                total += score[column]
            step = np.float32(rate * (order.size - turn) / order.size) * shares[labels[text]]
            for column in range(columns):
                score[column] *= -step / total
            score[labels[text]] += step
            for column in range(columns):
                biases[column] += score[column] * np.float32(_BIAS_RATE)
                score[column] *= root
            for gram in range(first, last):
                row = weights[buckets[gram]]
                for column in range(columns):
                    row[column] += score[column]

    compiled: Callable[..., None] = numba.njit(nogil=True)(descend)
    return compiled


def _exponential(power: np.float32) -> np.float32:
    """E to a power of at most 0, to 24 bits where it matters: Taylor's series of a 64th of it, squared six times."""
    if power < -80:
        return np.float32(0)
    x = np.float64(power) / 64
    value = 1 + x * (1 + x / 2 * (1 + x / 3 * (1 + x / 4 * (1 + x / 5 * (1 + x / 6 * (1 + x / 7))))))
    for _ in range(6):
        value *= value
    return np.float32(value)
