"""Reading files: every payload becomes a record or a reject, and the counts say so."""

from __future__ import annotations

import gzip
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.utils.timestamp import MIN_TIMESTAMP

from pipelines.connectors import read, read_files, write
from transforms.parsing import Payload, parse_line, parse_tweet

GOOD = b'{"id":"%d","created_at":"2014-07-01T00:01:%02dZ","text":"number %d"}\n'

# What may come on a line, and a piece of the reason that it is rejected for.
POISON = {
    b'{"id":"1","created_at":"2014-07-01T00:01:09Z","text":"cut': "unexpected end of data",
    b"plain words": "unexpected character",
    b"\xff\xfe": "not valid UTF-8",
    rb'{"id":"1","created_at":"2014-07-01T00:01:09Z","text":"\ud83d"}': "surrogate",
    b'{"id":"1","text":"when?"}': "created_at is missing",
    b'{"id":"1","text":"far","created_at":99999999999999}': "seconds or milliseconds",
    b'{"id":"1","text":"before","created_at":-1}': "seconds or milliseconds",
    b'{"id":"1","text":"nan","created_at":NaN}': "unexpected character",
    b'{"id":"1","text":"some day","created_at":"yesterday"}': "a time must look like",
    b'{"id":"1","text":"where?","created_at":"2014-07-01T00:01:09"}': "must name its zone",
    b'{"id":"1","created_at":"2014-07-01T00:01:09Z"}': "text is missing",
    b'{"id":"1","created_at":"2014-07-01T00:01:09Z","text":null}': "text is missing or null",
    b'{"id":"1","created_at":"2014-07-01T00:01:09Z","text":7}': "text must be text, got 7",
    b'{"created_at":"2014-07-01T00:01:09Z","text":"whose?"}': "id is missing",
    b'{"id":"1","created_at":"2014-07-01T00:01:09Z","text":"' + b"x" * 10 * 2**20 + b'"}': "at most 1,048,576 bytes",
    b"[" * 10_000: "depth limit",
    b"[1, 2]": "expected a JSON object",
    GOOD.strip() % (1, 1, 1) + GOOD.strip() % (2, 2, 2): "unexpected content after document",
}


def read_all(pipeline: beam.Pipeline, path: object, decode: Callable[[Payload], Any] = parse_tweet, **more: Any) -> Any:
    return pipeline | read(str(path), decode, **more)


def test_poison_is_put_aside_with_its_reason_and_place(in_process: Any, tmp_path: Path) -> None:
    file = tmp_path / "mixed.jsonl"
    lines = [part for number, poison in enumerate(POISON) for part in (GOOD % (number, number, number), poison + b"\n")]
    file.write_bytes(b"".join(lines))

    def check(rejects: list[Any]) -> None:
        content = file.read_bytes()
        by_position = {reject.position: reject for reject in rejects}
        for poison, reason in POISON.items():
            reject = by_position[content.index(poison)]
            assert reason in reject.error
            assert reject.raw == poison[:65536]
            assert reject.source == str(file)
        assert len(rejects) == len(POISON)

    with in_process() as pipeline:
        tweets = read_all(pipeline, file)
        assert_that(
            tweets.rejects | beam.combiners.ToList() | beam.FlatMap(lambda all_: [check(all_)]), equal_to([None])
        )
        assert_that(
            tweets.records | beam.Map(lambda tweet: tweet.id), equal_to([str(n) for n in range(len(POISON))]), "ids"
        )
        assert_that(tweets.read, equal_to([2 * len(POISON)]), "count")


def test_records_carry_their_event_time(in_process: Any, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"id":1,"text":"ms","created_at":1404172869790}')

    def stamped(tweet: Any, time: Any = beam.DoFn.TimestampParam) -> tuple[str, int]:
        return tweet.id, time.micros

    with in_process() as pipeline:
        assert_that(
            read_all(pipeline, tmp_path / "a.jsonl").records | beam.Map(stamped), equal_to([("1", 1404172869790000)])
        )


def test_of_what_ends_no_watermark_is_told(in_process: Any, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("to be\nor not\n")
    with in_process() as pipeline:
        stamped = read_all(pipeline, tmp_path / "in.txt", parse_line, stamped=True).records
        assert stamped.element_type == beam.typehints.Tuple[int, str]
        assert_that(stamped, equal_to([(MIN_TIMESTAMP.micros, line) for line in ("to be", "or not")]))


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("broken.avro", b"Obj\x01garbage", "the file ended within the header"),
        ("other.avro", b"PAR1garbage", "is it an avro file"),
        ("broken.parquet", b"PAR1xxxxxxxx", "arquet"),
        ("broken.jsonl.gz", b"not gzip", "Not a gzipped file"),
    ],
)
def test_a_container_that_cannot_be_opened_is_one_reject(
    in_process: Any, tmp_path: Path, name: str, content: bytes, reason: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with in_process() as pipeline:
        tweets = read_all(pipeline, tmp_path)
        assert_that(tweets.rejects | beam.Map(lambda reject: reason in reject.error), equal_to([True]))
        assert_that(tweets.records, equal_to([]), "records")
        assert_that(tweets.read, equal_to([1]), "count")


def test_a_gzip_file_that_ends_early_gives_what_it_holds_and_one_reject(in_process: Any, tmp_path: Path) -> None:
    whole = gzip.compress(b"".join(GOOD % (n, n % 60, n) for n in range(5000)))
    (tmp_path / "cut.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    with in_process() as pipeline:
        tweets = read_all(pipeline, tmp_path / "cut.jsonl.gz")
        assert_that(tweets.rejects | beam.Map(lambda reject: "ended before" in reject.error), equal_to([True]))
        many = tweets.records | beam.combiners.Count.Globally() | beam.Map(lambda count: 1000 < count < 5000)
        assert_that(many, equal_to([True]), "many")


def test_an_empty_file_holds_no_record(in_process: Any, tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").touch()
    with in_process() as pipeline:
        tweets = read_all(pipeline, tmp_path / "empty.jsonl")
        assert_that(tweets.records, equal_to([]))
        assert_that(tweets.read, equal_to([0]), "count")


def test_a_directory_is_read_whole_without_its_hidden_files(in_process: Any, tmp_path: Path) -> None:
    for name in ["b.txt", "a.txt", "deep/c.txt", ".hidden.txt", "_about.txt", "deep/.d.tmp"]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    with in_process() as pipeline:
        assert_that(read_all(pipeline, tmp_path, parse_line).records, equal_to(["a.txt", "b.txt", "deep/c.txt"]))


def test_a_name_with_brackets_is_a_file_before_it_is_a_glob(in_process: Any, tmp_path: Path) -> None:
    (tmp_path / "we[i]rd.txt").write_text("yes")
    with in_process() as pipeline:
        assert_that(read_all(pipeline, tmp_path / "we[i]rd.txt", parse_line).records, equal_to(["yes"]))


def test_a_limit_takes_the_first_records_in_order_and_reads_no_further(in_process: Any, tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / f"{name}.txt").write_text("".join(f"{name}{number}\n" for number in range(3)))
    with in_process() as pipeline:
        lines = read_all(pipeline, tmp_path, parse_line, limit=4)
        assert_that(lines.records, equal_to(["a0", "a1", "a2", "b0"]))
        assert_that(lines.read, equal_to([4]), "count")


def test_large_files_are_split_and_read_once(in_process: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_files, "_BYTES_A_SPLIT", 100)
    (tmp_path / "long.txt").write_text("".join(f"line {number}\n" for number in range(200)))
    assert len(read_files.find_splits(str(tmp_path / "long.txt"))) > 10
    with in_process() as pipeline:
        lines = read_all(pipeline, tmp_path / "long.txt", parse_line)
        assert_that(lines.records, equal_to([f"line {number}" for number in range(200)]))


def test_what_is_not_there_or_not_known_is_said_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no file matches"):
        read(str(tmp_path / "nothing.jsonl"), parse_line)
    (tmp_path / "table.xlsx").touch()
    with pytest.raises(ValueError, match=r"must end in one of \.jsonl, .*got .*table\.xlsx"):
        read(str(tmp_path / "table.xlsx"), parse_line)
    with pytest.raises(ValueError, match=r"no file system for 'ftp://host/a\.jsonl': use a path, or one of gs, s3"):
        read("ftp://host/a.jsonl", parse_line)
    with pytest.raises(ValueError, match="limit must be at least 1"):
        read(str(tmp_path), parse_line, limit=0)


def test_a_decoder_of_the_users_own_may_fail_in_any_way(in_process: Any, tmp_path: Path) -> None:
    def fussy(payload: Payload) -> int:
        return 1 // (len(payload) - 3)

    (tmp_path / "a.txt").write_text("four\nsix\n")
    with in_process() as pipeline:
        numbers = read_all(pipeline, tmp_path / "a.txt", fussy)
        assert_that(numbers.records, equal_to([1]))
        assert_that(
            numbers.rejects | beam.Map(lambda reject: reject.error.split(":")[0]), equal_to(["ZeroDivisionError"]), "r"
        )


@pytest.mark.parametrize(("uri", "extra"), [("gs://bucket/a.jsonl", "gcp"), ("s3://bucket/a.jsonl", "aws")])
def test_an_extra_that_is_missing_is_named(uri: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "google.cloud.storage", None)
    monkeypatch.setitem(sys.modules, "boto3", None)
    for use in (lambda: read(uri, parse_line), lambda: write(uri)):
        with pytest.raises(ValueError, match=rf"pip install 'streamsketch\[{extra}\]'"):
            use()
