"""Tells the language of texts: adds lang and lang_confidence to each record, by the model that comes along.

    python -m pipelines detect_language --input sample:tweets.jsonl --output detected.jsonl

Records are JSON objects or rows of Avro or Parquet with a field `text`, or plain lines. They keep all their fields; a
lang that was there moves to lang_given. A text in which there is no letter is of the language und. What is read from
.avro or .parquet can be written to a file that ends so as well, with the schema that it has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import orjson

from pipelines.connectors import layout_like, read, write
from pipelines.ledger import write_ledger
from pipelines.options import JobOptions, option
from transforms.accounting import CountWritten
from transforms.detecting import DetectLanguage, Told, load_classifier, with_told
from transforms.parsing import Payload, parse_line
from transforms.windowing import ApplyWindow, WindowPolicy


@dataclass(frozen=True, kw_only=True)
class Options(JobOptions):
    """What to tell the language of, and how sure to be."""

    input: str = option("where records come from: a file, a glob, a directory, watch:DIRECTORY, or -")
    output: str = option("where they go: a .jsonl file, one of the kind of the input, a directory, or -")
    text: str = option("the field that holds the text", default="text")
    model: str = option("the file of a classifier (default: the one that comes along)", default="")
    min_confidence: float = option("below it, a text is und", default=0.0)
    languages: str = option("choose from these only, as ja,en (default: from all that the model knows)", default="")
    window: WindowPolicy = option("how time is cut into files, of a stream", default=WindowPolicy("all"))
    explain: bool = option("add lang_why: the n-grams that spoke loudest", default=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.explain and self.output.endswith((".avro", ".parquet")):
            raise ValueError(f"lang_why is JSON of n-grams, so --explain needs .jsonl to write, got {self.output!r}")
        if self.languages:
            load_classifier(self.model).among(self.among)
        _ = self.detect

    @property
    def among(self) -> tuple[str, ...]:
        """The languages to choose from; none for all."""
        return tuple(filter(None, (name.strip() for name in self.languages.split(","))))

    @property
    def detect(self) -> DetectLanguage:
        """The step that does it."""
        return DetectLanguage(
            model=self.model,
            text=self.text,
            min_confidence=self.min_confidence,
            languages=self.among,
            explain=self.explain,
        )


@dataclass(frozen=True)
class Rows:
    """Reads rows of any fields, of which one holds text."""

    text: str

    def parse(self, payload: Payload) -> dict[str, Any]:
        """A row of a container, a JSON object of a line, or any other line as one with a text and nothing else."""
        if isinstance(payload, bytes) and not payload.lstrip().startswith(b"{"):
            return {self.text: parse_line(payload)}
        row = orjson.loads(payload) if isinstance(payload, bytes) else payload
        if not isinstance(row, Mapping):
            raise ValueError(f"expected a JSON object, got {type(row).__name__}")
        if self.text not in row or not isinstance(row[self.text], str | None):
            got = type(row[self.text]).__name__ if self.text in row else f"the fields {', '.join(row) or 'none'}"
            raise ValueError(f"a record must have text in the field {self.text}, got {got}")
        return dict(row)


def build(pipeline: beam.Pipeline, options: Options) -> None:
    """Reads records, tells the language of each, and writes them."""
    load_classifier(options.model)  # a damaged file is told now, not by a worker
    layout = layout_like(options.input, options.output, Told, with_told)
    rows = pipeline | "Read" >> read(options.input, Rows(options.text).parse)
    files = (
        rows.records
        | "DetectLanguage" >> options.detect
        | "Window" >> ApplyWindow(options.window)
        | "Write" >> write(options.output, layout=layout)
    )
    write_ledger(options, rows, policy=options.window, used=files | "CountDetected" >> CountWritten())
