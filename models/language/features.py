"""Counts the character pairs of texts in a fixed number of buckets, as the published Spark applications did.

Three variants were published, and they differ in what a bucket is and what it holds. A text is taken as Java takes it,
as UTF-16 code units, so a character outside the Basic Multilingual Plane (an emoji) is two units and one pair.

Source: `sliding(2)` of Scala's strings, hashed by hand, and `HashingTF` of Spark MLlib 1 and 2 (and later).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np
from scipy.sparse import csr_matrix

from models.language.hashing import NOTHING, java_hash, murmur3

Variant: TypeAlias = Literal["slide", "spark1", "spark2", "clean"]

_NO_LANGUAGE = re.compile(r"https?://\S*|@\w+|\bRT\b")
_LARGEST_DIMENSION = 2**20  # what Spark's HashingTF takes when it is not told


@dataclass(frozen=True)
class Featurizer:
    """Turns texts into rows of counts, the same bits in training and in prediction.

    `slide` puts a pair ab in bucket (31 a + b) mod dimension and divides its count by the text's number of pairs;
    `spark1` has the same buckets and plain counts; `spark2` has the buckets of murmur3 and plain counts. `clean` is
    ours: as `spark1`, of texts without addresses, @names and RT, in lower case. A text of one unit has that unit as its
    only feature; an empty text has none.

    >>> row = Featurizer().transform(["Ceci n'est pas un tweet"])
    >>> row.indices[:3].tolist(), float(row.data[0]) == 1 / 22
    ([102, 104, 108], True)
    """

    variant: Variant = "slide"
    dimension: int = 1000

    def __post_init__(self) -> None:
        if self.variant not in get_args(Variant):
            raise ValueError(f"variant must be one of {', '.join(get_args(Variant))}, got {self.variant!r}")
        if not 1 <= self.dimension <= _LARGEST_DIMENSION:
            raise ValueError(
                f"dimension must be between 1 and {_LARGEST_DIMENSION} buckets, got {self.dimension}; "
                "the published applications have 1000"
            )

    def transform(self, texts: Sequence[str]) -> csr_matrix:
        """The features of the texts: float64, one row a text, indices sorted and unique, shape (texts, dimension).

        A row depends on its own text alone, bit for bit.
        """
        if self.variant == "clean":
            texts = [" ".join(_NO_LANGUAGE.sub(" ", text).lower().split()) for text in texts]
        encoded = [text.encode("utf-16-le", "surrogatepass") for text in texts]
        lengths = np.fromiter(map(len, encoded), np.int64, len(encoded)) // 2
        starts = np.cumsum(lengths) - lengths
        units = np.frombuffer(b"".join(encoded), "<u2").astype(np.int32)
        before = np.roll(units, 1)
        before[starts[lengths == 1]] = NOTHING
        hashes = murmur3(before, units) if self.variant == "spark2" else java_hash(before, units)
        within = np.ones(units.size, np.bool_)  # not reaching back into the text before
        within[starts[lengths > 1]] = False
        pairs = lengths - (lengths > 1)
        rows = csr_matrix(
            (np.ones(pairs.sum()), (hashes % self.dimension)[within], np.append(0, np.cumsum(pairs))),
            shape=(len(encoded), self.dimension),
        )
        rows = rows.tocsc().tocsr()  # two counting passes, twice as quick as sorting each row
        rows.sum_duplicates()
        if self.variant == "slide":
            rows.data /= np.repeat(pairs, np.diff(rows.indptr))
        return rows
