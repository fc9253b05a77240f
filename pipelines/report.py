"""Makes a page of a store of rollups, to look at: one HTML file that needs no network.

    python -m pipelines report tweets.db --output page.html --last 6h

Times are as for query: RFC 3339, or days in UTC; --last ends with the latest window; a range is widened to whole
windows. What was read, used and rejected is told from the ledgers beside the store, if there are any.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from rich.console import Console

from pipelines.launch import RunError
from pipelines.options import Options as BaseOptions
from pipelines.options import UsageError, option
from pipelines.ranges import read_range
from rollups import Store
from rollups.rising import StoredRise, find_rises
from transforms.windows import parse_duration

if TYPE_CHECKING:
    from reports.holdings import Accounts

_PANES = 600  # that a range is cut into at most, to see what rises
_RUN = re.compile(r"\d{8}T[\d.]+Z(\.json)?")  # what a run calls its ledger in a directory of them


@dataclass(frozen=True, kw_only=True)
class Options(BaseOptions):
    """Which store to show, how much of it, and where the page goes."""

    store: str = option("the file of the store, or postgresql://user@host/name", bare=True)
    output: str = option("the file of the page, as page.html")
    from_: str = option("the begin of the range (default: the first window)", default="")
    to: str = option("the end of the range (default: the end of the latest window)", default="")
    last: str = option("the length of a range that ends with the latest window, as 6h", default="")
    step: str = option("the length of the pieces of time that are shown, as 1h (default: a round one)", default="")
    title: str = option("what stands above (default: the name of the store)", default="")
    ledger: str = option("the ledger of the run that wrote the store (default: beside it, if there)", default="")

    def __post_init__(self) -> None:
        if self.last and (self.from_ or self.to):
            raise ValueError("--last is a range of its own: leave out --from and --to")
        object.__setattr__(self, "title", self.title or _name_of(self.store))


def run(options: Options, flags: list[str], console: Console) -> None:
    """Writes the page and says where it is; fails, after it was written, where rows of the store are damaged."""
    if flags:
        raise UsageError(f"report runs no pipeline, so it takes no flags of Beam, got {' '.join(flags)}")
    try:
        from reports.page import report_page  # noqa: PLC0415  what it needs is an extra
    except ModuleNotFoundError as error:
        raise UsageError(
            f"a page needs more than is installed: pip install 'streamsketch[report]' ({error})"
        ) from error
    try:
        accounts = _accounts(options)
        with Store(options.store) as store:
            start, end = read_range(store, options.from_, options.to, options.last, told_by="report")
            step = timedelta(seconds=parse_duration(options.step)) if options.step else None
            rises = _rises(store, start, end)
            page = report_page(
                store, title=options.title, start=start, end=end, step=step, rises=rises, accounts=accounts
            )
    except (ValueError, FileNotFoundError) as error:
        raise UsageError(str(error)) from error
    try:
        Path(options.output).write_text(page.html, encoding="utf-8", newline="\n")
    except OSError as error:
        raise UsageError(
            f"--output must be a file that can be written, got {options.output}: {error.strerror}"
        ) from error
    console.print(f"the page is in {options.output}", highlight=False, markup=False, soft_wrap=True)
    if page.damaged:
        raise RunError("\n".join(["answers that need these are left out of the page:", *page.damaged]))


def _rises(store: Store, start: datetime | None, end: datetime | None) -> list[StoredRise] | None:
    """What rose most of each list, in all and for each key: every item once; None where there is no list."""
    measures = [name for name in store.measures if name.startswith("top:")]
    bounds = store.bounds()
    if not measures or not bounds:
        return None
    windows = timedelta(microseconds=store.window)
    pane = -(-((end - start) // windows if start and end else bounds[1] - bounds[0]) // _PANES) * windows
    highest: dict[tuple[str, tuple[Any, ...], str], StoredRise] = {}
    for measure, by in itertools.product(measures, [[], *([key] for key in store.by)]):
        for rise in find_rises(store, measure, by=by, start=start, end=end, pane=pane, half_life=60 * pane):
            place = measure, tuple(rise.group.items()), rise.item
            if place not in highest or rise.score > highest[place].score:
                highest[place] = rise
    return list(highest.values())


def _name_of(store: str) -> str:
    """What a store is called: of an address, neither the server nor who asks."""
    if "://" in store:
        return urlsplit(store).path.strip("/") or "rollups"
    return Path(store.removeprefix("sqlite:")).stem


def _accounts(options: Options) -> Accounts | None:
    """The ledgers of the runs that wrote the store: a file, or a directory with one for each run."""
    place = options.ledger or f"{options.store.removeprefix('sqlite:')}.ledger"
    if not options.ledger and ("://" in options.store or not Path(place).exists()):
        return None
    from pipelines.ledger import read_ledger  # noqa: PLC0415  it takes Beam a second to start
    from reports.holdings import Account, Accounts  # noqa: PLC0415

    inside = sorted(map(str, Path(place).iterdir())) if Path(place).is_dir() else []
    runs = [path for path in inside if _RUN.fullmatch(Path(path).name)] or [place]
    told = [read_ledger(path) for path in runs]
    return Accounts(
        [Account(in_all.counts()) for in_all, _ in told],
        [Account(of.counts(), of.window_start, of.window_end) for _, windows in told for of in windows],
    )
