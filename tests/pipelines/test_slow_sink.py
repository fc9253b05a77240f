"""A sink is slow for a minute: what is on its way to it is bounded, nothing is lost, and it catches up."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import orjson
import pytest

from pipelines.connectors.generate import Generated

pytestmark = pytest.mark.prism

_EVENTS = 2000  # a second
_SECONDS = 90
_SLOW = (10, 70)  # seconds of them in which the sink takes ten times as long
_TOOK = 0.3  # seconds for the events of a second

# A user's own pipeline with a sink of their own, which says what it writes, and how many had been read by then.
_PROGRAM = """
import sys, threading, time
import apache_beam as beam, orjson
from apache_beam.options.pipeline_options import PipelineOptions
from pipelines.connectors import read
from pipelines.connectors.back_pressure import writing

OUT, START, FIRST, LAST, TOOK = sys.argv[1], *map(float, sys.argv[2:6])
READ = []
ONE = threading.Lock()  # as a sink has that has one connection

def parse(payload) -> dict:
    READ.append(1)
    return orjson.loads(payload)

class Sink(beam.DoFn):
    def process(self, gathered, window=beam.DoFn.WindowParam):
        rows = list(gathered[1])
        with writing(window.max_timestamp().micros), ONE:
            slow = FIRST < time.time() - START < LAST
            time.sleep(TOOK * (10 if slow else 1) * len(rows) / 2000)
            told = {"at": time.time() - START, "end": window.end.micros / 1e6 - START, "rows": rows, "read": len(READ)}
            with open(OUT, "ab") as out:
                out.write(orjson.dumps(told) + b"\\n")

def main():
    source, prism = sys.argv[6:]
    flags = ["--runner", "PrismRunner", "--prism_location", prism, "--prism_log_level", "error"]
    with beam.Pipeline(options=PipelineOptions(flags)) as pipeline:
        _ = (
            (pipeline | read(source, parse)).records
            | beam.Map(lambda row: (0, row["id"]))
            | beam.WindowInto(beam.window.FixedWindows(1))
            | beam.GroupByKey()
            | beam.ParDo(Sink())
        )
"""


def test_a_slow_sink_slows_the_source_and_catches_up(tmp_path: Path, prism: str) -> None:
    source = Generated(start=float(int(time.time()) + 5), events=_EVENTS, limit=_EVENTS * _SECONDS)
    address = f"generate://?events={_EVENTS}&start={source.start}&limit={source.limit}&apart=0s&bound=1s"
    (tmp_path / "slow_sink.py").write_text(_PROGRAM)
    arguments = [tmp_path / "out.jsonl", source.start, *_SLOW, _TOOK, address, prism]
    command = [sys.executable, "-c", "import slow_sink; slow_sink.main()", *map(str, arguments)]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=400)
    told = list(map(orjson.loads, (tmp_path / "out.jsonl").read_bytes().splitlines()))
    written, on_their_way = Counter[int](), []
    for window in told:
        written.update(window["rows"])
        on_their_way.append(window["read"] - written.total())
    assert written == Counter(source.event(number)["id"] for number in range(_EVENTS * _SECONDS))
    # It fell far behind, and no more was read than the sink may be behind, and what had been read meanwhile.
    assert max(window["at"] - window["end"] for window in told) > 20
    assert max(on_their_way) < 25 * _EVENTS
    caught_up = next(window["at"] for window in told if window["at"] > _SLOW[1] and window["at"] - window["end"] < 5)
    assert caught_up < _SLOW[1] + 120
