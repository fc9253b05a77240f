"""Stories: texts that say the same, told as one, however often they are passed on and dressed anew.

Whatever a text is dressed in is taken off before it is counted: who passes it on, links, mentions, emoji, case and
punctuation, and all beyond its first words, where texts that are passed on are cut. What is left is a story. Stories
that still differ in some words are folded when they are told, by the similarity of their MinHash sketches.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from transforms.parsing import LETTER
from transforms.sketches import Estimate, MinHash

_PASSED_ON = re.compile(r"^.*\bRT @\w+:?\s*", re.DOTALL)  # with whatever was put before it
_DRESS = re.compile(r"https?://\S*|(?<!\w)[@\uff20]\w+")
_WORD = re.compile(rf"{LETTER}+")
_LENGTH = 100  # characters of a story: texts that are passed on lose their end
_LONG_ENOUGH = 12  # characters: "good morning" is said by many who say nothing of each other
_SHINGLE = 4  # characters that are compared together, in every script


def story_of(text: str) -> str | None:
    """What a text says, undressed, or None where that is too little to know it again.

    >>> story_of("so true!! RT @ana: The bridge is CLOSED until Monday 🚧 https://example.org/1")
    'the bridge is closed until monday'
    >>> story_of("lol 😂😂") is None
    True
    """
    words = _WORD.findall(_DRESS.sub(" ", _PASSED_ON.sub("", text)).lower())
    story = " ".join(words)[:_LENGTH].rstrip()
    return story if len(story) >= _LONG_ENOUGH else None


def fold_stories(stories: Iterable[tuple[str, Estimate]], similarity: float = 0.6) -> list[tuple[str, Estimate]]:
    """Stories that resemble a more frequent one become part of it, with the sum of their counts: one line each.

    Stories come with their counts, as `HeavyHitters.top` tells them, and leave with the most frequent first. Two are
    alike from a Jaccard similarity of their shingles of about `similarity` on.

    >>> counts = [("the bridge is closed until monday", 60), ("bridge is closed until monday", 20), ("rain again", 9)]
    >>> folded = fold_stories((story, Estimate(n, n, n, 1.0)) for story, n in counts)
    >>> [(story, count.value) for story, count in folded]
    [('the bridge is closed until monday', 80), ('rain again', 9)]
    """
    folded: list[tuple[str, MinHash, Estimate]] = []
    for story, count in sorted(stories, key=lambda pair: (-pair[1].value, pair[0])):
        sketch = MinHash(256)
        sketch.add_many([story[start : start + _SHINGLE] for start in range(max(len(story) - _SHINGLE, 0) + 1)])
        for place, (first, known, so_far) in enumerate(folded):
            if known.similarity(sketch).value >= similarity:
                folded[place] = first, known, _sum(so_far, count)
                break
        else:
            folded.append((story, sketch, count))
    return sorted(((story, count) for story, _, count in folded), key=lambda pair: (-pair[1].value, pair[0]))


def _sum(one: Estimate, other: Estimate) -> Estimate:
    return Estimate(one.value + other.value, one.low + other.low, one.high + other.high, one.confidence)
