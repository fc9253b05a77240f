"""Words of texts, and their counts as records."""

from __future__ import annotations

from typing import Any

import apache_beam as beam

from transforms.panes import window_times
from transforms.schemas import Text, WordCount


def words_of(text: Text) -> list[str]:
    """What white space separates.

    >>> words_of(Text("to be  or not"))
    ['to', 'be', 'or', 'not']
    """
    return text.text.split()


class DescribeCounts(beam.PTransform):
    """Words and their counts as records with their window: PCollection[tuple[str, int]] -> PCollection[WordCount]."""

    def expand(self, counts: beam.PCollection) -> beam.PCollection:
        return counts | "Describe" >> beam.Map(_described).with_output_types(WordCount)


def _described(counted: tuple[str, int], window: Any = beam.DoFn.WindowParam) -> WordCount:
    start, end = window_times(window)
    return WordCount(start, end, *counted)
