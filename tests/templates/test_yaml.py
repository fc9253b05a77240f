"""The template in Beam YAML, run: its answers are those of a plain count."""

from __future__ import annotations

import json
import random
import warnings
from collections import Counter, defaultdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.util import assert_that, equal_to

FOLDER = Path(__file__).parents[2] / "templates" / "yaml"


def rows(folder: Path, name: str) -> list[dict[str, Any]]:
    lines = [line for file in folder.glob(f"{name}-*") for line in file.read_text().splitlines()]
    return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def requests() -> list[dict[str, Any]]:
    draw = random.Random(1)
    return [
        {"at": 1_000_020 + n % 120, "request": n, "user": draw.randrange(300), "page": draw.choice("aaabbc"),
         "latency": float(draw.randrange(1000))}
        for n in range(2000)
    ]  # fmt: skip


@pytest.fixture(scope="module")
def answers(requests: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the template filled, of requests that came twice in part."""
    from apache_beam.yaml import main

    folder = tmp_path_factory.mktemp("answers")
    lines = [json.dumps(each) + "\n" for each in [*requests, *requests[:500]]]
    (folder / "requests.jsonl").write_text("".join(lines))
    given = {"input": f"{folder}/requests.jsonl", "output": str(folder), "providers": f"{FOLDER}/providers.yaml"}
    flags = [f"--yaml_pipeline_file={FOLDER}/requests.yaml", f"--jinja_variables={json.dumps(given)}"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what Beam's own steps of YAML warn of is not ours
        options, construct, _ = main.build_pipeline_components_from_argv([*flags, "--runner=FnApiRunner"])
        with beam.Pipeline(options=options) as pipeline:
            construct(pipeline)
    return folder


def told(requests: list[dict[str, Any]], column: str) -> dict[str, list[Any]]:
    """The values of a column by the minute that they belong to."""
    values: dict[str, list[Any]] = defaultdict(list)
    for each in requests:
        start = datetime.fromtimestamp(each["at"] // 60 * 60, UTC)
        values[f"{start:%Y-%m-%dT%H:%M:%SZ}"].append(each[column])
    return values


@pytest.mark.gcp
def test_different_users_of_each_minute(requests: list[dict[str, Any]], answers: Path) -> None:
    found = {row["window_start"]: row for row in rows(answers, "users")}
    expected = {start: len(set(users)) for start, users in told(requests, "user").items()}
    assert len(expected) == 2
    assert {start: row["distinct"] for start, row in found.items()} == pytest.approx(expected, rel=0.04)
    assert all(row["low"] <= row["distinct"] <= row["high"] for row in found.values())


@pytest.mark.gcp
def test_requests_that_came_twice_count_once(requests: list[dict[str, Any]], answers: Path) -> None:
    found = {(row["window_start"], row["item"]): row["count"] for row in rows(answers, "pages")}
    exact = {
        (start, page): count
        for start, pages in told(requests, "page").items()
        for page, count in Counter(pages).most_common(2)
    }
    assert found == pytest.approx(exact, rel=0.02)  # the Bloom filter takes some new ones for repeated
    assert all(count <= exact[place] for place, count in found.items())


@pytest.mark.gcp
def test_latencies_of_each_page(requests: list[dict[str, Any]], answers: Path) -> None:
    found = {(row["window_start"], row["page"], row["rank"]): row["value"] for row in rows(answers, "latencies")}
    latencies: dict[tuple[str, str], list[float]] = defaultdict(list)
    for start, latency in told(requests, "latency").items():
        for page, value in zip(told(requests, "page")[start], latency, strict=True):
            latencies[start, page].append(value)
    assert set(found) == {(*place, rank) for place in latencies for rank in (0.5, 0.99)}
    for (start, page, rank), value in found.items():
        below = sum(other <= value for other in latencies[start, page]) / len(latencies[start, page])
        assert below == pytest.approx(rank, abs=0.04)


def test_columns_that_rows_lack_are_named() -> None:
    from pipelines.yaml_transforms import CountDistinct

    pipeline = beam.Pipeline(runner="FnApiRunner")
    visits = pipeline | beam.Create([beam.Row(user=1)])
    with pytest.raises(ValueError, match="rows must have page, they have user"):
        visits | CountDistinct("user", by=["page"])


def test_without_a_key_there_is_one_answer_of_all_time() -> None:
    from pipelines.yaml_transforms import CountDistinct

    with TestPipeline(runner="FnApiRunner") as pipeline:
        answers = pipeline | beam.Create([beam.Row(user=n % 3) for n in range(9)]) | CountDistinct("user")
        assert_that(answers, equal_to([beam.Row(window_start=None, window_end=None, distinct=3.0, low=3.0, high=3.0)]))
