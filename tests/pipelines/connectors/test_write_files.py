"""Writing files: complete when seen, never overwritten, the same for any order of arrival."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import apache_beam as beam
import orjson
import pyarrow.dataset
import pytest
from apache_beam.coders import FastPrimitivesCoder
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.test_stream import TestStream
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.window import TimestampedValue
from apache_beam.utils.timestamp import Timestamp

from pipelines.connectors import parts, write, write_files
from pipelines.connectors import read as read_input
from pipelines.connectors.lines import Lines
from transforms.schemas import WordCount
from transforms.windowing import ApplyWindow, WindowPolicy

NOON = 1_000_000
RowsOf = Callable[..., list[Any]]


def stamped(pairs: list[tuple[str, float]]) -> beam.PTransform:
    return beam.Create(pairs) | beam.MapTuple(TimestampedValue)


def stream_of(*steps: Callable[[TestStream], TestStream]) -> TestStream:
    stream = TestStream(coder=FastPrimitivesCoder())
    for step in steps:
        stream = step(stream)
    return stream.advance_watermark_to(NOON + 10_000).advance_watermark_to_infinity()


def write_stream(arrivals: TestStream, policy: WindowPolicy, directory: Path) -> None:
    with TestPipeline(runner=BundleBasedDirectRunner(), options=PipelineOptions(["--streaming"])) as pipeline:
        _ = pipeline | "Arrive" >> arrivals | ApplyWindow(policy) | write(f"{directory}/")


def test_one_file_holds_all_in_order_of_event_time(in_process: Any, tmp_path: Path) -> None:
    with in_process() as pipeline:
        files = pipeline | stamped([("late", 9), ("early", 1), ("b", 5), ("a", 5)]) | write(str(tmp_path / "all.txt"))
        assert_that(files | beam.Map(lambda file: (Path(file.path).name, file.records)), equal_to([("all.txt", 4)]))
    assert (tmp_path / "all.txt").read_text() == "early\na\nb\nlate\n"
    assert [path.name for path in tmp_path.iterdir()] == ["all.txt"]


def test_nothing_makes_an_empty_file(in_process: Any, tmp_path: Path) -> None:
    with in_process() as pipeline:
        _ = pipeline | beam.Create([]) | write(str(tmp_path / "none.jsonl"))
    assert (tmp_path / "none.jsonl").read_bytes() == b""


def test_an_existing_file_is_refused_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "old.jsonl").write_text("precious")
    with pytest.raises(ValueError, match="exists already and is never overwritten"):
        write(str(tmp_path / "old.jsonl"))


def test_a_late_pane_is_a_new_file(tmp_path: Path, rows_of: RowsOf) -> None:
    arrivals = stream_of(
        lambda s: s.add_elements([TimestampedValue({"n": 1}, NOON + 1), TimestampedValue({"n": 2}, NOON + 2)]),
        lambda s: s.advance_watermark_to(NOON + 12),
        lambda s: s.add_elements([TimestampedValue({"n": 3}, NOON + 3)]),
    )
    write_stream(arrivals, WindowPolicy("10s", allowed_lateness=60), tmp_path)
    on_time, late = sorted(tmp_path.iterdir())
    assert on_time.name.startswith("19700112T134640Z-19700112T134650Z.pane0.shard0of1.")
    assert late.name.startswith("19700112T134640Z-19700112T134650Z.pane1.shard0of1.")
    assert rows_of(on_time) == [{"n": 1}, {"n": 2}]
    assert rows_of(late) == [{"n": 3}]


@pytest.mark.parametrize("seed", range(6))
def test_any_schedule_of_bundles_windows_and_late_data_loses_and_doubles_nothing(
    seed: int, tmp_path: Path, rows_of: RowsOf
) -> None:
    chance = random.Random(seed)
    records = [(number, NOON + chance.randrange(100)) for number in range(60)]
    steps: list[Callable[[TestStream], TestStream]] = []
    watermark = NOON
    rest = list(records)
    while rest:
        size = chance.randint(1, 8)  # a bundle reaches over one to five windows
        bundle, rest = rest[:size], rest[size:]
        values = [TimestampedValue({"n": number}, time) for number, time in bundle]
        steps.append(lambda s, values=values: s.add_elements(values))
        watermark += chance.randrange(1, 15)
        steps.append(lambda s, watermark=watermark: s.advance_watermark_to(watermark))
    write_stream(stream_of(*steps), WindowPolicy("20s", allowed_lateness=5000), tmp_path)
    files = sorted(tmp_path.iterdir())
    assert sorted(row["n"] for row in rows_of(*files)) == sorted(number for number, _ in records)
    for file in files:
        name = file.name.split("Z-")[0]
        in_window = [number for number, time in records if parts._compact(_start(time)) == f"{name}Z"]
        assert {row["n"] for row in rows_of(file)} <= set(in_window)


def _start(time: int) -> Timestamp:
    return Timestamp(time // 20 * 20)


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz", ".txt"])
def test_a_repeated_run_adds_nothing_and_another_run_overwrites_nothing(
    in_process: Any, tmp_path: Path, suffix: str
) -> None:
    def run(*texts: str) -> dict[str, bytes]:
        with in_process() as pipeline:
            pairs = [(text, 5.0) for text in texts]
            _ = pipeline | stamped(pairs) | ApplyWindow(WindowPolicy("10s")) | write(f"{tmp_path}/out/", suffix=suffix)
        return {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}

    once = run("a", "b")
    assert run("b", "a") == once
    both = run("c")
    assert len(both) == 2
    assert both.items() > once.items()


def test_shards_share_a_window_and_do_not_depend_on_order(in_process: Any, tmp_path: Path) -> None:
    texts = [f"text {number}" for number in range(100)]

    def run(name: str, order: list[str]) -> dict[str, bytes]:
        with in_process() as pipeline:
            _ = pipeline | beam.Create(order) | write(f"{tmp_path}/{name}", suffix=".txt", shards=4)
        return {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()}

    files = run("one", texts)
    assert files == run("two", texts[::-1])
    assert len(files) == 4
    assert sorted(line for content in files.values() for line in content.decode().splitlines()) == sorted(texts)


class Fails(Lines):
    """Lines whose disk is full after some bytes."""

    def write(self, stream: Any, rows: Any) -> None:
        del rows
        stream.write(b"half a fi")
        raise OSError(28, "No space left on device")


def test_a_failure_leaves_neither_half_a_file_nor_a_temporary_one(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space left"):
        write_files.write_file(str(tmp_path / "out.txt"), Fails(), [b"row"])
    assert list(tmp_path.iterdir()) == []


def test_a_stream_without_an_end_cannot_become_one_file(tmp_path: Path) -> None:
    pipeline = TestPipeline(runner=BundleBasedDirectRunner(), options=PipelineOptions(["--streaming"]))
    endless = pipeline | TestStream(coder=FastPrimitivesCoder()).add_elements([TimestampedValue(1, NOON)])
    with pytest.raises(ValueError, match="name a directory"):
        endless | write(str(tmp_path / "x.jsonl"))


def test_at_least_one_shard() -> None:
    with pytest.raises(ValueError, match="shards must be at least 1, got 0"):
        write("somewhere/", shards=0)


_FIRST = datetime(2014, 6, 30, 22, tzinfo=UTC)
_HOURS = [_FIRST + timedelta(hours=number) for number in range(5)]
HOURS = [WordCount(moment, moment, f"w{number}", number) for number, moment in enumerate([*_HOURS, *_HOURS])]


def write_hours(uri: str, suffix: str = ".parquet") -> None:
    with TestPipeline(runner="FnApiRunner") as pipeline:
        at_their_times = beam.Map(lambda record: TimestampedValue(record, record.window_start.timestamp()))
        records = pipeline | beam.Create(HOURS) | at_their_times.with_output_types(WordCount)
        _ = records | ApplyWindow(WindowPolicy("1h")) | write(uri, suffix, shards=2)


def word_of(row: Any) -> str:
    return str(row["word"])


def test_folders_of_days_and_hours_are_columns_of_other_engines(tmp_path: Path) -> None:
    write_hours(f"{tmp_path}/out/?by=hour")
    write_hours(f"{tmp_path}/days/?by=day")
    read = pyarrow.dataset.dataset(tmp_path / "out", format="parquet", partitioning="hive").to_table().to_pylist()
    assert sorted((row["word"], row["date"], row["hour"]) for row in read) == sorted(
        (of.word, f"{of.window_start:%Y-%m-%d}", of.window_start.hour) for of in HOURS if of.window_start
    )
    assert {path.name for path in (tmp_path / "days").iterdir()} == {"date=2014-06-30", "date=2014-07-01"}
    with TestPipeline(runner="FnApiRunner") as pipeline:  # and ours reads them all
        back = pipeline | read_input(f"{tmp_path}/out/", word_of)
        assert_that(back.records, equal_to([of.word for of in HOURS]))


def test_manifests_list_the_files_of_each_window(tmp_path: Path) -> None:
    for _ in range(2):  # what is written again is listed once
        write_hours(f"{tmp_path}/out/?by=hour&manifests=yes", ".jsonl")
    manifests = [orjson.loads(path.read_bytes()) for path in (tmp_path / "out" / "_manifests").iterdir()]
    listed: Counter[str] = Counter()
    for manifest in manifests:
        assert manifest["records"] == sum(file["records"] for file in manifest["files"])
        for file in manifest["files"]:
            listed[file["path"]] += 1
            rows = (tmp_path / "out" / file["path"]).read_bytes().splitlines()
            assert len(rows) == file["records"]
            assert {orjson.loads(row)["window_start"] for row in rows} == {manifest["window_start"]}
    there = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").glob("date=*/hour=*/*")}
    assert listed == Counter(there)
    assert sum(manifest["records"] for manifest in manifests) == len(HOURS)


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("by=month", "by must be day or hour, got 'month'"),
        ("manifest=yes", "has no parameter 'manifest': did you mean manifests"),
        ("manifests=1", "must be yes or no"),
    ],
)
def test_what_a_directory_cannot_be_asked_is_said(tmp_path: Path, query: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        write_hours(f"{tmp_path}/out/?{query}")


def test_folders_of_hours_need_windows(tmp_path: Path) -> None:
    pipeline = TestPipeline(runner="FnApiRunner")
    with pytest.raises(ValueError, match="by=hour is about windows, and these records have none"):
        pipeline | beam.Create(["a"]) | write(f"{tmp_path}/out/?by=hour")
