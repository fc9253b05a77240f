"""Writes rejects as they came, so that they can be read again after a fix.

    python -m pipelines replay_rejects --input tweets.db.rejects/ --output again.jsonl

What is written is the input of the pipeline that rejected it, in its own bytes, to a file or a live system:
kafka://localhost:9092/words, for example. A reject that holds no whole record, because a file was damaged or a line had
no end, is rejected again; it says where that stands.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import orjson

from pipelines.connectors import has_end, read, write
from pipelines.connectors.decoding import RAW_KEPT
from pipelines.ledger import write_ledger
from pipelines.options import JobOptions, option
from transforms.accounting import CountWritten
from transforms.parsing import Payload


@dataclass(frozen=True, kw_only=True)
class Options(JobOptions):
    """Which rejects, and where they go."""

    input: str = option("the rejects of a run: a file, a glob, a directory, or - for standard input")
    output: str = option("where they go: a file, a directory, or a system that the pipeline reads")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not has_end(self.input):
            raise ValueError(f"rejects are files, got {self.input!r}: name the file or directory of a run")


def build(pipeline: beam.Pipeline, options: Options) -> None:
    """Reads rejects, and writes what was rejected."""
    rejects = pipeline | "Read" >> read(options.input, raw_of)
    files = rejects.records | "Write" >> write(options.output)
    write_ledger(options, rejects, used=files | "CountWritten" >> CountWritten())


def raw_of(reject: Payload) -> bytes:
    """What was rejected, as it came; ValueError where that is not whole, or where there is no reject.

    >>> raw_of(b'{"raw": "{oops", "step": "Parse", "error": "not JSON", "source": "a.jsonl", "position": 7}')
    b'{oops'
    """
    row: Any = orjson.loads(reject) if isinstance(reject, bytes) else reject
    if not isinstance(row, dict) or not {"raw", "step", "error", "source", "position"} <= row.keys():
        raise ValueError("a reject has raw, step, error, source and position: is this the file of rejects?")
    raw = base64.b64decode(row["raw"]["base64"]) if isinstance(row["raw"], dict) else row["raw"]
    whole: bytes = raw.encode() if isinstance(raw, str) else raw
    if not whole or (row["step"] == "Read" and len(whole) == RAW_KEPT):
        raise ValueError(f"not whole: see {row['source']} at {row['position']}, where {row['error']}")
    return whole
