"""The contract of Flex Templates, rehearsed: environment and parameters become a job's description, in a file."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType
from typing import IO, Any

import pytest

from pipelines.__main__ import main
from pipelines.launch.describe import images_of, steps_of

TEMPLATES = Path(__file__).parents[2] / "templates" / "dataflow"
IMAGE = "europe-docker.pkg.dev/example/images/word_count:0.1.0"
ENVIRONMENT = {"STREAMSKETCH_PIPELINE": "word_count", "STREAMSKETCH_IMAGE": IMAGE}
SUBSCRIPTION = "projects/test-project/subscriptions/events"
PARAMETERS = [
    f"--input=pubsub://{SUBSCRIPTION}?time=at&id=id", "--output=gs://bucket-xyz/counts/",
    "--window=10s, lateness 10s",
]  # fmt: skip
# What Google's launcher adds.
FLAGS = ["--project=test-project", "--region=europe-west1", "--temp_location=gs://bucket-xyz/tmp", "--job_name=words"]


@pytest.fixture
def launcher() -> ModuleType:
    spec = importlib.util.spec_from_file_location("launcher", TEMPLATES / "launcher.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_parameters_and_environment_are_a_command_line(launcher: ModuleType) -> None:
    assert launcher.command(["--min_confidence=0.5", "--explain=true"], {**ENVIRONMENT, "STREAMSKETCH_PIPELINE":
        "detect_language"}) == [
        "detect_language", "--runner=DataflowRunner", "--min-confidence=0.5", "--explain",
        f"--sdk_container_image={IMAGE}",
    ]  # fmt: skip


def test_workers_get_the_image_that_they_are_given(launcher: ModuleType) -> None:
    assert launcher.command(["--sdk_container_image=other"], ENVIRONMENT)[-1] == "--sdk_container_image=other"


@pytest.mark.gcp
def test_the_description_of_the_job_is_where_the_service_looks_for_it(
    launcher: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from apache_beam.io.gcp.gcsio import GcsIO
    from apache_beam.portability.api import beam_runner_api_pb2 as api
    from apache_beam.runners.dataflow.internal import apiclient

    # Nothing is uploaded here: what would be goes to a folder, by its name alone.
    def keep(_: Any, place: str, name: str, stream: IO[bytes], *_others: Any) -> None:
        assert place.startswith("gs://bucket-xyz/")
        (tmp_path / name).write_bytes(stream.read())

    monkeypatch.setattr(apiclient.DataflowApplicationClient, "stage_file", keep)
    monkeypatch.setattr(GcsIO, "__init__", lambda *_, **__: None)
    monkeypatch.setattr(GcsIO, "is_soft_delete_enabled", lambda *_: False)
    monkeypatch.setattr(apiclient, "create_storage_client", lambda *_: None)
    places = ["--staging_location=gs://bucket-xyz/stage", "--template_location=gs://bucket-xyz/job/job_object"]
    assert main(launcher.command([*PARAMETERS, *FLAGS, *places, "--no_auth"], ENVIRONMENT)) == 0, capfd.readouterr().err
    job: dict[str, Any] = json.loads((tmp_path / "job_object").read_text())
    assert job["name"] == "words"
    assert job["type"] == "JOB_TYPE_STREAMING"
    [pool] = job["environment"]["workerPools"]
    assert pool["workerHarnessContainerImage"] == IMAGE
    options = job["environment"]["sdkPipelineOptions"]["options"]
    assert re.fullmatch("gs://bucket-xyz/stage/words.+/pipeline.pb", options["pipelineUrl"])
    graph = api.Pipeline.FromString((tmp_path / "pipeline.pb").read_bytes())
    assert images_of(graph) == [IMAGE]
    assert f"{SUBSCRIPTION}, id=id, time=at" in {step.note for step in steps_of(graph)}


def test_a_wrong_parameter_ends_the_launch_with_its_reason(
    launcher: ModuleType, capfd: pytest.CaptureFixture[str]
) -> None:
    given = [*PARAMETERS[:2], "--window=hour", *FLAGS]
    assert main(launcher.command(given, ENVIRONMENT)) == 2
    assert "--window: " in capfd.readouterr().err
