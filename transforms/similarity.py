"""Which texts are nearly the same: pairs of them in each window, none of them false; and sketches that tell how alike.

Sources: Broder, On the resemblance and containment of documents (1997), for shingles and MinHash; Indyk and Motwani,
Approximate nearest neighbors (1998), for bands.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
from apache_beam.metrics import Metrics
from numpy.typing import NDArray

from transforms.combining import SketchCombineFn, globally, per_key
from transforms.sketches import DEFAULT, Hasher
from transforms.sketches.derived import lanes
from transforms.sketches.minhash import MinHash

_MOST_BANDS = 20  # copies of a text that are shuffled
_MOST_ROWS = 12  # hashes a band: more choose hardly better
_BATCH = 100_000  # characters whose shingles are hashed together
_BAND = 2  # bytes of a band's number, before its key of 8


def minhash(
    error: float = 0.1, confidence: float = 0.95, *, hasher: Hasher = DEFAULT
) -> SketchCombineFn[MinHash, MinHash]:
    """Items of any kind that hashes -> the MinHash of their set, which answers by itself: `.similarity(other)`.

    A similarity is within `error` of the truth at that confidence. Raises ValueError for an error that is not between
    0 and 1.
    """
    make = partial(MinHash.for_error, error, confidence, hasher=hasher)
    make()
    return SketchCombineFn(make)


class Similarity:
    """The sketch of a collection's set of items, to be compared with other collections'."""

    Globally = staticmethod(globally(minhash))
    PerKey = staticmethod(per_key(minhash))


class NearDuplicates(beam.PTransform):
    """Pairs of texts that are nearly the same: [tuple[K, str]] -> [tuple[K, K, float]], two ids and their similarity.

    Similarity is the share of shingles (runs of `shingle` characters, counted once) that both texts have, of those
    that either has, from 0 to 1. Every pair is verified, so the number is exact and none below `similarity` comes out.
    A pair at or above it is found with a probability of at least `confidence`, one that is more alike with a higher
    one. Each comes once in a window, its ids in the order of their encoded bytes; windows are kept apart, and so are
    the panes of a window that discards.

    Texts that are equal are one text: each is paired with the first of them (by id), and that one alone with others.
    So a thousand copies make 999 pairs. Where more than `crowd` different texts agree in a band of hashes, each is
    compared with the first `crowd` there alone, and pairs may be missed; the counter `crowded` tells how many texts
    that befell.

    Ids should name one text each. Texts are taken as they are: fold case, spaces and Unicode's forms before. One that
    is shorter than a shingle is a shingle itself; an empty one is like nothing. A text is shuffled as often as
    there are `bands`, at most 20 times. Raises ValueError where `similarity` is too low to be told from chance.

    >>> NearDuplicates(similarity=0.8).bands, NearDuplicates(similarity=0.8).rows
    (20, 7)
    """

    def __init__(
        self,
        similarity: float = 0.8,
        *,
        confidence: float = 0.99,
        shingle: int = 5,
        crowd: int = 100,
        hasher: Hasher = DEFAULT,
    ) -> None:
        super().__init__()
        if not 0.0 < similarity <= 1.0:
            raise ValueError(f"similarity must be above 0 and at most 1, got {similarity}; use 0.8 for near-duplicates")
        if not 0.0 < confidence < 1.0:
            raise ValueError(f"confidence must be between 0 and 1, got {confidence}; use 0.99 for 99 % of the pairs")
        if shingle < 1 or crowd < 1:
            raise ValueError(f"shingle and crowd must be at least 1, got {shingle} and {crowd}; use 5 and 100")
        self._similarity, self._shingle, self._crowd, self._hasher = similarity, shingle, crowd, hasher
        self.bands, self.rows = _bands_for(similarity, confidence)

    def expand(self, texts: beam.PCollection) -> beam.PCollection:
        id_type = getattr(texts.element_type, "tuple_types", (Any, Any))[0]
        id_coder = beam.coders.registry.get_coder(id_type).as_deterministic_coder(self.label)
        band = _Band(self.bands, self.rows, self._shingle, id_coder, self._hasher)
        compare = _Compare(self._similarity, self._shingle, self._crowd, id_coder)
        return (
            texts
            # To the end of their window, where the grouping would put them anyway.
            | "Batch" >> beam.BatchElements(_BATCH, _BATCH, element_size_fn=_size)
            | "Band" >> beam.ParDo(band).with_output_types(tuple[bytes, tuple[bytes, str, bytes]])
            | "Meet" >> beam.GroupByKey()
            | "Compare" >> beam.ParDo(compare).with_output_types(tuple[id_type, id_type, float])  # type: ignore[valid-type]
        )


def shingles(text: str, length: int = 5) -> set[str]:
    """The different runs of so many characters in a text; the text itself where it is shorter, nothing of nothing.

    >>> sorted(shingles("banana", 3))
    ['ana', 'ban', 'nan']
    """
    return set(_runs(text, length))


def _runs(text: str, length: int) -> list[str]:
    if not isinstance(text, str):
        raise ValueError(f"a text must be a string, got {text!r}: decode it, or drop missing ones first")
    return [text[at : at + length] for at in range(max(len(text) - length + 1, 1))] if text else []


def _size(item: tuple[Any, str]) -> int:
    return len(item[1] or "") + 1


def _bands_for(similarity: float, confidence: float) -> tuple[int, int]:
    """How many bands, and hashes in each: the choosiest bands that find such pairs as surely.

    A pair agrees in one band with probability similarity^rows, so that all of so many bands miss it with
    (1 - similarity^rows)^bands.
    """
    for rows in range(_MOST_ROWS, 0, -1):
        missed = 1.0 - similarity**rows
        bands = math.ceil(math.log(1.0 - confidence) / math.log(missed)) if missed > 0.0 else 1
        if bands <= _MOST_BANDS:
            return bands, rows
    raise ValueError(
        f"similarity must be high enough for {_MOST_BANDS} bands to find a pair, got {similarity} at a confidence of "
        f"{confidence}: raise the one or lower the other"
    )


def _signatures(sets: list[list[str]], hashes: int, hasher: Hasher) -> NDArray[np.uint64]:
    """What the MinHash of each set holds, one row a set, from one pass over all; no set may be empty."""
    starts = np.cumsum([0, *map(len, sets[:-1])])
    hashed = hasher.hash_many([item for items in sets for item in items])
    least = [np.minimum.reduceat(lane, starts) for lane in lanes(hashed, hashes)]
    return np.ascontiguousarray(np.transpose(least))


class _Band(beam.DoFn):
    """Sends each text to every place where its near-duplicates may be: one band of its hashes each."""

    def __init__(self, bands: int, rows: int, shingle: int, id_coder: beam.coders.Coder, hasher: Hasher) -> None:
        self._bands, self._rows, self._shingle = bands, rows, shingle
        self._id_coder, self._hasher = id_coder, hasher

    def process(self, batch: list[tuple[Any, str]]) -> Iterator[tuple[bytes, tuple[bytes, str, bytes]]]:
        sets = [_runs(text, self._shingle) for _, text in batch]
        texts = [text for text, runs in zip(batch, sets, strict=True) if runs]
        if not texts:
            return
        hashes = _signatures([runs for runs in sets if runs], self._bands * self._rows, self._hasher).astype("<u8")
        rows = pa.Array.from_buffers(
            pa.binary(8 * self._rows), len(texts) * self._bands, [None, pa.py_buffer(hashes.tobytes())]
        )
        keys = self._hasher.hash_many(rows).reshape(len(texts), self._bands).astype("<u8")
        for (name, text), of_text in zip(texts, keys, strict=True):
            value = self._id_coder.encode(name), text, of_text.tobytes()
            for band, key in enumerate(of_text):
                yield band.to_bytes(_BAND, "little") + key.tobytes(), value


class _Compare(beam.DoFn):
    """Compares the texts that agree in a band, each two in the first band where they meet."""

    def __init__(self, similarity: float, shingle: int, crowd: int, id_coder: beam.coders.Coder) -> None:
        self._similarity, self._shingle, self._crowd, self._id_coder = similarity, shingle, crowd, id_coder
        self._crowded = Metrics.counter("streamsketch.similarity", "crowded")

    def process(self, met: tuple[bytes, Iterable[tuple[bytes, str, bytes]]]) -> Iterator[tuple[Any, Any, float]]:
        band = int.from_bytes(met[0][:_BAND], "little")
        copies: dict[str, set[bytes]] = {}
        bands: dict[str, bytes] = {}
        for name, text, keys in met[1]:
            copies.setdefault(text, set()).add(name)
            bands[text] = keys
        if band == 0:  # equal texts meet in every band
            for names in copies.values():
                first, *others = sorted(names)
                yield from (self._pair(first, other, 1.0) for other in others)
        if len(copies) > 1:
            yield from self._pairs(band, sorted((min(names), text) for text, names in copies.items()), bands)

    def _pairs(
        self, band: int, texts: list[tuple[bytes, str]], bands: dict[str, bytes]
    ) -> Iterator[tuple[Any, Any, float]]:
        keys = np.array([np.frombuffer(bands[text], "<u8") for _, text in texts])
        self._crowded.inc(max(0, len(texts) - self._crowd - 1))
        known: list[set[str]] = []  # the shingles of those with which all are compared
        for later, (name, text) in enumerate(texts):
            mine = shingles(text, self._shingle)
            met_before = (keys[: len(known), :band] == keys[later, :band]).any(axis=1)
            for earlier in np.flatnonzero(~met_before).tolist():
                other, similarity = texts[earlier][0], _jaccard(known[earlier], mine)
                if similarity >= self._similarity and other != name:
                    yield self._pair(other, name, similarity)
            if later < self._crowd:
                known.append(mine)

    def _pair(self, first: bytes, second: bytes, similarity: float) -> tuple[Any, Any, float]:
        return self._id_coder.decode(first), self._id_coder.decode(second), similarity


def _jaccard(first: set[str], second: set[str]) -> float:
    shared = len(first & second)
    return shared / (len(first) + len(second) - shared)
