"""What --describe tells of any runner, and that nothing runs for it."""

from __future__ import annotations

from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.coders import VarIntCoder
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.transforms.userstate import ReadModifyWriteStateSpec

from pipelines.__main__ import main
from pipelines.launch.describe import images_of, proto_of, steps_of


class _Keeps(beam.DoFn):
    KEPT = ReadModifyWriteStateSpec("kept", VarIntCoder())

    def process(self, pair: tuple[str, int], kept: object = beam.DoFn.StateParam(KEPT)) -> None:
        pass


def test_steps_are_told_in_order_with_their_state_and_composites_that_runners_know_as_one() -> None:
    pipeline = beam.Pipeline(runner="FnApiRunner")
    pairs = (
        pipeline | "Start" >> beam.Impulse() | "Pair" >> beam.Map(lambda _: ("a", 1)).with_output_types(tuple[str, int])
    )
    _ = pairs | "Sum" >> beam.CombinePerKey(sum)
    _ = pairs | "Keep" >> beam.ParDo(_Keeps())
    proto = proto_of(pipeline)
    assert [(step.name, step.kind, step.note) for step in steps_of(proto)] == [
        ("Start", "impulse", ""), ("Pair", "pardo", ""), ("Sum", "combine_per_key", ""), ("Keep", "pardo", "kept"),
    ]  # fmt: skip
    assert images_of(proto) == []


@pytest.mark.parametrize(("source", "runner"), [("sample:tweets.jsonl", []), ("generate://", ["--runner", "prism"])])
def test_nothing_is_run_and_nothing_written(
    source: str, runner: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    arguments = ["word_count", "--input", source, "--output", f"{tmp_path}/counts/", "--describe", *runner]
    assert main(arguments) == 0
    told = capsys.readouterr().out
    assert "CountWords/Sum" in told
    assert ("reads in splits" in told) == bool(runner)
    assert f"--runner={'PrismRunner' if runner else 'FnApiRunner'}" in told
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("flags", "image"),
    [
        (["--environment_type=DOCKER", "--environment_config=example/image:1"], ["example/image:1"]),
        (["--environment_type=EXTERNAL", "--environment_config=localhost:50000"], []),
        (["--environment_type=PROCESS", "--environment_options=process_command=/opt/boot"], []),
    ],
)
def test_workers_are_those_that_the_flags_name(flags: list[str], image: list[str]) -> None:
    pipeline = beam.Pipeline(runner="FnApiRunner", options=PipelineOptions(flags))
    _ = pipeline | beam.Impulse() | beam.Map(repr)
    proto = proto_of(pipeline)
    assert images_of(proto) == image
    [kind] = [each.urn.split(":")[2] for each in proto.components.environments.values()]
    assert f"--environment_type={kind.upper()}" == flags[0]
