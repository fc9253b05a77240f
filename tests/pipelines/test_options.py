"""Options: one declaration is flags, help and validation; what cannot be is refused with advice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pytest

from pipelines.options import JobOptions, Options, UsageError, option
from transforms.windowing import WindowPolicy


@dataclass(frozen=True, kw_only=True)
class Brew(Options):
    """Options as a pipeline declares them."""

    beans: str = option("where beans come from")
    cups: int = option("how many, 100 % full", default=2)
    strength: float = option("from 0 to 1", default=0.5)
    style: Literal["filter", "espresso"] = option("how", default="filter")
    every: WindowPolicy = option("when", default=WindowPolicy.parse("1h"))
    sugar: int | None = option("spoons", default=None)
    decaf: bool = option("without caffeine", default=False)

    def __post_init__(self) -> None:
        if self.cups < 1:
            raise ValueError(f"cups must be at least 1, got {self.cups}")


def parse(line: str) -> tuple[Brew, list[str]]:
    return Brew.parse("brew", "Makes coffee.", line.split())


def test_flags_become_typed_values_and_the_rest_goes_to_beam() -> None:
    options, flags = parse(
        "--beans kenya --cups 3 --style=espresso --every 10m --sugar 1 --decaf --direct_num_workers 2"
    )
    assert options == Brew(beans="kenya", cups=3, style="espresso", every=WindowPolicy("10m"), sugar=1, decaf=True)
    assert flags == ["--direct_num_workers", "2"]
    assert parse("--beans x")[0] == Brew(beans="x")


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("", "--beans must be given: where beans come from"),
        ("--baens kenya", "no option --baens: did you mean --beans?"),
        ("--beans x --direct_num_worker 2", "did you mean --direct_num_workers?"),
        ("--beans x --zzzz", "it knows .*--beans, --cups"),
        ("--beans x surplus", "there is no option surplus"),
        ("--beans x --cups many", "--cups must be a whole number, got 'many'"),
        ("--beans x --strength very", "--strength must be a number, got 'very'"),
        ("--beans x --style cold", "--style must be one of filter, espresso, got 'cold'"),
        ("--beans x --every soon", "--every: a duration must be a number and one of"),
        ("--beans x --cups 0", "cups must be at least 1, got 0"),
        ("--beans x --cup 3", "did you mean --cups?"),
        ("--beans", "expected one argument"),
    ],
)
def test_what_cannot_be_is_refused_with_advice(line: str, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        parse(line)


@dataclass(frozen=True, kw_only=True)
class Pour(Options):
    """Options of which one needs no flag."""

    cup: str = option("which one", bare=True)
    milk: bool = option("with milk", default=False)
    spoons: int = option("of sugar", default=0)


@pytest.mark.parametrize(
    "line",
    ["blue --milk --spoons 2", "--milk blue --spoons 2", "--milk --spoons 2 blue", "--milk --cup blue --spoons 2"],
)
def test_an_option_that_may_go_without_its_flag_stands_anywhere(line: str) -> None:
    assert Pour.parse("pour", "Pours.", line.split()) == (Pour(cup="blue", milk=True, spoons=2), [])


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("--milk", "--cup must be given: which one"),
        ("blue --cup red", "there is no option blue"),
        ("blue red", "there is no option red"),
    ],
)
def test_an_option_is_given_once_with_or_without_its_flag(line: str, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        Pour.parse("pour", "Pours.", line.split())


def test_help_shows_every_flag_with_its_meaning_and_default(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        parse("--help")
    shown = capsys.readouterr().out
    for part in [
        "Makes coffee.",
        "--beans BEANS",
        "how many, 100 % full (default: 2)",
        "filter|espresso",
        "(default: 1h)",
    ]:
        assert part in shown


def test_rejects_and_ledger_go_beside_the_output() -> None:
    file = JobOptions(input="in", output="out/ja.avro")
    assert (file.rejects, file.ledger) == ("out/ja.rejects.jsonl", "out/ja.ledger.json")
    directory = JobOptions(input="in", output="out/tweets/", rejects="bad.jsonl")
    assert directory.rejects == "bad.jsonl"
    assert directory.ledger.startswith("out/tweets.ledger/2")
    assert directory.ledger.endswith(".json")
    grows = JobOptions(input="watch:in", output="out/tweets/")
    assert grows.ledger.startswith("out/tweets.ledger/2")
    assert grows.ledger.endswith("/")
    console = JobOptions(input="in", output="-")
    assert (console.rejects, console.ledger) == ("stderr:", "stderr:")
