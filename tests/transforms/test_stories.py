"""Stories: what is passed on is told once."""

from __future__ import annotations

import random

import pytest

from transforms.sketches import Estimate
from transforms.sketches.heavy_hitters import HeavyHitters
from transforms.stories import fold_stories, story_of

STORM = "The old bridge over the river is closed until Monday because of the flood"


@pytest.mark.parametrize(
    "text",
    [
        STORM,
        f"RT @ana: {STORM}",
        f"oh no!! RT @bo: RT @ana: {STORM} https://example.org/7",
        f"@friend {STORM.upper()} 😱😱",
        f"  {STORM}...  #flood".replace(" #flood", ""),
    ],
)
def test_the_same_in_other_dress_is_the_same_story(text: str) -> None:
    assert story_of(text) == STORM.lower()


def test_texts_that_say_too_little_are_no_story() -> None:
    assert story_of("good morning") is not None
    assert story_of("lol") is None
    assert story_of("RT @ana: https://example.org") is None


def test_a_storm_that_changes_some_words_is_one_story_with_a_count() -> None:
    chance = random.Random(3)
    frequent = HeavyHitters(500)
    words = STORM.split()
    variants = []
    for _ in range(300):  # many add a word, drop one or change one
        said = list(words)
        place = chance.randrange(len(said))
        said[place : place + chance.randrange(2)] = chance.choice(([], ["really"], ["sadly"]))
        variants.append(story_of(" ".join(said)))
    others = [story_of(f"nothing of this has to do with number {n * 7919}") for n in range(40)]
    frequent.add_many([story for story in variants + others if story])
    folded = fold_stories(frequent.top(500))
    assert folded[0][1] == Estimate(300, 300, 300, 1.0)
    assert sum(count.value for _, count in folded) == 340


def test_stories_that_merely_share_words_stay_apart() -> None:
    counts = [
        ("the match tonight was the best of the season", 9.0),
        ("the concert tonight was the worst of the year", 8.0),
    ]
    assert len(fold_stories((story, Estimate(n, n, n, 1.0)) for story, n in counts)) == 2
