"""Every operation beside Spark's own DStreams: equal answers in every window, on random data with stated seeds.

A batch of Spark's is a second of event time here: what batch i tells is told in the window that ends i + 1 seconds
after the start. Spark tells empty answers, too (a count of 0); a window without records is silent.
"""

from __future__ import annotations

import operator
import random
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import apache_beam as beam
import orjson
import pytest
from apache_beam.coders import FastPrimitivesCoder
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.test_stream import TestStream
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.window import TimestampedValue

from pipelines import word_count
from pipelines.launch import run_command
from transforms.counting import CountByValue, CountByWindow
from transforms.joining import JoinPerWindow
from transforms.reducing import ReduceByWindow
from transforms.schemas import Text
from transforms.sliding import ReduceByKeyAndWindow
from transforms.updating import UpdateStateByKey
from transforms.windowing import ApplyWindow, WindowPolicy
from transforms.words import DescribeCounts, words_of

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = [pytest.mark.spark, pytest.mark.filterwarnings("ignore:DStream is deprecated:FutureWarning")]

NOON = 1_000_000
SIZES = (0, 1, 4, 9, 0, 9, 4)  # of batches, in random order
BATCHES = len(SIZES)
INTERVAL = 0.5  # seconds of Spark's clock
INITIAL = [("a", 100), ("z", 7)]

Pair: TypeAlias = tuple[str, int]
Answers: TypeAlias = dict[int, list[Any]]  # by the second at which the window ends


@dataclass(frozen=True)
class Told:
    """What came in, and what each of Spark's streams told for it."""

    texts: list[list[str]]
    lefts: list[list[Pair]]
    rights: list[list[Pair]]
    spark: dict[str, Answers]


def random_batches(seed: int) -> tuple[list[list[str]], list[list[Pair]], list[list[Pair]]]:
    """Batches of few keys, some of them empty: of texts, and of two kinds of pairs."""
    chance = random.Random(seed)

    def batches(make: Callable[[], Any]) -> list[list[Any]]:
        sizes = chance.sample(SIZES, BATCHES)
        return [[make() for _ in range(size)] for size in sizes]

    def text() -> str:
        return " ".join(chance.choices("abcde", k=chance.randrange(4)))

    def pair() -> Pair:
        return chance.choice("abcd"), chance.randrange(100)

    return batches(text), batches(pair), batches(pair)


def make_update() -> Callable[[list[int], int | None], int | None]:
    """Forgets a key when nothing came for the second time in a row: its sum is kept in tens, the silences in ones."""

    def update(values: list[int], before: int | None) -> int | None:  # local, so that Spark pickles it by its value
        total, silences = divmod(before or 0, 10)
        silences = 0 if values else silences + 1
        return None if silences > 1 else (total + sum(values)) * 10 + silences

    return update


@pytest.fixture(scope="module", params=[1, 2], ids="seed {}".format)
def told(request: pytest.FixtureRequest, spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Told:
    """All streams of one seed, in one StreamingContext."""
    from pyspark.streaming import StreamingContext

    context = spark.sparkContext
    texts, lefts, rights = random_batches(request.param)
    streaming = StreamingContext(context, INTERVAL)  # type: ignore[arg-type]
    streaming.checkpoint(str(tmp_path_factory.mktemp("checkpoint")))
    answers: dict[str, Answers] = defaultdict(dict)
    periods = {"windows of 4 every 2": 2}

    def queue(batches: list[list[Any]]) -> Any:
        return streaming.queueStream([context.parallelize(batch, 1) for batch in batches])

    def listen(name: str, stream: Any) -> None:
        def note(rdd: Any) -> None:
            index = len(answers[name]) + 1
            answers[name][index * periods.get(name, 1)] = sorted(rdd.collect(), key=repr)

        stream.foreachRDD(note)

    text, left, right = queue(texts), queue(lefts), queue(rights)
    word = text.flatMap(str.split)
    ones = word.map(lambda one: (one, 1))
    three, four = 3 * INTERVAL, 4 * INTERVAL
    listen("words", ones.reduceByKey(operator.add, 1))
    listen(
        "by inverse", ones.reduceByKeyAndWindow(operator.add, operator.sub, three, INTERVAL, 1, lambda kv: kv[1] > 0)
    )
    listen("windows of 4 every 2", left.reduceByKeyAndWindow(operator.add, None, four, 2 * INTERVAL, 1))
    listen("values", word.countByValueAndWindow(three, INTERVAL, 1))
    listen("count", word.countByWindow(three, INTERVAL))
    listen("greatest", left.map(lambda kv: kv[1]).reduceByWindow(max, None, three, INTERVAL))
    listen("state", left.updateStateByKey(make_update(), 1, context.parallelize(INITIAL, 1)))
    listen("inner", left.join(right, 1))
    listen("left", left.leftOuterJoin(right, 1))
    listen("right", left.rightOuterJoin(right, 1))
    listen("full", left.fullOuterJoin(right, 1))
    listen("last", right.count())
    streaming.start()
    try:
        deadline = time.monotonic() + 90
        while len(answers["last"]) < BATCHES + 4:  # polled, because Spark pickles what listens
            assert time.monotonic() < deadline, f"Spark has told {len(answers['last'])} batches only"
            time.sleep(0.05)
    finally:
        streaming.stop(stopSparkContext=False, stopGraceFully=False)
    return Told(texts, lefts, rights, answers)


def stamped(pipeline: beam.Pipeline, label: str, batches: list[list[Any]]) -> beam.PCollection:
    """Each batch at random moments of its own second, in random order."""
    items = [TimestampedValue(item, NOON + at) for at, item in in_any_order(batches)]
    kind = str if label == "Words" else tuple[str, int]
    return pipeline | label >> beam.Create(items, reshuffle=False).with_output_types(kind)


def in_any_order(batches: list[list[Any]]) -> list[tuple[float, Any]]:
    chance = random.Random(len(batches[0]))
    items = [
        (second + chance.choice((0, chance.randrange(1_000_000) / 1e6, 0.999999)), item)
        for second, batch in enumerate(batches)
        for item in batch
    ]
    return chance.sample(items, len(items))


def ended(answer: Any, window: Any = beam.DoFn.WindowParam) -> tuple[int, Any]:
    return int(window.end) - NOON, answer


def windowed(values: beam.PCollection, policy: str) -> beam.PCollection:
    return values | ApplyWindow(WindowPolicy.parse(policy))


def joined(how: Any) -> Callable[..., beam.PCollection]:
    return lambda _, *sides: (
        tuple(side | f"Side {n}" >> ApplyWindow(WindowPolicy("1s")) for n, side in enumerate(sides))
        | JoinPerWindow(how)
    )


OURS: dict[str, Callable[..., beam.PCollection]] = {
    "words": lambda words, *_: windowed(words, "1s") | CountByValue(),
    "by inverse": lambda words, *_: (
        words
        | beam.Map(lambda one: (one, 1)).with_output_types(tuple[str, int])
        | ReduceByKeyAndWindow(operator.add, operator.sub, window="3s/1s")
    ),
    "windows of 4 every 2": lambda _, lefts, __: lefts | ReduceByKeyAndWindow(operator.add, window="4s/2s"),
    "values": lambda words, *_: windowed(words, "3s/1s") | CountByValue(),
    "count": lambda words, *_: windowed(words, "3s/1s") | CountByWindow(),
    "greatest": lambda _, lefts, __: windowed(lefts | beam.Values(), "3s/1s") | ReduceByWindow(max),
    "state": lambda _, lefts, __: (
        lefts
        | UpdateStateByKey(
            make_update(),
            state=int,
            window="1s",
            timeout="10s",
            initial=lefts.pipeline | beam.Create([TimestampedValue(one, NOON) for one in INITIAL]),
        )
    ),
    "inner": joined("inner"),
    "left": joined("left"),
    "right": joined("right"),
    "full": joined("full"),
}


@pytest.mark.parametrize("name", OURS)
def test_answers_are_those_of_spark_in_every_window(told: Told, name: str) -> None:
    spark = [(end, one) for end, answers in told.spark[name].items() for one in answers if one != 0]
    # The first windows of Spark's begin with the stream, so they are shorter; to us they are as long, but as empty.
    last = BATCHES + 2
    assert len({end for end, _ in spark}) >= 2
    with TestPipeline(runner="FnApiRunner") as pipeline:
        words = [[word for text in texts for word in text.split()] for texts in told.texts]
        sides = (("Words", words), ("Lefts", told.lefts), ("Rights", told.rights))
        answers = OURS[name](*(stamped(pipeline, label, batches) for label, batches in sides))
        ends = answers | "End" >> beam.Map(ended) | "Early" >> beam.Filter(lambda answer: answer[0] <= last)
        assert_that(ends, equal_to([answer for answer in spark if answer[0] <= last]))


def test_word_count_is_the_same_in_batch_in_a_stream_and_in_spark(told: Told, tmp_path: Path) -> None:
    spark = {(end, word): count for end, answers in told.spark["words"].items() for word, count in answers}
    texts = in_any_order(told.texts)
    moments = [datetime.fromtimestamp(NOON + at, UTC) for at, _ in texts]

    # The pipeline, over a file.
    rows = [{"text": text, "created_at": moment.isoformat()} for (_, text), moment in zip(texts, moments, strict=True)]
    (tmp_path / "texts.jsonl").write_bytes(b"\n".join(map(orjson.dumps, rows)))
    counts = tmp_path / "counts.jsonl"
    run_command(
        "word_count", word_count, ("--input", f"{tmp_path}/texts.jsonl", "--output", str(counts), "--window", "1s")
    )
    batch = {
        (int(datetime.fromisoformat(row["window_end"]).timestamp()) - NOON, row["word"]): row["count"]
        for row in map(orjson.loads, counts.read_bytes().splitlines())
    }
    assert batch == spark

    # Its steps, over a stream whose texts come one by one and in any order within two seconds.
    stream = TestStream(coder=FastPrimitivesCoder()).advance_watermark_to(NOON)
    for second in range(0, BATCHES + 1, 2):
        for at, text in texts:
            if second <= at < second + 2:
                stream.add_elements([TimestampedValue(Text(text), NOON + at)])
        stream.advance_watermark_to(NOON + second + 1).advance_watermark_to(NOON + second + 2)
    with TestPipeline(runner=BundleBasedDirectRunner(), options=PipelineOptions(["--streaming"])) as pipeline:
        words = pipeline | stream.advance_watermark_to_infinity() | beam.FlatMap(words_of).with_output_types(str)
        described = words | ApplyWindow(WindowPolicy("1s")) | CountByValue() | DescribeCounts()
        streamed = described | "End" >> beam.Map(
            lambda row: ((int(row.window_end.timestamp()) - NOON, row.word), row.count)
        )
        assert_that(streamed, equal_to(list(spark.items())))


def test_every_operation_of_dstreams_stands_on_the_page_for_those_who_come_from_them() -> None:
    from pyspark.streaming import DStream

    page = (Path(__file__).parents[2] / "docs" / "from-dstreams.md").read_text()
    missing = {name for name in vars(DStream) if not name.startswith("_") and f".{name}(" not in page}
    assert missing == set()
