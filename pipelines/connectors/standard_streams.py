"""Standard input, output and error: `-` reads the first and writes the second, `stderr:` writes the third."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Literal, TextIO

import apache_beam as beam

from pipelines.connectors.decoding import Split
from pipelines.connectors.lines import Lines
from pipelines.connectors.write_files import EncodeRow, in_order
from pipelines.results import visible
from transforms.parsing import Payload
from transforms.schemas import WrittenFile
from transforms.windowing import ForgetTime

STDIN = Split("-")


def rows_of(split: Split) -> Iterator[tuple[int, Payload]]:
    """The lines of standard input, each with its position."""
    return Lines().read(sys.stdin.buffer, split.start, split.end)


class WriteStream(beam.PTransform):
    """Prints one element a line, in order of event time within a window: PCollection[T] -> PCollection[WrittenFile].

    Records become JSON. On a terminal, control characters are shown, not obeyed.
    """

    def __init__(self, name: Literal["stdout", "stderr"]) -> None:
        super().__init__()
        self._name = name

    def expand(self, elements: beam.PCollection) -> beam.PCollection:
        if elements.is_bounded:
            elements = elements | ForgetTime()
        return (
            elements
            | "Encode" >> beam.ParDo(EncodeRow(Lines(), shards=1))
            | "Gather" >> beam.GroupByKey()
            | "Print" >> beam.ParDo(_Print(self._name)).with_output_types(WrittenFile)
        )


class _Print(beam.DoFn):
    def __init__(self, name: str) -> None:
        self._name = name

    def process(self, gathered: tuple[int, Iterable[bytes]]) -> Iterator[WrittenFile]:
        stream: TextIO = getattr(sys, self._name)
        lines = in_order(gathered[1])
        for line in lines:
            text = line.decode("utf-8", "replace")
            stream.write((visible(text) if stream.isatty() else text) + "\n")
        stream.flush()
        yield WrittenFile(self._name, len(lines))
