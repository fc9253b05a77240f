"""Part files with a list of those of each window, for readers that must know when a window is whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
from apache_beam.io.filesystems import FileSystems

from pipelines.connectors import run_state
from pipelines.connectors.formats import format_of
from pipelines.connectors.parts import Parts, digest, moment, name_of
from pipelines.connectors.write_files import WriteParts, write_file
from transforms.formatting import to_json
from transforms.schemas import WrittenFile
from transforms.windowing import window_bounds


class WriteListedParts(beam.PTransform):
    """Writes part files, and lists those of each window in _manifests/: PCollection[T] -> PCollection[WrittenFile].

    A manifest is {"window_start", "window_end", "records", "files": [{"path", "records"}]}, with paths from the
    directory on, and is there after the files are. A window whose files came in several panes has several manifests,
    which together list them all.
    """

    def __init__(self, parts: Parts) -> None:
        super().__init__()
        self._parts = parts

    def expand(self, records: beam.PCollection) -> beam.PCollection:
        return (
            records
            | "WriteParts" >> WriteParts(self._parts)
            | "OfWindow" >> beam.WithKeys(0).with_output_types(tuple[int, WrittenFile])
            | "Together" >> beam.GroupByKey()
            | "WriteManifest" >> beam.ParDo(_WriteManifest(self._parts.directory)).with_output_types(WrittenFile)
        )


class _WriteManifest(beam.DoFn):
    def __init__(self, directory: str) -> None:
        self._directory = directory

    def process(
        self, gathered: tuple[int, Iterable[WrittenFile]], window: Any = beam.DoFn.WindowParam
    ) -> Iterator[WrittenFile]:
        files = sorted(gathered[1], key=lambda file: file.path)
        start, end = window_bounds(window)
        listed = [{"path": file.path.removeprefix(f"{self._directory}/"), "records": file.records} for file in files]
        records = sum(file.records for file in files)
        manifest = to_json(
            {
                "window_start": start and moment(start),
                "window_end": end and moment(end),
                "records": records,
                "files": listed,
            }
        )
        name = f"{name_of(window)}.{digest([manifest])}.json"
        path = FileSystems.join(self._directory, "_manifests", name)
        if state := run_state.current():
            state.write(path, window)
        write_file(path, format_of(path), [manifest])
        yield from files
