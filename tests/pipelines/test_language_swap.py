"""The model of languages is swapped under load on Prism: nothing is lost, and the right one tells every batch."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import orjson
import pytest

from models.language.classifier import LanguageClassifier
from models.language.counts import LanguageCounts
from pipelines.connectors.generate import Generated

pytestmark = pytest.mark.prism

_EVENTS = 2000  # a second
_EACH = 5  # seconds that a model is in use
_ORDER = [0, 1, 2, 0]  # of models; the first one comes back

# A user's own pipeline: a tick a second says which model is in use, by a side input of RunInference.
_PROGRAM = """
import sys
import apache_beam as beam, orjson
from apache_beam.ml.inference.base import ModelMetadata, RunInference
from apache_beam.options.pipeline_options import PipelineOptions
from pipelines.connectors import read, read_batches
from transforms.language_inference import LanguageModelHandler
from transforms.tables import Field

OUT, START, EACH, SOURCE, TICKS, PRISM, *MODELS = sys.argv[1:]

def model_of(tick, time=beam.DoFn.TimestampParam) -> ModelMetadata:
    turn = max(int(float(time) - float(START)) // int(EACH), 0)
    return ModelMetadata(MODELS[turn], "model")

def told(result, window=beam.DoFn.WindowParam):
    columns = result.inference.select(["id", "lang"]).to_pydict()
    return orjson.dumps({"model": result.model_id, "window": float(window.start), **columns}) + b"\\n"

class Sink(beam.DoFn):
    def process(self, line):
        with open(OUT, "ab") as out:
            out.write(line)

def main():
    flags = ["--runner", "PrismRunner", "--prism_location", PRISM, "--prism_log_level", "error"]
    with beam.Pipeline(options=PipelineOptions(flags)) as pipeline:
        seconds = beam.WindowInto(beam.window.FixedWindows(1))
        models = (
            (pipeline | "Ticks" >> read(TICKS, orjson.loads)).records
            | "Second" >> seconds
            | beam.Map(model_of)
            | beam.combiners.Latest.Globally().without_defaults()
        )
        fields = [Field("time", "time"), Field("id", "text"), Field("text", "text")]
        _ = (
            (pipeline | read_batches(SOURCE, fields)).records
            | seconds
            | beam.WithKeys(0)
            | beam.GroupByKey()  # a window is told when it is over: before that, Prism knows no side input of it
            | beam.FlatMap(lambda keyed: keyed[1])
            | RunInference(LanguageModelHandler(), model_metadata_pcoll=models)
            | beam.Map(told)
            | beam.ParDo(Sink())
        )
"""


def model(name: str) -> LanguageClassifier:
    """A model whose labels say which it is."""
    counts = LanguageCounts(1000)
    counts.add_many(["goal rain coffee train match sea", "late home music sun bus"], [f"{name}-one", f"{name}-two"])
    return LanguageClassifier.of_counts(counts)


def test_a_model_is_swapped_under_load_and_every_batch_says_which_one_told_it(tmp_path: Path, prism: str) -> None:
    models = [model(f"model{number}") for number in range(3)]
    paths = [tmp_path / f"{number}.safetensors" for number in range(3)]
    for path, one in zip(paths, models, strict=True):
        path.write_bytes(one.to_bytes())
    seconds = _EACH * len(_ORDER)
    source = Generated(start=float(int(time.time()) + 4), events=_EVENTS, limit=_EVENTS * seconds, apart=1.0)
    address = f"generate://?events={_EVENTS}&start={source.start}&limit={source.limit}&apart=1s&bound=3s"
    # Some events are of the second before.
    ticks = f"generate://?events=1&start={source.start - 1}&limit={seconds + 1}&apart=0s&bound=0s"
    (tmp_path / "swapping.py").write_text(_PROGRAM)
    arguments = [tmp_path / "out.jsonl", source.start, _EACH, address, ticks, prism, *(paths[n] for n in _ORDER)]
    command = [sys.executable, "-c", "import swapping; swapping.main()", *map(str, arguments)]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=300)

    events = [source.event(number) for number in range(_EVENTS * seconds)]
    texts = {str(event["id"]): event["text"] for event in events}
    by_id = {one.sha256: one for one in models}
    expected = {
        sha256: dict(zip(texts, one.predict(list(texts.values())).labels, strict=True)) for sha256, one in by_id.items()
    }
    told, used = Counter[str](), set()
    for line in (tmp_path / "out.jsonl").read_bytes().splitlines():
        batch = orjson.loads(line)
        told.update(batch["id"])
        used.add(batch["model"])
        turn = max(int(batch["window"] - source.start) // _EACH, 0)
        assert batch["model"] == models[_ORDER[turn]].sha256
        assert batch["lang"] == [expected[batch["model"]][one] for one in batch["id"]]
    assert told == Counter(texts.keys())
    assert used == set(by_id)
