"""How well clusters found without labels agree with the labels people gave.

Sources: Manning, Raghavan and Schütze, Introduction to Information Retrieval (2008), chapters 8 and 16.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from typing import NamedTuple


class FilterScore(NamedTuple):
    """How well a filter lets one language through: shares between 0 and 1."""

    precision: float
    recall: float
    f1: float


def purity(labels: Sequence[str], clusters: Sequence[int]) -> float:
    """The share of texts that have the most frequent label of their cluster; in (0, 1].

    It rises with the number of clusters, so compare it between clusterings of the same k only.

    >>> purity(["en", "en", "fr", "fr"], [0, 0, 0, 1])
    0.75
    """
    _require_alike(labels, clusters)
    together: dict[int, Counter[str]] = {}
    for label, cluster in zip(labels, clusters, strict=True):
        together.setdefault(cluster, Counter())[label] += 1
    return sum(max(counts.values()) for counts in together.values()) / len(labels)


def normalized_mutual_information(labels: Sequence[str], clusters: Sequence[int]) -> float:
    """What clusters tell of labels, over the mean of both entropies, as scikit-learn's; in [0, 1].

    >>> round(normalized_mutual_information(["en", "en", "fr", "fr"], [0, 0, 1, 1]), 12)
    1.0
    """
    _require_alike(labels, clusters)
    from sklearn.metrics import normalized_mutual_info_score  # noqa: PLC0415  takes a second

    return float(normalized_mutual_info_score(labels, clusters))


def filter_score(labels: Sequence[str], clusters: Sequence[int], language: str, chosen: Collection[int]) -> FilterScore:
    """Precision, recall and F1 of keeping the texts of some clusters to get the texts of one language.

    A share of nothing is 0: the precision where no text is kept, the recall where no text has that language.

    >>> filter_score(["en", "en", "fr", "fr"], [0, 1, 1, 2], "en", {0, 1})
    FilterScore(precision=0.6666666666666666, recall=1.0, f1=0.8)
    """
    _require_alike(labels, clusters)
    wanted = sum(label == language for label in labels)
    kept = sum(cluster in chosen for cluster in clusters)
    both = sum(label == language and cluster in chosen for label, cluster in zip(labels, clusters, strict=True))
    return FilterScore(
        both / kept if kept else 0.0, both / wanted if wanted else 0.0, 2 * both / ((kept + wanted) or 1)
    )


def _require_alike(labels: Sequence[str], clusters: Sequence[int]) -> None:
    if len(labels) != len(clusters) or not len(labels):
        raise ValueError(
            f"labels and clusters must be as many, and at least one, got {len(labels)} and {len(clusters)}: "
            "pass one of each for every text"
        )
