"""Measures how right a model of languages is on labelled texts: accuracy, F1 by language, confusions, calibration.

    python -m pipelines evaluate_language --input sample:tweets.jsonl --output judged.json

--page judged.html draws them; --card card.md writes a model card, of them and what the model says of its own training.
Records are as detect_language reads them, with the true language in the field lang. Those without one, or with the
label und, are left out. What nobody could tell (a model that answers und) counts as wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apache_beam as beam
from rich.console import Console

from models.language.card import model_card
from models.language.judging import Judged, judgement
from pipelines.connectors import read, write
from pipelines.detect_language import Rows
from pipelines.ledger import write_ledger
from pipelines.options import JobOptions, UsageError, option
from pipelines.results import read_json, table
from transforms.accounting import CountRecords
from transforms.detecting import CONFIDENCE, GIVEN, LANG, DetectLanguage, PartLabelled, Row, load_classifier

_SHOWN = 20


@dataclass(frozen=True, kw_only=True)
class Options(JobOptions):
    """What to judge by."""

    input: str = option("where labelled texts are: a file, a glob, a directory, or - for standard input")
    output: str = option("where the judgement goes: a .json file")
    text: str = option("the field that holds the text", default="text")
    model: str = option("the file of a classifier (default: the one that comes along)", default="")
    page: str = option("where a page of the judgement goes, as judged.html (default: none)", default="")
    card: str = option("where a model card goes, as card.md (default: none)", default="")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.output.endswith(".json"):
            raise ValueError(f"output must end in .json, got {self.output!r}; for example judged.json")
        for name, ending in (("page", ".html"), ("card", ".md")):
            place = getattr(self, name)
            if place and not place.endswith(ending):
                raise ValueError(f"{name} must end in {ending}, got {place!r}; for example judged{ending}")


def build(pipeline: beam.Pipeline, options: Options) -> None:
    """Reads labelled texts, tells their languages, and counts what was right."""
    classifier = load_classifier(options.model)
    if options.page:
        _drawing()  # what is not installed is told now, not after the run
    rows = pipeline | "Read" >> read(options.input, Rows(options.text).parse)
    chosen = rows.records | "Choose" >> PartLabelled()
    counts = (
        chosen.labelled
        | "Forget" >> beam.Map(_forget, options.text).with_output_types(Row)
        | "Detect" >> DetectLanguage(model=options.model, text=options.text)
        | "Judge" >> beam.Map(_judged).with_output_types(Judged)
        | "Count" >> beam.combiners.Count.PerElement()
        | "Together" >> beam.combiners.ToDict()
    )
    _ = counts | "Sum" >> beam.Map(_described, classifier.sha256) | "Write" >> write(options.output)
    write_ledger(
        options,
        rows,
        used=chosen.labelled | "CountLabelled" >> CountRecords(),
        filtered=chosen.others | "CountOthers" >> CountRecords(),
    )


def report(options: Options, console: Console) -> None:
    """Shows the languages that have the most texts, and what is taken for what."""
    judged = read_json(options.output)
    if options.card:
        _write(options.card, model_card(load_classifier(options.model), judged))
    if not judged["texts"]:
        console.print("there is no text whose language is told, so there was nothing to judge by", highlight=False)
        return
    languages = [(name, *each.values()) for name, each in judged["languages"].items()][:_SHOWN]
    console.print(table("Languages", "language", "texts", "told", "precision", "recall", "F1", rows=languages))
    wrong = [tuple(each.values()) for each in judged["confusions"]][:_SHOWN]
    console.print(table("Confusions", "given", "told", "texts", rows=wrong))
    console.print(
        f"{judged['texts']:,} texts: {judged['accuracy']:.2%} are told right; confidence is off by "
        f"{judged['calibration_error']:.2%} in the mean. All of it is in {options.output}",
        highlight=False,
        soft_wrap=True,
    )
    if options.page:
        _write(options.page, _drawing()(judged, "How right languages are told"))


def _drawing() -> Callable[[Mapping[str, Any], str], str]:
    """What draws the page; ValueError where it is not installed."""
    try:
        from reports.languages import languages_page  # noqa: PLC0415  what it needs is an extra
    except ModuleNotFoundError as error:
        raise ValueError(
            f"a page needs more than is installed: pip install 'streamsketch[report]' ({error})"
        ) from error
    return languages_page


def _write(path: str, text: str) -> None:
    try:
        Path(path).write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise UsageError(f"a page or card must be a file that can be written, got {path}: {error.strerror}") from error


def _forget(row: Row, text: str) -> Row:
    """A row without what is not asked for: a lang_given of another run would stay."""
    return {LANG: row[LANG], text: row[text]}


def _judged(row: Row) -> Judged:
    return row[GIVEN], row[LANG], round(row[CONFIDENCE] * 10_000)


def _described(counts: dict[Judged, int], sha256: str) -> dict[str, Any]:
    return {"model": sha256, **(judgement(counts) if counts else {"texts": 0})}
