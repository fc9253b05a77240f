"""The language of short texts: which one each record is written in, and how sure that is; and training as counting."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import apache_beam as beam
import numpy as np
import pyarrow as pa
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems
from apache_beam.pvalue import TaggedOutput
from apache_beam.utils.timestamp import Timestamp
from apache_beam.utils.windowed_value import WindowedValue

from models.language.classifier import LanguageClassifier, default
from models.language.counts import UNDECIDED, LanguageCounts
from transforms.bundling import InBatches
from transforms.progress import advance

Row: TypeAlias = dict[str, Any]
Labelled: TypeAlias = tuple[str, str]  # a text and its language

LANG, CONFIDENCE, GIVEN, WHY = "lang", "lang_confidence", "lang_given", "lang_why"
_BLOCK = 1000


@dataclass(frozen=True, slots=True)
class Told:
    """The columns that a record gets."""

    lang: str
    lang_confidence: float


def load_classifier(path: str = "") -> LanguageClassifier:
    """The classifier in a file, or the one that comes along; ValueError where there is no file, or no sound one."""
    if not path:
        return default()
    if not FileSystems.exists(path):
        raise ValueError(f"there is no model {path!r}: leave it out for the one that comes with the package")
    with FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED) as stream:
        return LanguageClassifier.from_bytes(stream.read())


def load_counts(path: str) -> LanguageCounts:
    """The counts in a file; ValueError where there is no file, or no sound one."""
    if not FileSystems.exists(path):
        raise ValueError(f"there are no counts {path!r}: train_classifier writes them beside a classifier")
    with FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED) as stream:
        return LanguageCounts.from_bytes(stream.read())


class PartLabelled(beam.PTransform):
    """Parts records whose language is told in `lang` from others: PCollection[dict] -> `.labelled`, `.others`."""

    def expand(self, rows: beam.PCollection) -> beam.pvalue.DoOutputsTuple:
        part = beam.ParDo(_PartLabelled()).with_output_types(Row, others=Row)
        return rows | "Part" >> part.with_outputs("others", main="labelled")


class _PartLabelled(beam.DoFn):
    def process(self, row: Row) -> Iterator[Any]:
        label = row.get(LANG)
        labelled = isinstance(label, str) and label not in {"", UNDECIDED}
        yield row if labelled else TaggedOutput("others", row)


@dataclass(eq=False, kw_only=True)
class DetectLanguage(beam.PTransform):
    """Adds to each record the language of a text in it: PCollection[dict] -> PCollection[dict].

    The field `text` must hold text, or null, which has no language. `lang` is added, `und` where nobody can tell, and
    `lang_confidence` between 0 and 1. A `lang` that was there moves to `lang_given`, unless there is one already. With
    `languages`, only these are chosen from; with `explain`, `lang_why` has the n-grams that spoke loudest, and by how
    much. `model` is the file of a classifier; "" stands for the one that comes along. Every record keeps its time.
    """

    model: str = ""
    text: str = "text"
    min_confidence: float = 0.0
    languages: tuple[str, ...] = ()
    explain: bool = False

    def __post_init__(self) -> None:
        super().__init__()
        if not 0 <= self.min_confidence <= 1:
            raise ValueError(f"min_confidence must be between 0 and 1, got {self.min_confidence}; for example 0.8")
        if self.text in {LANG, CONFIDENCE, WHY}:
            raise ValueError(f"text must be another field than {self.text}, which is written")

    def expand(self, rows: beam.PCollection) -> beam.PCollection:
        return rows | "Detect" >> beam.ParDo(_DetectBundle(self)).with_output_types(Row)

    @dataclass(eq=False, kw_only=True)
    class OfBatches(beam.PTransform):
        """The same for the rows of record batches: PCollection[RecordBatch] -> PCollection[RecordBatch].

        `lang` is a dictionary of text, `lang_confidence` of float64; there is no `lang_why`.
        """

        model: str = ""
        text: str = "text"
        min_confidence: float = 0.0
        languages: tuple[str, ...] = ()

        def __post_init__(self) -> None:
            super().__init__()
            self._settings = DetectLanguage(
                model=self.model, text=self.text, min_confidence=self.min_confidence, languages=self.languages
            )

        def expand(self, batches: beam.PCollection) -> beam.PCollection:
            return batches | "Detect" >> beam.ParDo(_DetectBatch(self._settings)).with_output_types(pa.RecordBatch)


class _DetectBundle(InBatches):
    def __init__(self, settings: DetectLanguage) -> None:
        self._settings = settings

    def setup(self) -> None:
        self._classifier = load_classifier(self._settings.model)

    def process(
        self, row: Row, time: Timestamp = beam.DoFn.TimestampParam, window: Any = beam.DoFn.WindowParam
    ) -> Iterator[WindowedValue]:
        return self.wait(row, time, window)

    def handle(self, items: list[Row], times: list[Timestamp], window: Any) -> Iterator[WindowedValue]:
        for start in range(0, len(items), _BLOCK):
            rows = items[start : start + _BLOCK]
            texts = [row.get(self._settings.text) or "" for row in rows]
            labels, confidence = detected(self._classifier, texts, self._settings)
            told = zip(rows, texts, labels, confidence.tolist(), times[start : start + _BLOCK], strict=True)
            for row, text, label, sure, time in told:
                yield WindowedValue(with_language(row, label, sure, self._why(text)), time, [window])
            advance("Detect", len(rows))

    def _why(self, text: str) -> list[dict[str, Any]] | None:
        if not self._settings.explain:
            return None
        evidence = self._classifier.explain(text).evidence
        return [{"gram": each.gram, "times": each.times, "points": round(each.points, 3)} for each in evidence]


class _DetectBatch(beam.DoFn):
    def __init__(self, settings: DetectLanguage) -> None:
        self._settings = settings

    def setup(self) -> None:
        self._classifier = load_classifier(self._settings.model)

    def process(self, batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
        yield batch_with_languages(self._classifier, batch, self._settings)
        advance("Detect", batch.num_rows)


def batch_with_languages(
    classifier: LanguageClassifier, batch: pa.RecordBatch, settings: DetectLanguage
) -> pa.RecordBatch:
    """The rows of a batch with their languages; ValueError where there is no column of text."""
    if settings.text not in batch.schema.names:
        raise ValueError(f"a batch must have a column {settings.text}, got {', '.join(batch.schema.names)}")
    texts = [text or "" for text in batch.column(settings.text).to_pylist()]
    labels, confidence = detected(classifier, texts, settings)
    columns = dict(zip(batch.schema.names, batch.columns, strict=True))
    told = {LANG: pa.array(labels, pa.string()).dictionary_encode(), CONFIDENCE: pa.array(confidence)}
    return pa.RecordBatch.from_pydict(with_told(columns, told))


def detected(
    classifier: LanguageClassifier, texts: list[str], settings: DetectLanguage
) -> tuple[list[str], np.ndarray[Any, Any]]:
    """Labels and confidences of texts, as the settings ask."""
    return classifier.predict(texts, settings.min_confidence, settings.languages or None)


def with_language(row: Mapping[str, Any], label: str, confidence: float, why: list[dict[str, Any]] | None) -> Row:
    """A record with its language.

    >>> with_language({"id": 1, "lang": "xx"}, "en", 0.98765, None)
    {'id': 1, 'lang_given': 'xx', 'lang': 'en', 'lang_confidence': 0.9877}
    """
    columns = with_told(row, {LANG: label, CONFIDENCE: round(confidence, 4)})
    return columns if why is None else columns | {WHY: why}


def with_told(columns: Mapping[str, Any], told: Mapping[str, Any]) -> dict[str, Any]:
    """Columns by name with those that were told; a `lang` among them becomes `lang_given`, unless there is one."""
    given = dict(columns)
    if LANG in given:
        given.setdefault(GIVEN, given[LANG])
        del given[LANG]
    return {**given, **told}


class LanguageCountsCoder(beam.coders.Coder):
    """Counts between workers and in saved state: their sealed bytes, never a pickle."""

    def encode(self, value: LanguageCounts) -> bytes:
        return value.to_bytes()

    def decode(self, encoded: bytes) -> LanguageCounts:
        return LanguageCounts.from_bytes(encoded)

    def is_deterministic(self) -> bool:
        return True


beam.coders.registry.register_coder(LanguageCounts, LanguageCountsCoder)


class _Counting:
    """Counts, and labelled texts that wait to be counted together."""

    def __init__(self, counts: LanguageCounts) -> None:
        self.counts = counts
        self._waiting: list[Labelled] = []

    def add(self, labelled: Labelled) -> None:
        self._waiting.append(labelled)
        if len(self._waiting) >= _BLOCK:
            self.settle()

    def settle(self) -> LanguageCounts:
        """The counts with nothing waiting."""
        if self._waiting:
            texts, labels = zip(*self._waiting, strict=True)
            self.counts.add_many(texts, labels)
            self._waiting = []
        return self.counts


class _CountingCoder(beam.coders.Coder):
    def encode(self, value: _Counting) -> bytes:
        return value.settle().to_bytes()

    def decode(self, encoded: bytes) -> _Counting:
        return _Counting(LanguageCounts.from_bytes(encoded))

    def is_deterministic(self) -> bool:
        return True


class CountLanguagesFn(beam.CombineFn):
    """Labelled texts to LanguageCounts: the whole training of naive Bayes, in any sharding, to the same bytes."""

    def __init__(self, buckets: int = 2**16) -> None:
        super().__init__()
        self._buckets = buckets

    def create_accumulator(self) -> _Counting:
        return _Counting(LanguageCounts(self._buckets))

    def add_input(self, accumulator: _Counting, labelled: Labelled) -> _Counting:
        accumulator.add(labelled)
        return accumulator

    def merge_accumulators(self, accumulators: Iterable[_Counting]) -> _Counting:
        total = LanguageCounts(self._buckets)
        for accumulator in accumulators:
            total.merge(accumulator.settle())
        return _Counting(total)

    def extract_output(self, accumulator: _Counting) -> LanguageCounts:
        return accumulator.settle()

    def get_accumulator_coder(self) -> beam.coders.Coder:
        return _CountingCoder()


@dataclass(eq=False)
class CountLanguages(beam.PTransform):
    """Counts n-grams by language: PCollection[tuple[text, label]] -> PCollection[LanguageCounts], one element.

    `LanguageClassifier.of_counts` makes a classifier of it. Counts of shards may be kept, merged, and taken away again.
    """

    buckets: int = 2**16

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, labelled: beam.PCollection) -> beam.PCollection:
        counts = labelled | "Count" >> beam.CombineGlobally(CountLanguagesFn(self.buckets))
        return counts | "Type" >> beam.Map(_same).with_output_types(LanguageCounts)


def _same(counts: LanguageCounts) -> LanguageCounts:
    return counts
