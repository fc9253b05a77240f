"""Every graph as Dataflow would get it, translated by Beam's own runner without credentials or network."""

from __future__ import annotations

import dataclasses
import functools
import importlib
import json
import re
from collections.abc import Iterator
from io import StringIO
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.coders import Coder
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability.api import beam_runner_api_pb2 as api
from apache_beam.runners.pipeline_context import PipelineContext
from rich.console import Console

from pipelines import rollup, trending
from pipelines.__main__ import PIPELINES
from pipelines.launch import dataflow
from pipelines.launch.describe import describe, images_of, steps_of
from pipelines.launch.job import run
from pipelines.options import UsageError

pytestmark = pytest.mark.gcp

IMAGE = "europe-docker.pkg.dev/example/images/streamsketch:0.1.0"
FLAGS = [
    "--runner=DataflowRunner", "--project=test-project", "--region=europe-west1", f"--sdk_container_image={IMAGE}",
    "--temp_location=gs://bucket-xyz/tmp",
]  # fmt: skip
SUBSCRIPTION = "projects/test-project/subscriptions/events"
LIVE = f"--input=pubsub://{SUBSCRIPTION}?time=at&id=key"
BOUNDED = "--input=sample:tweets.jsonl"
STORE = "--store=postgresql://user@host/name"
ROLLUP = ["--output=gs://bucket-xyz/out/", "--by=lang", "--measure=distinct:user", "--event-time=created_at", STORE]
TRENDING = ["--output=gs://bucket-xyz/out", STORE]
ARGUMENTS = {
    "trending": TRENDING,
    "word_count": ["--output=gs://bucket-xyz/out/"],
    "rollup": ROLLUP,
    "detect_language": ["--output=gs://bucket-xyz/out/"],
    "evaluate_language": ["--output=gs://bucket-xyz/out.json"],
    "train_classifier": ["--output=gs://bucket-xyz/model.safetensors"],
    "collect_tweets": ["--output=gs://bucket-xyz/out/"],
    "replay_rejects": ["--output=gs://bucket-xyz/out/"],
    "examine_tweets": ["--output=gs://bucket-xyz/out/"],
    "train_language": ["--output=gs://bucket-xyz/model.safetensors"],
    "filter_language": ["--output=gs://bucket-xyz/out/", "--language=ja"],
}
STREAMS = ("trending", "word_count", "rollup", "collect_tweets")
CASES = [*((name, BOUNDED) for name in ARGUMENTS), *((name, LIVE) for name in STREAMS)]


@pytest.fixture(autouse=True)
def outside(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """No bucket has anything, and stores are made as they are asked for, by name."""
    from apache_beam.io.gcp.gcsfilesystem import GCSFileSystem

    made: list[str] = []
    monkeypatch.setattr(GCSFileSystem, "exists", lambda *_: False)
    for job in (rollup, trending):
        monkeypatch.setattr(job, "create_store", lambda uri, **_: made.append(uri))
    return made


@functools.cache
def translated(name: str, where: str) -> tuple[api.Pipeline, PipelineOptions]:
    job = importlib.import_module(f"pipelines.{name}")
    options, flags = job.Options.parse(name, "", [where, *ARGUMENTS[name], "--describe", *FLAGS])
    pipeline_options = PipelineOptions(flags)
    dataflow.prepare(name, options, pipeline_options)
    pipeline = beam.Pipeline(options=pipeline_options)
    job.build(pipeline, options)
    return dataflow.translated(pipeline), pipeline_options


def keys_of(proto: api.Pipeline) -> Iterator[tuple[str, Coder]]:
    """The coders of the keys of whatever is grouped or has state."""
    context = PipelineContext(proto.components)
    for transform in proto.components.transforms.values():
        stateful = False
        if transform.spec.urn == "beam:transform:pardo:v1":
            do = api.ParDoPayload.FromString(transform.spec.payload)
            stateful = bool(do.state_specs or do.timer_family_specs)
        if stateful or transform.spec.urn in {"beam:transform:group_by_key:v1", "beam:transform:combine_per_key:v1"}:
            [collection] = transform.inputs.values()
            yield transform.unique_name, context.coders.get_by_id(proto.components.pcollections[collection].coder_id)


def test_there_is_a_case_for_each_graph() -> None:
    graphs = {name for name in PIPELINES if hasattr(importlib.import_module(f"pipelines.{name}"), "build")}
    assert set(ARGUMENTS) == graphs


@pytest.mark.parametrize(("name", "where"), CASES)
def test_dataflow_takes_each_graph(name: str, where: str) -> None:
    proto, options = translated(name, where)
    names = [step.name for step in steps_of(proto)]
    assert len(names) == len(set(names))
    assert images_of(proto) == [IMAGE]
    assert proto.ByteSize() < 1_000_000  # Dataflow takes ten
    keys = dict(keys_of(proto))
    assert keys
    for label, coder in keys.items():
        assert coder.is_kv_coder(), label
        assert coder.key_coder().is_deterministic(), (label, coder)
    assert options.get_all_options()["save_main_session"] is False
    assert options.get_all_options()["streaming"] is (where == LIVE)


@pytest.mark.parametrize("name", STREAMS)
def test_a_subscription_is_read_by_dataflow_itself(name: str) -> None:
    proto, _ = translated(name, LIVE)
    steps = list(steps_of(proto))
    reads = [step for step in steps if step.kind == "pubsub_read"]
    assert [read.note for read in reads] == [f"{SUBSCRIPTION}, id=key, time=at"]
    assert not [step for step in steps if "reads in splits" in step.note or step.kind == "read"]
    unbounded = {
        key
        for key, collection in proto.components.pcollections.items()
        if collection.is_bounded == api.IsBounded.UNBOUNDED
    }
    [first] = [each for each in proto.components.transforms.values() if each.unique_name == reads[0].name]
    assert set(first.outputs.values()) <= unbounded


@pytest.mark.parametrize("name", STREAMS)
def test_what_is_late_there_is_told_by_timers(name: str) -> None:
    live, bounded = (dict(keys_of(translated(name, where)[0])) for where in (LIVE, BOUNDED))
    assert "Gate/Learn" in live
    assert "Gate/Learn" not in bounded


def test_steps_have_the_same_names_every_time() -> None:
    names = [step.name for step in steps_of(translated("trending", LIVE)[0])]
    translated.cache_clear()
    assert names == [step.name for step in steps_of(translated("trending", LIVE)[0])]


def test_the_job_is_asked_for_with_runner_v2_the_streaming_engine_and_our_image() -> None:
    from apache_beam.runners.dataflow.internal.apiclient import Environment
    from google.protobuf import json_format

    job_module = importlib.import_module("pipelines.word_count")
    options, flags = job_module.Options.parse("word_count", "", [LIVE, *ARGUMENTS["word_count"], "--describe", *FLAGS])
    pipeline_options = PipelineOptions(flags)
    dataflow.prepare("word_count", options, pipeline_options)
    pipeline = beam.Pipeline(options=pipeline_options)
    job_module.build(pipeline, options)
    job = pipeline.run().job
    job.proto.environment = Environment([], job.options, "8", "gs://bucket-xyz/pipeline.pb", job.proto_pipeline).proto
    told: dict[str, Any] = json.loads(job.json())
    assert told["type"] == "JOB_TYPE_STREAMING"
    assert re.fullmatch(r"word-count-\d{8}-\d{6}", told["name"])
    environment = told["environment"]
    assert environment["version"] == {"job_type": "FNAPI_STREAMING", "major": "8"}
    assert {"use_runner_v2", "enable_streaming_engine", "enable_windmill_service"} <= set(environment["experiments"])
    [pool] = environment["workerPools"]
    [harness] = pool["sdkHarnessContainerImages"]
    assert harness["containerImage"] == pool["workerHarnessContainerImage"] == IMAGE
    assert not pool.get("packages")
    kind = type(type(job.proto).pb(job.proto))
    assert json_format.ParseDict(told, kind()) == type(job.proto).pb(job.proto)


@pytest.mark.parametrize(
    ("changed", "rule"),
    [
        ({"output": "counts/"}, "--output must be what workers of Dataflow can use"),
        ({"input": "watch:texts/"}, "--input must be what workers of Dataflow can use"),
        ({"input": f"pubsub://{SUBSCRIPTION}", "state": "state/"}, "--state is for runs in this process"),
        ({"input": f"pubsub://{SUBSCRIPTION}", "for_": "10m"}, "--for is for runs in this process"),
        ({"input": f"pubsub://{SUBSCRIPTION}?remember=1h"}, "leave out log and remember"),
        ({"input": f"pubsub://{SUBSCRIPTION}?bound=1h"}, "leave out bound, idle and rate"),
    ],
)
def test_what_workers_cannot_do_is_refused(changed: dict[str, str], rule: str) -> None:
    job = importlib.import_module("pipelines.word_count")
    options = dataclasses.replace(job.Options(input="sample:tweets.jsonl", output="gs://bucket-xyz/out/"), **changed)
    with pytest.raises(UsageError, match=rule):
        run("word_count", job, dataclasses.replace(options, describe=True), FLAGS, Console(file=StringIO()))


def test_workers_without_the_package_are_refused() -> None:
    job = importlib.import_module("pipelines.word_count")
    options = job.Options(input="sample:tweets.jsonl", output="gs://bucket-xyz/out/")
    flags = [flag for flag in FLAGS if "image" not in flag]
    with pytest.raises(UsageError, match="workers on Dataflow need this package"):
        run("word_count", job, options, flags, Console(file=StringIO()))


@pytest.mark.parametrize("missing", ["project", "region", "temp_location"])
def test_what_a_job_needs_is_asked_for(missing: str) -> None:
    job = importlib.import_module("pipelines.word_count")
    options = job.Options(input="sample:tweets.jsonl", output="gs://bucket-xyz/out/", describe=True)
    flags = [flag for flag in FLAGS if missing not in flag.partition("=")[0]]
    with pytest.raises(UsageError, match=f"needs --{missing}"):
        run("word_count", job, options, flags, Console(file=StringIO()))


def test_a_graph_is_described_and_not_submitted() -> None:
    job = importlib.import_module("pipelines.word_count")
    options, flags = job.Options.parse(
        "word_count", "", [LIVE, *ARGUMENTS["word_count"], "--describe", *FLAGS[1:], "--runner=dataflow"]
    )
    told = StringIO()
    assert run("word_count", job, options, flags, Console(file=told, width=200)) is None
    assert f"{SUBSCRIPTION}, id=key, time=at" in told.getvalue()
    assert f"image of workers: {IMAGE}" in told.getvalue()
    assert "--streaming=True" in told.getvalue()


def test_describing_shows_what_is_kept() -> None:
    proto, options = translated("word_count", LIVE)
    told = StringIO()
    describe("word_count", proto, options, Console(file=told, width=200))
    [line] = [line for line in told.getvalue().splitlines() if "Gate/Learn" in line]
    assert "learnt" in line
    assert "timer" in line
