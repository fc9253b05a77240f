"""Turns texts into hashed n-grams: what stands in them of one to four letters, and of whole words.

Addresses, @names and the RT before them are left out, letters are taken in lower case, more than two of the same in a
row as two, and all else as a space. The hashes are Dietzfelbinger's multiply-shift, over up to four letters as one
word of 64 bits, and over longer words as a polynomial (Karp and Rabin, 1987).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.language.characters import BLANK, MARK, NAME, letters, roles, units_of
from models.language.kernels import kernel

SHORTEST_WORD = 3  # shorter ones are n-grams, with the spaces around them
BASE = np.uint64(0x9E3779B97F4A7C15)  # of the polynomial; odd, so that powers can be divided by
INVERSE = np.uint64(pow(0x9E3779B97F4A7C15, -1, 2**64))
# Odd numbers without pattern, one for each length and one for words.
MULTIPLIERS = np.array(
    [0xD6E8FEB86659FD93, 0xA0761D6478BD642F, 0xE7037ED1A0B428DB, 0x8EBC6AF09C88C6E3, 0x589965CC75374CC3], np.uint64
)

_MOST_BUCKETS = 2**24
_HALF = np.uint64(32)
_KEPT = 2**18  # powers that are made once
_RETWEET, _HTTP, _HTTPS = ([*word] for word in (b"RT ", b"http", b"https"))


class Grams(NamedTuple):
    """The buckets of the n-grams of texts, one after the other: those of text i are from bounds[i] to bounds[i + 1]."""

    buckets: NDArray[np.int32]
    bounds: NDArray[np.int64]


@dataclass(frozen=True)
class Ngrams:
    """Hashes the n-grams of texts into so many buckets.

    A text's buckets depend on nothing but the text. Each n-gram is told as often as it occurs.

    >>> grams = Ngrams().transform(["Aha!", ""])
    >>> grams.bounds.tolist()  # a h a, _a ah ha a_, _ah aha ha_, _aha aha_, and the word
    [0, 13, 13]
    """

    buckets: int = 2**16

    def __post_init__(self) -> None:
        if not 1 <= self.buckets <= _MOST_BUCKETS:
            raise ValueError(f"there must be 1 to {_MOST_BUCKETS:,} buckets, got {self.buckets:,}; 65,536 are usual")

    def transform(self, texts: Sequence[str]) -> Grams:
        """The buckets of all n-grams of the texts, which may hold anything that Python takes for text."""
        units, spaces = units_of(texts)
        return Grams(*hashed_grams(units, spaces, letters(), roles(), self.buckets))


@kernel
def hashed_grams(
    units: NDArray[np.uint16],
    spaces: NDArray[np.int64],
    letters: NDArray[np.uint16],
    roles: NDArray[np.uint8],
    among: int,
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Buckets, `among` so many, and bounds of texts, whose units are between the spaces, as Grams has them."""
    code, between = _written(units, spaces, letters, roles)
    size = code.size
    letter = code.astype(np.uint64)
    buckets = np.empty((size, 5), np.int32)  # of n-grams by where they begin: one to four letters, and words
    present = np.zeros((size, 5), np.bool_)
    buckets[:, 0] = _bucket(letter * MULTIPLIERS[0], among)
    present[:, 0] = code > 0
    key, within = letter.copy(), np.ones(size, np.bool_)
    for length in (2, 3, 4):  # which may begin or end with a space between texts, but not reach across
        begins = max(size - length + 1, 0)
        key[:begins] |= letter[length - 1 :] << np.uint64(16 * (length - 1))
        buckets[:, length - 1] = _bucket(key * MULTIPLIERS[length - 1], among)
        within[begins:] = False
        inner = between[length - 2 : length - 2 + begins]
        within[:begins] &= ~(inner & between[1 : 1 + begins]) if length == 2 else ~inner
        present[:, length - 1] = within
    first = np.flatnonzero((code[1:] > 0) & (code[:-1] == 0)) + 1
    after = np.flatnonzero((code[1:] == 0) & (code[:-1] > 0)) + 1
    first, after = (ends[after - first >= SHORTEST_WORD] for ends in (first, after))
    sums = np.append(np.uint64(0), np.cumsum(letter * _powers(BASE, size)))
    words = (sums[after] - sums[first]) * _powers(INVERSE, size)[first]
    buckets[first, 4] = _bucket(words * MULTIPLIERS[4], among)
    present[first, 4] = True
    bounds = np.append(0, np.cumsum(present.sum(axis=1)))
    return buckets[present], bounds[np.flatnonzero(between)]


def _bucket(product: NDArray[np.uint64], among: int) -> NDArray[np.uint64]:
    """One of so many buckets by the upper half of a word: the share of 2^32 that it is."""
    return (product >> _HALF) * np.uint64(among) >> _HALF


def _written(
    units: NDArray[np.uint16], spaces: NDArray[np.int64], letters: NDArray[np.uint16], roles: NDArray[np.uint8]
) -> tuple[NDArray[np.uint16], NDArray[np.bool_]]:
    """The letters of all texts with one space between words, and which spaces are between texts."""
    code = letters[units]
    between = np.zeros(units.size, np.bool_)
    between[spaces] = True
    for start, end in [*_names(units, code, between, roles), *_addresses(units, roles)]:
        code[start:end] = 0
    marks = roles[units] == MARK
    if (marks[1:] & (code[:-1] == 0)).any():  # without a letter before it a mark is nothing
        bearer = np.maximum.accumulate(np.where(marks, 0, np.arange(units.size)))
        code[marks & (code[bearer] == 0)] = 0
    again = np.append(False, code[1:] == code[:-1])
    thrice = again & np.append(False, again[:-1])
    keep = ~np.where(code > 0, thrice, again & ~between)
    code, between = code[keep], between[keep]
    keep = np.append((code[:-1] > 0) | between[:-1] | ~between[1:], True)
    return code[keep], between[keep]


def _names(
    units: NDArray[np.uint16], code: NDArray[np.uint16], between: NDArray[np.bool_], roles: NDArray[np.uint8]
) -> Iterator[tuple[int, int]]:
    """Where @names begin and end, and an RT before one."""
    at = np.flatnonzero(units == ord("@"))
    if at.size:
        strangers = np.flatnonzero(roles[units] != NAME)
        ends = strangers[np.searchsorted(strangers, at, "right")]
        yield from zip(at.tolist(), ends.tolist(), strict=True)
        for place in at[at > 3].tolist():
            if units[place - 3 : place].tolist() == _RETWEET and not between[place - 1] and not code[place - 4]:
                yield place - 3, place - 1


def _addresses(units: NDArray[np.uint16], roles: NDArray[np.uint8]) -> Iterator[tuple[int, int]]:
    """Where addresses of the web begin and end."""
    colons = np.flatnonzero(units[:-2] == ord(":"))
    colons = colons[(units[colons + 1] == ord("/")) & (units[colons + 2] == ord("/"))]
    if colons.size:
        blanks = np.flatnonzero(roles[units] == BLANK)
        ends = blanks[np.searchsorted(blanks, colons)]
        for colon, end in zip(colons.tolist(), ends.tolist(), strict=True):
            scheme = [unit | 0x20 for unit in units[max(colon - 5, 0) : colon].tolist()]
            if scheme == _HTTPS or scheme[-4:] == _HTTP:
                yield colon - (5 if scheme == _HTTPS else 4), end


def _powers(base: np.uint64, count: int) -> NDArray[np.uint64]:
    size = max(2**14, 1 << (count - 1).bit_length())
    return (_kept_powers(base, size) if size <= _KEPT else _make_powers(base, size))[:count]


def _make_powers(base: np.uint64, count: int) -> NDArray[np.uint64]:
    steps = np.full(count, base, np.uint64)
    steps[0] = 1
    return np.multiply.accumulate(steps)


_kept_powers = cache(_make_powers)


def told_grams(text: str, buckets: int) -> tuple[list[str], NDArray[np.int32]]:
    """The n-grams and words of a text as they are read, with _ for a space, and the bucket of each, in one order.

    >>> told_grams("Aha!", 2**16)[0]
    ['_a', '_ah', '_aha', 'a', 'ah', 'aha', 'aha_', '_aha_', 'h', 'ha', 'ha_', 'a', 'a_']
    """
    code, _ = _written(*units_of([text]), letters(), roles())
    written = "".join(map(chr, code)).replace("\0", "_")
    told: list[str] = []
    for place, letter in enumerate(code.tolist()):
        windows = [written[place : place + length] for length in (1, 2, 3, 4) if place + length <= len(written)]
        told += windows if letter else windows[1:]
        word = written[place:].partition("_")[0]
        if letter and not code[place - 1] and len(word) >= SHORTEST_WORD:
            told.append(f"_{word}_")
    return (told if code.size > 2 else []), Ngrams(buckets).transform([text]).buckets
