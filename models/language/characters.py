"""What of a character matters to its language: its letter in lower case, or nothing.

Texts are taken as UTF-16 code units, as one table of 65,536 entries then knows them all. Letters beyond it, most of
them ornaments, count as nothing, as emoji, digits, and signs do.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

LONGEST = 2048  # characters of a text that are looked at; a language shows long before

_SPACE = " ".encode("utf-16-le")
NAME, BLANK, MARK = 1, 2, 3  # what may stand in a name after @, what ends an address, and what needs a letter


@cache
def letters() -> NDArray[np.uint16]:
    """For each unit its letter or mark in lower case and of usual width; 0 for all that is neither; shape (65536,).

    >>> [chr(letters()[ord(character)]) for character in "AΩｱ"], int(letters()[ord("7")])
    (['a', 'ω', 'ア'], 0)
    """
    table = np.zeros(2**16, np.uint16)
    for unit in range(2**16):
        usual = unicodedata.normalize("NFKC", chr(unit)).lower()
        letter = usual if len(usual) == 1 else chr(unit).lower()[:1]
        if unicodedata.category(letter)[0] in "LM" and ord(letter) < 2**16:
            table[unit] = ord(letter)
    table.flags.writeable = False
    return table


@cache
def roles() -> NDArray[np.uint8]:
    """For each unit its part: in a name, as a blank, as a mark, or none of these (0); shape (65536,)."""
    table = np.zeros(2**16, np.uint8)
    for unit in range(2**16):
        character = chr(unit)
        if character.isascii() and (character.isalnum() or character == "_"):
            table[unit] = NAME
        elif character.isspace():
            table[unit] = BLANK
        elif unicodedata.category(character)[0] == "M":
            table[unit] = MARK
    table.flags.writeable = False
    return table


def units_of(texts: Sequence[str]) -> tuple[NDArray[np.uint16], NDArray[np.int64]]:
    """The units of the texts with a space before each and after the last, and where these n + 1 spaces stand.

    >>> units, spaces = units_of(["ab", ""])
    >>> units.tolist(), spaces.tolist()
    ([32, 97, 98, 32, 32], [0, 3, 4])
    """
    encoded = [text[:LONGEST].encode("utf-16-le", "surrogatepass") for text in texts]
    spaces = np.zeros(len(encoded) + 1, np.int64)
    lengths = np.fromiter(map(len, encoded), np.int64, len(encoded)) // 2
    np.cumsum(lengths + 1, out=spaces[1:])
    return np.frombuffer(_SPACE.join([b"", *encoded, b""]), "<u2"), spaces
