"""Clusters that follow a stream: a batch and a stream of the same texts tell the same models."""

from __future__ import annotations

import hashlib
import random

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.test_stream import TestStream
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.window import TimestampedValue

from models.language.features import Featurizer
from models.language.mixture import initial_weights
from models.language.streaming_kmeans import StreamingKMeans
from transforms.streaming_kmeans import FollowClusters
from transforms.windowing import WindowPolicy

BASE = 1_000_000
FEATURIZER = Featurizer("clean", 64)


def named(model: bytes) -> str:
    """A short name of a model, for failures that can be read."""
    return hashlib.sha256(model).hexdigest()[:8]


def test_each_window_tells_the_clusters_after_it_in_batch_and_in_a_stream() -> None:
    chance = random.Random(3)
    texts = [
        (BASE + chance.uniform(0, 50), "".join(chance.choices(chance.choice(["abcd", "wxyz"]), k=12)))
        for _ in range(120)
    ]
    features = FEATURIZER.transform([text for _, text in texts])
    model = StreamingKMeans(initial_weights(features, 2, 0), half_life=2, geometry="likelihood")
    start, expected = model.to_bytes(), []
    for window in range(6):  # a window without texts is told, too
        of_window = [text for at, text in sorted(texts) if (at - BASE) // 10 == window]
        model.update(model.around(FEATURIZER.transform(of_window)))
        expected.append(model.to_bytes())
    follow = FollowClusters(start=start, featurizer=FEATURIZER, window=WindowPolicy("10s"), half_life=2, timeout="10s")
    with TestPipeline(runner="FnApiRunner") as pipeline:
        stamped = pipeline | beam.Create(texts) | beam.MapTuple(lambda at, text: TimestampedValue(text, at))
        stamped = stamped | beam.Map(str).with_output_types(str)
        assert_that(stamped | follow | beam.Map(named), equal_to(list(map(named, expected))))

    stream = TestStream().advance_watermark_to(BASE)
    for window in range(6):
        of_window = [(at, text) for at, text in texts if (at - BASE) // 10 == window]
        chance.shuffle(of_window)
        if of_window:
            stream = stream.add_elements([TimestampedValue(text, at) for at, text in of_window])
        stream = stream.advance_watermark_to(BASE + 10 * (window + 1))
    options = PipelineOptions(["--streaming"])
    with TestPipeline(runner=BundleBasedDirectRunner(), options=options) as pipeline:
        arrived = pipeline | stream.advance_watermark_to_infinity() | beam.Map(str).with_output_types(str)
        assert_that(arrived | follow | beam.Map(named), equal_to(list(map(named, expected))))


def test_a_start_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="streaming k-means must begin with"):
        FollowClusters(start=b"", featurizer=FEATURIZER, window=WindowPolicy("10s"))
