"""Tells what is rising in a stream of tweets, by language, and keeps what any later question needs.

    python -m pipelines trending --input sample:tweets.jsonl --output runs/today/

For each language: tweets, users, hashtags, words, mentions and stories in a store of rollups, and in trends.jsonl what
each window has more often than its past foretells. --window 10m/1m slides windows of ten minutes by one; a score of 6
is what happens by chance in one of a million windows. `python -m pipelines report` draws a page of any such store.
"""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, cast

import apache_beam as beam
from rich.console import Console, Group
from rich.table import Table

from pipelines import report as report_page
from pipelines.connectors import has_end, read, watermark_of, write
from pipelines.connectors.write_store import WriteStore, create_store, require_reach, sketches_of
from pipelines.last_windows import last_windows
from pipelines.ledger import read_rows, write_aside, write_ledger
from pipelines.options import JobOptions, UsageError, option
from pipelines.results import table
from rollups import Store
from rollups.query import Answer
from rollups.rising import StoredRise, always_there, find_rises
from transforms.columnar import MeasureBatches
from transforms.deduplication import DeduplicateApproximately
from transforms.language_models import load_any
from transforms.lateness import Gate
from transforms.measures import parse_measures
from transforms.parsing import parse_tweet
from transforms.rising import FindRising
from transforms.schemas import Tweet
from transforms.stories import fold_stories
from transforms.tallies import CountByWindow
from transforms.tweet_facts import DescribeTweets
from transforms.windowing import ApplyWindow, ForgetTime, WindowPolicy
from transforms.windows import Fixed, Sliding, parse_duration, to_micros

MEASURES = (
    "count",
    "distinct:user@0.02",
    "top:hashtag=20@0.002",
    "top:word=20@0.001",
    "top:mention=20@0.002",
    "top:story=20@0.002",
    "quantiles:length=0.5,0.99",
)
RISING = ("top:hashtag", "top:word", "top:mention")

_MARKS = {"top:hashtag": "#", "top:word": "", "top:mention": "@"}
_LINES = 12  # of a table


@dataclass(frozen=True, kw_only=True)
class Options(JobOptions):
    """Which tweets to follow, how windows slide, and what counts as rising."""

    input: str = option(
        "where tweets come from: a file, a glob, a directory, a live source such as watch:DIRECTORY, or -",
        default="sample:tweets.jsonl",
    )
    output: str = option("the folder for all results (default: a new one under runs/)", default="")
    store: str = option("the store of rollups (default: trending.db in the folder)", default="")
    language_by: Literal["source", "model", "both"] | None = option(
        "who says the language: source, model, or both, which asks the model where the source says none "
        "(default: both, or model where one is given)",
        default=None,
    )
    model: str = option("the file of a model that says the language (default: the one that comes along)", default="")
    window: WindowPolicy = option("how long windows are, and how often they slide", default=WindowPolicy("10m/1m"))
    half_life: str = option("how long ago what is usual counts half", default="1h")
    score: float = option("from which score on an item is told", default=6.0)
    capacity: int = option("tweets that are told apart in each pane; of more, repeated ones may count", default=50_000)
    late: str = option("where tweets go whose windows were over (default: in the folder)", default="")
    live: bool = option("show the last windows and what rises in tables while they close", default=False)

    def __post_init__(self) -> None:
        if not isinstance(self.window.window, Sliding):
            raise ValueError(f"trends need windows that slide, got {self.window}: for example 10m/1m")
        if to_micros(self.window.window.size) % to_micros(self.window.window.period):
            raise ValueError(f"windows must slide by a part of their size, got {self.window}: for example 10m/1m")
        folder = (self.output or f"runs/{datetime.now(UTC):%Y%m%dT%H%M%SZ}").rstrip("/")
        grows = "" if has_end(self.input) else "/"
        defaults = {
            "output": folder,
            "store": f"{folder}/trending.db",
            "rejects": f"{folder}/rejects" + (grows or ".jsonl"),
            "ledger": f"{folder}/ledger" + (grows or ".json"),
            "late": f"{folder}/late" + (grows or ".jsonl"),
        }
        for name, default in defaults.items():
            object.__setattr__(self, name, getattr(self, name) or default)
        object.__setattr__(self, "language_by", self.language_by or ("model" if self.model else "both"))
        super().__post_init__()
        if self.model and self.language_by == "source":
            raise ValueError(f"the source alone says the language, so --model {self.model} is not asked: leave out one")
        if self.state:
            raise ValueError(
                f"what is usual is remembered beyond windows, and --state {self.state} keeps windows only: leave it out"
            )

    @property
    def asked(self) -> str | None:
        """The file of the model that is asked for languages, "" for the one that comes along; None for no model."""
        return None if self.language_by == "source" else self.model

    @property
    def trends(self) -> str:
        """Where trends go."""
        return f"{self.output}/trends" + (".jsonl" if has_end(self.input) else "/")

    @property
    def slide(self) -> int:
        """How far windows slide, in microseconds."""
        return to_micros(cast("Sliding", self.window.window).period)

    @property
    def pane(self) -> WindowPolicy:
        """The windows that slide are made of these."""
        return WindowPolicy(
            Fixed(self.slide / 1e6), allowed_lateness=self.window.allowed_lateness, accumulation="accumulating"
        )

    @property
    def panes(self) -> int:
        """How many of them a window has."""
        return to_micros(cast("Sliding", self.window.window).size) // self.slide


def build(pipeline: beam.Pipeline, options: Options) -> None:
    """Reads tweets, measures each language minute by minute, writes that behind, and tells what rises."""
    measures = parse_measures(MEASURES)
    if options.model:
        load_any(options.model)  # a damaged file is told now, not by a worker
    tweets = pipeline | "Read" >> read(options.input, parse_tweet, stamped=True)
    gate = tweets.records | "Gate" >> Gate(options.pane, watermark_of(options.input, pipeline))
    told_apart = (
        gate.in_time
        | "Pane" >> ApplyWindow(options.pane)
        | "TellApart" >> DeduplicateApproximately(options.capacity, 1e-6, key=_id, shards=1)
    )
    sketches = (
        told_apart.fresh
        | "Free" >> ForgetTime()
        | "Describe" >> DescribeTweets(options.asked, believe=options.language_by == "both")
        | "Measure"
        >> MeasureBatches(by=["lang"], measures=sketches_of(measures), windows=options.pane, event_time="time")
    )
    require_reach(options.store, pipeline)
    create_store(options.store, window=options.slide, by={"lang": "text"}, measures=measures)
    made = hashlib.blake2b(options.input.encode(), digest_size=8).hexdigest()
    _ = sketches | "Keep" >> WriteStore(options.store, made)
    _ = (
        sketches
        | "Rise"
        >> FindRising(
            RISING,
            pane=options.pane,
            width=options.panes,
            half_life=options.half_life,
            least=options.score,
        )
        | "Write" >> write(options.trends)
    )
    if not has_end(options.input):  # of what ends, nothing is late
        write_aside("Late", options.late, gate.late, options.pane)
    tallies = {
        "read": gate.read,
        "used": told_apart.fresh | "CountFresh" >> CountByWindow(options.pane.window),
        "duplicate": told_apart.repeated | "CountRepeated" >> CountByWindow(options.pane.window),
        "late": gate.late | "CountLate" >> CountByWindow(options.pane.window),
    }
    write_ledger(options, tweets, tallies, options.pane)


def _id(tweet: Tweet) -> str:
    return tweet.id


def view(options: Options) -> Group:
    """What --live shows: the last windows of all languages together, and what rose last."""
    rises = sorted(read_rows(options.trends), key=lambda rise: (rise["window_end"], rise["score"]), reverse=True)
    rows = [
        (rise["window_end"][11:16], rise["key"] or "all", rise["measure"], rise["item"], rise["count"])
        for rise in rises[:_LINES]
    ]
    risen = table("What rose last", "until (UTC)", "language", "of", "item", "tweets", rows=rows)
    return Group(last_windows(options.store), risen)


def report(options: Options, console: Console) -> None:
    """Merges windows into longer spans; shows what there is by language, what rose, and what was passed on; a page."""
    with Store(options.store) as store:
        store.settle()
        console.print(_languages(store))
        console.print(_risen(store, options))
        console.print(_stories(store))
    console.print(f"All files are in {options.output}", highlight=False, soft_wrap=True)
    page = report_page.Options(
        store=options.store, output=f"{options.output}/page.html", title="Trending", ledger=options.ledger
    )
    try:
        report_page.run(page, [], console)
    except UsageError as error:
        console.print(str(error), highlight=False, markup=False, soft_wrap=True)


def _languages(store: Store) -> Table:
    """The languages with the most tweets, in all."""
    measures = ["count", "distinct:user", "top:hashtag", "top:word"]
    answers = sorted(store.query(measures=measures, by=["lang"]), key=lambda answer: -answer.values["count"])
    stop_words = always_there(store, "top:word", by=["lang"])
    rows = [
        (
            answer.group["lang"],
            answer.values["count"],
            str(answer.values["distinct:user"]),
            "  ".join(f"#{tag} {count.value:.0f}" for tag, count in answer.values["top:hashtag"][:3]),
            "  ".join(_words(answer, stop_words.get((answer.group["lang"],), set()))[:3]),
        )
        for answer in answers[:_LINES]
    ]
    return table("What there is", "language", "tweets", "users", "hashtags", "words", rows=rows)


def _words(answer: Answer, stop_words: set[Any]) -> list[str]:
    """The most frequent words, without those that are always there."""
    frequent: Any = answer.sketches["top:word"]
    counts = frequent.top(frequent.parameters["capacity"])
    return [f"{word} {count.value:.0f}" for word, count in counts if word not in stop_words]


def _risen(store: Store, options: Options) -> Table:
    """Each item that rose, of a language or of all together, when it did so most."""
    half_life = timedelta(seconds=parse_duration(options.half_life))
    highest: dict[tuple[str, str, str], StoredRise] = {}
    for measure, by in itertools.product(RISING, [[], ["lang"]]):
        for rise in find_rises(store, measure, by=by, width=options.panes, half_life=half_life, least=options.score):
            place = rise.group.get("lang", "all"), _MARKS[measure], rise.item
            if place not in highest or rise.score > highest[place].score:
                highest[place] = rise
    rows = [
        (f"{rise.end:%H:%M}", language, mark + item, rise.count, f"{rise.expected:.1f}", f"{rise.score:.1f}")
        for (language, mark, item), rise in sorted(highest.items(), key=lambda pair: -pair[1].score)[:_LINES]
    ]
    title = f"What rose, in windows of {options.window}"
    return table(title, "until", "language", "item", "tweets", "expected", "score", rows=rows)


def _stories(store: Store) -> Table:
    """Texts that were passed on, each told once."""
    stories = [
        (round(count.low), answer.group["lang"], story)
        for answer in store.query(measures=["top:story"], by=["lang"])
        for story, count in fold_stories(answer.values["top:story"])
        if count.low > 1
    ]
    rows = sorted(stories, key=lambda row: (-row[0], row[2]))[:_LINES]
    return table("What was passed on", "at least", "language", "story", rows=rows)
