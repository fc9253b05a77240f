"""Fields that a schema lacks are refused with the name that may be meant; what has no schema is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.connectors.fields import names_of_fields, require_fields
from pipelines.connectors.read_files import find_splits
from transforms.tables import Field

USER = {
    "type": "record",
    "name": "User",
    "fields": [{"name": "id", "type": "long"}, {"name": "friend", "type": "User"}],
}
EVENT = {
    "type": "record",
    "name": "Event",
    "fields": [
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "user", "type": ["null", USER]},
        {"name": "tags", "type": {"type": "map", "values": "string"}},
        {"name": "words", "type": {"type": "array", "items": "string"}},
        {"name": "lang", "type": ["null", "string"]},
    ],
}


def avro(path: Path) -> None:
    with path.open("wb") as file:
        fastavro.writer(file, EVENT, [])


def parquet(path: Path) -> None:
    user = pa.struct([("id", pa.int64())])
    pq.write_table(pa.schema([("at", pa.int64()), ("user", user), ("lang", pa.string())]).empty_table(), path)


def refused(folder: Path, *paths: str) -> str:
    with pytest.raises(ValueError, match="there is no field") as caught:
        require_fields(find_splits(f"{folder}/"), [Field(path, "any") for path in paths])
    return str(caught.value)


def test_a_schema_tells_its_fields_and_those_of_its_fields(tmp_path: Path) -> None:
    avro(tmp_path / "a.avro")
    known = ["at", "user.id", "user.friend", "user.friend.friend.id", "tags", "tags.anything.at.all", "words", "lang"]
    require_fields(find_splits(f"{tmp_path}/"), [Field(path, "any") for path in known])
    assert refused(tmp_path, "lang", "lnag").endswith("a.avro: did you mean lang?")
    assert refused(tmp_path, "user.idd").endswith("did you mean user.id?")
    assert refused(tmp_path, "words.first").endswith("did you mean words?")
    assert refused(tmp_path, "zzz").endswith("there are at, lang, tags, user, user.friend, user.id, words")


def test_the_first_file_that_has_a_schema_and_can_be_read_tells(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"x": 1}\n')
    (tmp_path / "b.parquet").write_bytes(b"garbage")
    parquet(tmp_path / "c.parquet")
    assert refused(tmp_path, "user.idd").endswith("c.parquet: did you mean user.id?")
    with pytest.raises(ValueError, match="the column lang must hold numbers, got string"):
        require_fields(find_splits(f"{tmp_path}/"), [Field("lang", "number")])


def test_without_a_schema_nothing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"x": 1}\n')
    require_fields(find_splits(f"{tmp_path}/"), [Field("y", "any")])


@pytest.mark.parametrize(
    ("lines", "names"),
    [('oops\n[1]\n{"x": 1, "user": {"id": {"a": 2}}}\n', ["x", "user", "user.id", "user.id.a"]), ("oops\n", [])],
)
def test_names_are_those_of_the_first_row_that_is_one(tmp_path: Path, lines: str, names: list[Any]) -> None:
    (tmp_path / "a.jsonl").write_text(lines)
    assert names_of_fields(f"{tmp_path}/") == names
