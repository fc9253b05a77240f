"""detect_language from file to file: every format, every field, and a ledger that balances."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fastavro
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from models.language.classifier import default
from pipelines import detect_language, launch
from pipelines.options import UsageError
from transforms.accounting import Ledger

if TYPE_CHECKING:
    from tests.pipelines.conftest import RunLive

ROWS = [
    {"id": 1, "text": "今日は早く帰ります", "lang": "xx"},
    {"id": 2, "text": "سأعود إلى البيت مبكرا اليوم", "lang": "xx"},
    {"id": 3, "text": "I am going home early today", "lang": "xx"},
    {"id": 4, "text": "😀", "lang": "xx"},
]
TOLD = {1: "ja", 2: "ar", 3: "en", 4: "und"}


def jsonl(path: Path) -> None:
    path.write_bytes(b"\n".join(map(orjson.dumps, ROWS)))


def avro(path: Path) -> None:
    fields = [{"name": "id", "type": "long"}, {"name": "text", "type": "string"}, {"name": "lang", "type": "string"}]
    with path.open("wb") as stream:
        fastavro.writer(stream, {"type": "record", "name": "Row", "fields": fields}, ROWS)


def parquet(path: Path) -> None:
    pq.write_table(pa.Table.from_pylist(ROWS), path)


def run(place: Path, source: Path, **more: Any) -> tuple[Ledger, list[dict[str, Any]]]:
    options = detect_language.Options(input=str(source), output=str(place / "out.jsonl"), **more)
    ledger = launch.run("detect_language", detect_language, options, [], Console(quiet=True))
    assert ledger
    assert ledger.missing == 0
    return ledger, [orjson.loads(line) for line in (place / "out.jsonl").read_bytes().splitlines()]


@pytest.mark.parametrize(("name", "fill"), [("in.jsonl", jsonl), ("in.avro", avro), ("in.parquet", parquet)])
def test_records_of_any_format_keep_their_fields(tmp_path: Path, name: str, fill: Callable[[Path], None]) -> None:
    fill(tmp_path / name)
    ledger, rows = run(tmp_path, tmp_path / name)
    assert ledger == Ledger(read=4, used=4)
    assert {row["id"]: row["lang"] for row in rows} == TOLD
    assert {row["id"]: row["text"] for row in rows} == {row["id"]: row["text"] for row in ROWS}
    assert {row["lang_given"] for row in rows} == {"xx"}
    assert all(0 <= row["lang_confidence"] <= 1 for row in rows)


@pytest.mark.parametrize(("suffix", "fill"), [(".avro", avro), (".parquet", parquet)])
def test_avro_and_parquet_keep_their_kind_and_their_schema(
    tmp_path: Path, suffix: str, fill: Callable[[Path], None]
) -> None:
    source, target = tmp_path / f"in{suffix}", tmp_path / f"out{suffix}"
    fill(source)
    for _ in range(2):  # what was given first stays, in a second run as well
        options = detect_language.Options(input=str(source), output=str(target))
        assert launch.run("detect_language", detect_language, options, [], Console(quiet=True)) == Ledger(
            read=4, used=4
        )
        if suffix == ".avro":
            with target.open("rb") as stream:
                reader = fastavro.reader(stream)
                schema: Any = reader.writer_schema
                rows: list[Any] = list(reader)
            kinds = {field["name"]: field["type"] for field in schema["fields"]}
            assert kinds == {"id": "long", "text": "string", "lang_given": "string", "lang": "string",
                             "lang_confidence": "double"}  # fmt: skip
        else:
            table = pq.read_table(target)
            rows = table.to_pylist()
            assert dict(zip(table.schema.names, table.schema.types, strict=True)) == {
                "id": pa.int64(), "text": pa.string(), "lang_given": pa.string(), "lang": pa.string(),
                "lang_confidence": pa.float64(),
            }  # fmt: skip
        assert {row["id"]: row["lang"] for row in rows} == TOLD
        assert {row["id"]: row["text"] for row in rows} == {row["id"]: row["text"] for row in ROWS}
        assert {row["lang_given"] for row in rows} == {"xx"}
        source, target = target, tmp_path / f"again{suffix}"


def test_lines_of_text_become_records(tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("bonjour tout le monde\nguten Morgen alle zusammen\n", encoding="utf-8")
    _, rows = run(tmp_path, tmp_path / "in.txt")
    assert {row["text"]: row["lang"] for row in rows} == {
        "bonjour tout le monde": "fr",
        "guten Morgen alle zusammen": "de",
    }


def test_what_has_no_text_is_rejected_with_the_reason(tmp_path: Path) -> None:
    lines = [b'{"id": 1}', b'{"text": 7}', b"\xff", b"{", b'{"text": null}', b'{"text": "hello there you"}']
    (tmp_path / "in.jsonl").write_bytes(b"\n".join(lines))
    ledger, rows = run(tmp_path, tmp_path / "in.jsonl")
    assert ledger == Ledger(read=6, used=2, rejected=4)
    assert {row["text"]: row["lang"] for row in rows} == {None: "und", "hello there you": "en"}
    errors = [orjson.loads(line)["error"] for line in (tmp_path / "out.rejects.jsonl").read_bytes().splitlines()]
    assert "a record must have text in the field text, got the fields id" in errors
    assert "a record must have text in the field text, got int" in errors


def test_doubt_choice_reason_and_field_are_options(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_bytes(b'{"body": "ok"}\n{"body": "good morning everyone"}')
    (tmp_path / "own.safetensors").write_bytes(default().to_bytes())
    _, rows = run(
        tmp_path,
        tmp_path / "in.jsonl",
        text="body",
        languages="en, ja",
        min_confidence=0.9,
        explain=True,
        model=str(tmp_path / "own.safetensors"),
    )
    by_text = {row["body"]: row for row in rows}
    assert by_text["good morning everyone"]["lang"] == "en"
    assert by_text["good morning everyone"]["lang_why"]
    assert {row["lang"] for row in rows} <= {"en", "ja", "und"}


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({"languages": "en,klingon"}, "languages must be some of .* got klingon"),
        ({"min_confidence": 1.5}, "min_confidence must be between 0 and 1"),
        ({"output": "out.parquet", "explain": True}, "lang_why is JSON of n-grams, so --explain needs .jsonl"),
        ({"model": "nowhere", "languages": "en"}, "there is no model 'nowhere'"),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict[str, Any], rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        detect_language.Options(**{"input": "in.jsonl", "output": "out.jsonl", **options})


def test_a_schema_is_that_of_what_is_read(tmp_path: Path) -> None:
    jsonl(tmp_path / "in.jsonl")
    options = detect_language.Options(input=f"{tmp_path}/in.jsonl", output=f"{tmp_path}/out.parquet")
    with pytest.raises(UsageError, match=r"all of it must be \.parquet, got '.*in\.jsonl'"):
        launch.run("detect_language", detect_language, options, [], Console(quiet=True))


@pytest.mark.prism
def test_a_stream_is_told_as_it_comes(tmp_path: Path, run_live: RunLive) -> None:
    arriving, out = tmp_path / "in", tmp_path / "out"
    arriving.mkdir()
    jsonl(arriving / "first.jsonl")
    flags = ["--input", f"watch:{arriving}", "--output", f"{out}/", "--window", "2s"]

    def told() -> list[dict[str, Any]]:
        return [orjson.loads(line) for file in out.glob("[!.]*.jsonl") for line in file.read_bytes().splitlines()]

    with run_live("detect_language", *flags) as run:
        run.wait_for(lambda: len(told()) == 4, "the first file is told")
        (arriving / "second.txt").write_text("guten Morgen alle zusammen", encoding="utf-8")
        run.wait_for(lambda: len(told()) == 5, "the second file is told")
        run.press_ctrl_c()
        run.process.wait(60)
    assert {row["id"]: row["lang"] for row in told() if "id" in row} == TOLD
    assert [row["lang"] for row in told() if "id" not in row] == ["de"]
