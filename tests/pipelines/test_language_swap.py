"""The model of languages is swapped under load on Prism: nothing is lost, and every batch says which one told it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson
import pytest

from models.language.classifier import LanguageClassifier
from models.language.counts import LanguageCounts
from pipelines.connectors.generate import Generated

pytestmark = pytest.mark.prism

_EVENTS = 2000  # a second
_SECONDS = 30
_PATIENCE = 120.0  # seconds, for what takes some where nothing else is going on

# A user's own pipeline, whose model is the newest file of a folder.
_PROGRAM = """
import sys
import apache_beam as beam, orjson
from apache_beam.ml.inference.base import RunInference
from apache_beam.options.pipeline_options import PipelineOptions
from pipelines.connectors import read_batches
from transforms.language_inference import LanguageModelHandler
from transforms.tables import Field

OUT, SOURCE, MODELS, PRISM = sys.argv[1:]

def told(result):
    columns = result.inference.select(["id", "lang"]).to_pydict()
    return orjson.dumps({"model": result.model_id, **columns}) + b"\\n"

class Sink(beam.DoFn):
    def process(self, line):
        with open(OUT, "ab", buffering=0) as out:
            out.write(line)

def main():
    flags = ["--runner", "PrismRunner", "--prism_location", PRISM, "--prism_log_level", "error"]
    with beam.Pipeline(options=PipelineOptions(flags)) as pipeline:
        fields = [Field("time", "time"), Field("id", "text"), Field("text", "text")]
        _ = (
            (pipeline | read_batches(SOURCE, fields)).records
            | RunInference(LanguageModelHandler(MODELS, look=0.5))
            | beam.Map(told)
            | beam.ParDo(Sink())
        )
"""


def model(name: str) -> LanguageClassifier:
    """A model whose labels say which it is."""
    counts = LanguageCounts(1000)
    counts.add_many(["goal rain coffee train match sea", "late home music sun bus"], [f"{name}-one", f"{name}-two"])
    return LanguageClassifier.of_counts(counts)


def test_a_newer_model_takes_over_under_load_and_every_batch_says_which_one_told_it(tmp_path: Path, prism: str) -> None:
    models = [model(f"model{number}") for number in range(3)]
    (tmp_path / "newer").mkdir()
    out = tmp_path / "out.jsonl"

    def put(number: int) -> None:
        hidden = tmp_path / f"{number}.safetensors"
        hidden.write_bytes(models[number].to_bytes())
        hidden.rename(tmp_path / "newer" / hidden.name)

    def told() -> list[dict[str, Any]]:
        lines = out.read_bytes().splitlines(keepends=True) if out.exists() else []
        return [orjson.loads(line) for line in lines if line.endswith(b"\n")]

    put(0)
    source = Generated(start=float(int(time.time()) + 4), events=_EVENTS, limit=_EVENTS * _SECONDS, apart=1.0)
    address = f"generate://?events={_EVENTS}&start={source.start}&limit={source.limit}&apart=1s&bound=2s"
    (tmp_path / "swapping.py").write_text(_PROGRAM)
    command = [sys.executable, "-c", "import swapping; swapping.main()", str(out), address]
    command += [f"{tmp_path}/newer/*.safetensors", prism]
    process = subprocess.Popen(command, cwd=tmp_path, start_new_session=True)
    try:
        end = time.monotonic() + _PATIENCE
        for number, one in enumerate(models):
            if number:
                put(number)
            while not any(batch["model"] == one.sha256 for batch in told()):
                assert process.poll() is None, f"it ended before model {number} was seen"
                assert time.monotonic() < end, f"model {number}: not in {_PATIENCE} s"
                time.sleep(0.2)
        assert process.wait(_PATIENCE) == 0
    finally:  # and what it started, which is of its session
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    texts = {str(event["id"]): event["text"] for event in map(source.event, range(_EVENTS * _SECONDS))}
    expected = {one.sha256: dict(zip(texts, one.predict(list(texts.values())).labels, strict=True)) for one in models}
    batches = told()
    for batch in batches:
        assert batch["lang"] == [expected[batch["model"]][one] for one in batch["id"]]
    assert Counter(one for batch in batches for one in batch["id"]) == Counter(texts.keys())
    assert [batches[at]["model"] for at in (0, -1)] == [models[0].sha256, models[2].sha256]
