"""The metadata of Flex Templates: up to date, what Google's own proto takes, and rules that examples keep."""

from __future__ import annotations

import dataclasses
import importlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

from pipelines import template
from pipelines.__main__ import PIPELINES, main
from pipelines.options import Options, UsageError
from transforms.windowing import WindowPolicy

FOLDER = Path(__file__).parents[2] / "templates" / "dataflow"
GRAPHS = [name for name in PIPELINES if hasattr(importlib.import_module(f"pipelines.{name}"), "build")]


def metadata(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text())
    return found


def parameters(name: str) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in metadata(name)["parameters"]}


def allows(parameter: dict[str, Any], text: str) -> bool:
    return all(re.fullmatch(rule, text) for rule in parameter.get("regexes", []))


def test_there_is_a_template_for_each_graph_and_no_other() -> None:
    assert {path.stem for path in FOLDER.glob("*.json")} == set(GRAPHS)
    assert len(GRAPHS) > 5


@pytest.mark.parametrize("name", GRAPHS)
def test_it_is_what_the_command_writes(name: str, tmp_path: Path) -> None:
    assert main(["template", name, "--output", str(tmp_path / "made.json")]) == 0
    made, kept = (tmp_path / "made.json").read_text(), (FOLDER / f"{name}.json").read_text()
    assert made == kept, f"python -m pipelines template {name} --output templates/dataflow/{name}.json"


@pytest.mark.gcp
@pytest.mark.parametrize("name", GRAPHS)
def test_googles_proto_takes_it_and_nothing_else(name: str) -> None:
    from google.cloud import dataflow_v1beta3 as dataflow
    from google.protobuf import json_format

    proto = dataflow.TemplateMetadata.pb(dataflow.TemplateMetadata())
    parsed = json_format.ParseDict(metadata(name), proto)
    assert [each.name for each in parsed.parameters] == list(parameters(name))
    for wrong in ({"paramTyp": "TEXT"}, {"paramType": "WORDS"}):
        with pytest.raises(json_format.ParseError):
            json_format.ParseDict({"name": "x", "parameters": [{"name": "y", **wrong}]}, type(proto)())


@pytest.mark.parametrize("name", GRAPHS)
def test_examples_and_defaults_keep_the_rules_and_what_has_none_must_be_given(name: str) -> None:
    options = importlib.import_module(f"pipelines.{name}").Options
    declared = {field.name: field for field in dataclasses.fields(options)}
    for parameter in metadata(name)["parameters"]:
        if "defaultValue" in parameter:
            assert allows(parameter, parameter["defaultValue"]), parameter
        if example := re.search(r"; for example (\S+)$", parameter["helpText"]):
            assert allows(parameter, example[1]), parameter
        if declared[parameter["name"]].default is dataclasses.MISSING:
            assert not parameter["isOptional"], parameter
    assert not parameters(name)["output"]["isOptional"]


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("gs://bucket/tweets/*.jsonl", True),
        ("pubsub://projects/p/subscriptions/s?time=at&id=id", True),
        ("sample:tweets.jsonl", True),
        ("pubsub://projects/p/topics/t", False),
        ("/home/me/tweets.jsonl", False),
        ("watch:texts/", False),
        ("-", False),
    ],
)
def test_input_is_where_workers_can_reach_it(text: str, right: bool) -> None:
    assert allows(parameters("word_count")["input"], text) == right
    live = text.startswith("pubsub")
    assert allows(parameters("train_language")["input"], text) == (right and not live)


@pytest.mark.parametrize(
    "text",
    ["10s", "1h/5m", "session 30m", "day Europe/Paris", "all", "all, early every 1000 records",
     "10s, lateness 1h, early every 5s, late every record, accumulating"],
)  # fmt: skip
def test_every_window_that_the_command_line_takes_is_taken(text: str) -> None:
    WindowPolicy.parse(text)
    assert allows(parameters("word_count")["window"], text)


@pytest.mark.parametrize("text", ["ten seconds", "10", "10s lateness 1h", "10s, sooner", "hour", ""])
def test_a_window_that_the_command_line_refuses_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"must|may"):
        WindowPolicy.parse(text)
    assert not allows(parameters("word_count")["window"], text)


def test_parameters_mean_the_options_of_the_command_line() -> None:
    rollup: type[Options] = importlib.import_module("pipelines.rollup").Options
    given = {
        "input": "gs://b/*.jsonl", "output": "gs://b/out/", "event_time": "at", "by": "lang,device:integer",
        "measure": "distinct:user@0.02; quantiles:latency=0.5,0.99", "store": "postgresql://u@h/n", "rebuild": "false",
        "where": 'status >= 500 and path = "a=b"', "window": "10s, lateness 10m",
    }  # fmt: skip
    handed = [*(f"--{name}={value}" for name, value in given.items()), "--region=europe-west1"]
    options, flags = rollup.parse("rollup", "", template.arguments_of("rollup", handed))
    assert options.measure == ("distinct:user@0.02", "quantiles:latency=0.5,0.99")  # type: ignore[attr-defined]
    assert options.where == given["where"]  # type: ignore[attr-defined]
    assert options.event_time == "at"  # type: ignore[attr-defined]
    assert not options.rebuild  # type: ignore[attr-defined]
    assert flags == ["--region=europe-west1"]


def test_nothing_claims_to_bear_records_twice() -> None:
    assert not any(metadata(name).get("supportsAtLeastOnce") for name in GRAPHS)


def test_what_is_no_graph_has_no_template() -> None:
    for name, reason in (("query", "of one graph"), ("classify_tweets", "of one graph"), ("tweets", "no pipeline")):
        with pytest.raises(UsageError, match=reason):
            template.metadata_of(name)
