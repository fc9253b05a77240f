"""Training is counting: how often each hashed n-gram came in the texts of each language.

Counts are whole numbers, so adding shards in any order and grouping gives what the whole would, bit for bit, and what
was added can be taken away again, as if it had never been seen. Source: McCallum and Nigam, A Comparison of Event
Models for Naive Bayes Text Classification (1998), whose multinomial model these are all of.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.language.ngrams import Ngrams
from models.language.sealed_file import UNFIT, FileError, opened, sealed

UNDECIDED = "und"  # the label of a text whose language nobody can tell
_KIND, _VERSION = "streamsketch.language-counts", 1
_MOST_CELLS = 2**28  # of a file that is read: 2 GiB
_LIMIT = 2**62  # of a count: two of them still fit 64 bits, so that no sum can wrap unseen


@dataclass(eq=False)
class LanguageCounts:
    """Counts of hashed n-grams by language: a monoid under `merge`, and with `subtract` a group.

    It holds no text: counts of buckets for each label, how many texts each label had, and a fingerprint of all
    pairs of text and label. Equal counts are equal bytes.

    >>> shop, club = LanguageCounts(1000), LanguageCounts(1000)
    >>> shop.add_many(["guten Tag", "good day"], ["de", "en"]); club.add_many(["bonjour"], ["fr"])
    >>> alone = shop.to_bytes()
    >>> shop.merge(club); shop.texts
    {'de': 1, 'en': 1, 'fr': 1}
    >>> shop.subtract(club); shop.to_bytes() == alone
    True
    """

    buckets: int = 2**16
    texts: dict[str, int] = field(default_factory=dict)
    _grams: dict[str, NDArray[np.int64]] = field(default_factory=dict, repr=False)
    _fingerprint: int = 0  # the sum of the digests of all pairs, modulo 2^128

    def __post_init__(self) -> None:
        Ngrams(self.buckets)  # whose rule it is

    @property
    def labels(self) -> tuple[str, ...]:
        """The languages that have texts, in order of name."""
        return tuple(sorted(self.texts))

    @property
    def fingerprint(self) -> str:
        """Of the texts and their labels, in whatever order they came."""
        return f"{self._fingerprint:032x}"

    def of(self, label: str) -> NDArray[np.int64]:
        """The counts of a language; shape (buckets,)."""
        return self._grams[label]

    def add_many(self, texts: Sequence[str], labels: Sequence[str]) -> None:
        """Adds texts of known languages; raises ValueError where a label is empty, and adds nothing.

        Texts that are labelled `und` are left out: they say nothing about any language.
        """
        if len(texts) != len(labels) or "" in labels:
            raise ValueError(
                f"each text must have a label, got {len(labels)} labels for {len(texts)} texts, or empty ones"
            )
        decided = [place for place, label in enumerate(labels) if label != UNDECIDED]
        grams = Ngrams(self.buckets).transform([texts[place] for place in decided])
        names = sorted({labels[place] for place in decided})
        of_text = np.searchsorted(names, [labels[place] for place in decided]) if names else np.zeros(0, np.int64)
        cells = np.repeat(of_text, np.diff(grams.bounds)) * self.buckets + grams.buckets
        counted = np.bincount(cells, minlength=len(names) * self.buckets).reshape(-1, self.buckets)
        self.merge(
            LanguageCounts(
                self.buckets,
                {name: int(count) for name, count in zip(names, np.bincount(of_text), strict=True)},
                dict(zip(names, counted, strict=True)),
                _sum(_digest(texts[place], labels[place]) for place in decided),
            )
        )

    def merge(self, other: LanguageCounts) -> None:
        """Adds the texts of other, which stays as it is; raises ValueError where the numbers of buckets differ."""
        self._combine(other, 1)

    def subtract(self, other: LanguageCounts) -> None:
        """Takes the texts of other away, as if never added; raises ValueError, and takes nothing, if they were not."""
        self._combine(other, -1)

    def _combine(self, other: LanguageCounts, sign: int) -> None:
        if self.buckets != other.buckets:
            raise ValueError(f"counts must have as many buckets, got {self.buckets:,} and {other.buckets:,}")
        nothing = np.zeros(self.buckets, np.int64)
        texts, grams = dict(self.texts), dict(self._grams)
        for label, more in other.texts.items():
            texts[label] = texts.get(label, 0) + sign * more
            grams[label] = grams.get(label, nothing) + sign * other.of(label)
            if texts[label] < 0 or grams[label].min() < 0:
                raise ValueError(f"only what was added can be taken away; of {label} there is more in what is taken")
            if texts[label] == 0 and grams[label].any():
                raise ValueError(f"only what was added can be taken away; the texts of {label} are others")
            if grams[label].max() >= _LIMIT:
                raise OverflowError("a count must stay below 2^62")
        self.texts = {label: count for label, count in texts.items() if count}
        self._grams = {label: counts for label, counts in grams.items() if label in self.texts}
        self._fingerprint = (self._fingerprint + sign * other._fingerprint) % 2**128

    def weights(self, labels: Sequence[str], alpha: float) -> NDArray[np.float64]:
        """The logarithm of each n-gram's share in each language, `alpha` added to each count; (buckets, labels)."""
        counts = np.array([self.of(label) for label in labels], np.float64).T + alpha
        shares: NDArray[np.float64] = np.log(counts) - np.log(counts.sum(axis=0))
        return shares

    def to_bytes(self) -> bytes:
        labels = self.labels
        buckets = [np.flatnonzero(self.of(label)) for label in labels]
        counts = [self.of(label)[places] for label, places in zip(labels, buckets, strict=True)]
        passport = {
            "buckets": self.buckets,
            "texts": {label: self.texts[label] for label in labels},
            "fingerprint": self.fingerprint,
        }
        tensors: dict[str, NDArray[Any]] = {
            "sizes": np.array([places.size for places in buckets], np.int64),
            "buckets": np.concatenate([np.zeros(0, np.int64), *buckets]).astype(np.uint32),
            "counts": np.concatenate([np.zeros(0, np.int64), *counts]),
        }
        return sealed(_KIND, _VERSION, passport, tensors)

    @classmethod
    def from_bytes(cls, data: bytes) -> LanguageCounts:
        """What `to_bytes` wrote; raises FileError for anything else."""
        passport, tensors = opened(data, _KIND, _VERSION)
        try:
            counts = cls(passport["buckets"], passport["texts"], {}, int(passport["fingerprint"], 16))
            if len(counts.texts) * counts.buckets > _MOST_CELLS:
                raise ValueError(f"{len(counts.texts)} labels of {counts.buckets} buckets are too many")
            ends = np.cumsum(tensors["sizes"])
            for place, label in enumerate(counts.labels):
                part = slice(ends[place] - tensors["sizes"][place], ends[place])
                counts._grams[label] = np.zeros(counts.buckets, np.int64)
                counts._grams[label][tensors["buckets"][part]] = tensors["counts"][part]
            whole = data == counts.to_bytes() and min(counts.texts.values(), default=1) > 0
            whole = whole and tensors["counts"].min(initial=1) > 0 and tensors["counts"].max(initial=1) < _LIMIT
        except UNFIT as error:
            raise FileError(f"counts must be of texts and their n-grams, got {error!r}: count again") from error
        if not whole:
            raise FileError("counts must be those that their passport tells, got others: count again")
        return counts


def _digest(text: str, label: str) -> int:
    pair = f"{label}\0{text}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(pair, digest_size=16).digest(), "little")


def _sum(digests: Iterable[int]) -> int:
    return sum(digests) % 2**128
