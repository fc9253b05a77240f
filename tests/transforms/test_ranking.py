"""Ranking: the first items are those of a sorted list, for any bundles, late data included."""

from __future__ import annotations

import random
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.coders import FastPrimitivesCoder
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.test_stream import TestStream
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.window import TimestampedValue

from transforms.ranking import Ranking, ranking
from transforms.windowing import ApplyWindow, WindowPolicy

NOON = 1_000_000
CHANCE = random.Random(5)
SCORES = [(CHANCE.choice("abc"), CHANCE.randrange(500)) for _ in range(3000)]


@pytest.mark.parametrize(
    ("keep", "capacity", "of_sorted"),
    [
        ("largest", 7, lambda values: values[::-1][:7]),
        ("smallest", 7, lambda values: values[:7]),
        ("largest", 5000, lambda values: values[::-1]),
        (None, None, lambda values: values),
    ],
)
def test_the_first_are_those_of_a_sorted_list(in_process: Any, keep: Any, capacity: Any, of_sorted: Any) -> None:
    truth = {key: of_sorted(sorted(score for owner, score in SCORES if owner == key)) for key in "abc"}
    with in_process() as pipeline:
        ranked = pipeline | beam.Create(SCORES) | beam.Reshuffle() | Ranking.PerKey(keep, capacity)
        assert_that(ranked, equal_to(list(truth.items())))


def test_strings_are_ranked_by_their_code_points(in_process: Any) -> None:
    words = ["zoë", "Äpfel", "ana", "日本", "Zoe", "ana"]
    with in_process() as pipeline:
        ranked = pipeline | beam.Create(words) | Ranking.Globally("smallest", 4)
        assert_that(ranked, equal_to([["Zoe", "ana", "ana", "zoë"]]))


def test_nothing_ranks_nothing(in_process: Any) -> None:
    with in_process() as pipeline:
        assert_that(pipeline | beam.Create([]) | Ranking.Globally(), equal_to([[]]))


def test_the_sketch_answers_for_what_is_in_between(in_process: Any) -> None:
    scores = [score for _, score in SCORES]
    with in_process() as pipeline:
        lists = pipeline | beam.Create(scores) | Ranking.Globally(None, None, output="sketch")
        answers = lists | beam.Map(lambda items: (items.count, items.kth(1500), items.rank(250)))
        assert_that(answers, equal_to([(3000, sorted(scores)[1499], sum(score <= 250 for score in scores))]))


def test_a_late_score_moves_up_in_its_window() -> None:
    arrivals = (
        TestStream(coder=FastPrimitivesCoder())
        .add_elements([TimestampedValue(score, NOON + 1) for score in (10, 30, 20)])
        .add_elements([TimestampedValue(99, NOON + 11)])
        .advance_watermark_to(NOON + 25)
        .add_elements([TimestampedValue(25, NOON + 2)])
        .advance_watermark_to(NOON + 200)
        .advance_watermark_to_infinity()
    )
    policy = WindowPolicy("10s", allowed_lateness=60, accumulation="accumulating")
    with TestPipeline(runner=BundleBasedDirectRunner(), options=PipelineOptions(["--streaming"])) as pipeline:
        panes = pipeline | arrivals | ApplyWindow(policy) | Ranking.Globally("largest", 2)
        assert_that(panes, equal_to([[30, 20], [99], [30, 25]]))


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("biggest", 3), 'keep must be "largest" or "smallest"'),
        (("largest", None), "give both, or neither to keep all"),
        (("largest", 0), "capacity must be at least 1 item, got 0"),
    ],
)
def test_what_cannot_be_is_refused_when_the_pipeline_is_built(arguments: Any, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        ranking(*arguments)
