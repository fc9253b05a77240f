"""The tweet language classifier from end to end: collects, examines, trains, filters, and tells the story.

    python -m pipelines classify_tweets --language ja

Runs the four pipelines one after the other, on tweets that come with the package unless others are named, and leaves
their files in a folder of its own under runs/.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import orjson
from rich.console import Console

from pipelines import collect_tweets, examine_tweets, filter_language, launch, train_language
from pipelines.options import Options as BaseOptions
from pipelines.options import option
from pipelines.results import read_json, table
from transforms.windowing import WindowPolicy


@dataclass(frozen=True, kw_only=True)
class Options(BaseOptions):
    """What to classify, and which language to keep."""

    input: str = option("where tweets come from: a file, a glob, a directory", default="sample:tweets.jsonl")
    output: str = option("the folder for all results (default: a new one under runs/)", default="")
    interval: WindowPolicy = option("of event time in one collected file", default=WindowPolicy("10m"))
    clusters: int = option("how many clusters to find", default=10)
    language: str = option("which language to keep in the end", default="ja")


def run(options: Options, flags: list[str], console: Console) -> None:
    """Runs the four pipelines, each on what the one before it left."""
    place = Path(options.output or f"runs/{datetime.now(UTC):%Y%m%dT%H%M%SZ}")
    tweets, model, kept = place / "tweets", place / "language.safetensors", place / f"{options.language}.jsonl"

    console.rule("1. Collect: the stream becomes files, by event time")
    collecting = collect_tweets.Options(input=options.input, output=f"{tweets}/", interval=options.interval)
    launch.run("collect_tweets", collect_tweets, collecting, flags, console)
    console.print(f"{len(list(tweets.glob('*.avro')))} Avro files in {tweets}", highlight=False)

    console.rule("2. Examine: what is in them")
    examining = examine_tweets.Options(input=f"{tweets}/", output=str(place / "profile.json"))
    launch.run("examine_tweets", examine_tweets, examining, flags, console)

    console.rule("3. Train: texts that are written alike fall together, without a label")
    training = train_language.Options(input=f"{tweets}/", output=str(model), clusters=options.clusters)
    launch.run("train_language", train_language, training, flags, console)

    console.rule(f"4. Filter: the clusters of {options.language} become a stream of their own")
    filtering = filter_language.Options(
        input=f"{tweets}/", model=str(model), output=str(kept), language=options.language
    )
    launch.run("filter_language", filter_language, filtering, flags, console)
    _show_kept(kept, options.language, place, console)


def _show_kept(kept: Path, language: str, place: Path, console: Console) -> None:
    rows = [orjson.loads(line) for line in kept.read_bytes().splitlines()]
    right = sum(row["lang"] == language for row in rows)
    there = read_json(str(place / "profile.json"))["languages"].get(language, 0)
    first = ((row["created_at"][11:19], row["lang"] or "", row["text"]) for row in rows[:8])
    console.print(table(f"The first of {kept}", "time", "lang", "text", rows=first))
    console.print(
        f"{len(rows):,} tweets were kept: {right:,} of the {there:,} that are labelled {language}, and "
        f"{len(rows) - right:,} others. The method of 2015 sees character pairs and no label.\n"
        f"All files are in {place}",
        highlight=False,
        soft_wrap=True,
    )
