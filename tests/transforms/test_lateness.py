"""The gate: nothing that passes is dropped, nothing that would be dropped passes, and the ledger balances."""

from __future__ import annotations

import itertools
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import inf
from operator import itemgetter
from typing import Any
from zoneinfo import ZoneInfo

import apache_beam as beam
import pyarrow as pa
import pytest
from apache_beam.coders import FastPrimitivesCoder
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.direct import transform_evaluator
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.test_stream import TestStream
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms import userstate
from apache_beam.transforms.window import GlobalWindow, TimestampedValue
from apache_beam.utils.timestamp import MIN_TIMESTAMP
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from transforms.accounting import AccountByWindow, WindowLedger
from transforms.columnar import MeasureBatches
from transforms.deduplication import DeduplicateApproximately
from transforms.exact import count
from transforms.lateness import Gate
from transforms.measures import Measure
from transforms.schemas import Tweet, micros
from transforms.tallies import Aside, CountByWindow, Tally
from transforms.watermarks import FromData, FromStamps, FromTimers, Watermark
from transforms.windowing import ApplyWindow, ForgetTime, WindowPolicy

# Half a minute before midnight in Paris, 1970.
BASE = int(datetime(1970, 1, 12, 22, 59, 30, tzinfo=UTC).timestamp())
CLOCK = BASE + 40
MAX_FUTURE = 20
FOREVER = 2**63 - 1


@pytest.fixture(scope="module", autouse=True)
def _quick_streams() -> Iterator[None]:
    """For each bundle the runner inspects the signatures of its DoFn several times: here, once for each class."""
    inspect, known = userstate.get_dofn_specs, dict[type, Any]()

    def look_up(dofn: Any) -> Any:
        if type(dofn) not in known:
            known[type(dofn)] = inspect(dofn)
        return known[type(dofn)]

    with pytest.MonkeyPatch.context() as patch:
        for module in (userstate, transform_evaluator):
            patch.setattr(module, "get_dofn_specs", look_up)
        yield


def clock() -> float:
    return CLOCK


Record = tuple[int, float]  # id, event time in seconds
Script = list[list[Record] | float]  # records that come together, or a watermark


@dataclass(frozen=True)
class Expected:
    """What becomes of a script, by plain arithmetic."""

    in_time: Counter[Record]
    late: dict[Record, float]  # the watermark that it met
    future: Counter[Record]
    panes: Counter[tuple[float, float]]  # how many records the runner puts into each window
    ledgers: dict[tuple[float, float], Counter[str]]


def windows_of(policy: str, time: float) -> list[tuple[float, float]]:
    """Every window of an event time, in seconds, the last one last."""
    match policy.split(",", maxsplit=1)[0].split():
        case ["session", gap]:
            return [(time, time + int(gap[:-1]))]
        case ["day", zone]:
            day = datetime.fromtimestamp(time, ZoneInfo(zone)).replace(hour=0, minute=0, second=0, microsecond=0)
            return [(day.timestamp(), (day + timedelta(days=1)).timestamp())]
        case ["all"]:
            return [(-inf, inf)]
        case [text]:
            size, _, period = text.replace("s", "").partition("/")
            step = int(period or size)
            starts = [time // step * step - step * back for back in range(int(size) // step)]
            return [(start, start + int(size)) for start in reversed(starts)]
    raise AssertionError(policy)


def expect(policy: str, script: Script, met_of: Callable[[float], float]) -> Expected:
    """`met_of` is the watermark that the gate takes for one of the runner."""
    lateness = WindowPolicy.parse(policy).allowed_lateness
    expected, watermark = Expected(Counter(), {}, Counter(), Counter(), {}), -inf
    for event in script:
        if not isinstance(event, list):
            watermark = event
            continue
        for record in event:
            windows = windows_of(policy, record[1])
            if record[1] > CLOCK + MAX_FUTURE:
                expected.future[record] += 1
                went = "future"
            elif windows[-1][1] + lateness <= met_of(watermark):
                expected.late[record] = watermark
                went = "late"
            else:
                expected.in_time[record] += 1
                # The runner drops it from the windows before, where they are over.
                expected.panes.update(window for window in windows if not watermark > window[1] + lateness)
                went = "used"
            window = windows_of(policy.removeprefix("session "), record[1])[-1]
            expected.ledgers.setdefault(window, Counter()).update(["read", went])
    return expected


def stream(script: Script) -> TestStream:
    """Elements are (the watermark before them, the record)."""
    arrivals, watermark = TestStream(coder=FastPrimitivesCoder()), MIN_TIMESTAMP.micros
    for event in script:
        if isinstance(event, list):
            stamped = [TimestampedValue((watermark, record), record[1]) for record in event]
            arrivals = arrivals.add_elements(stamped)
        else:
            arrivals, watermark = arrivals.advance_watermark_to(event), round(event * 1e6)
    for end in (BASE + 10_000, BASE + 200_000):  # past each timer before the end of time
        if end * 1e6 > watermark:
            arrivals = arrivals.advance_watermark_to(end)
    return arrivals.advance_watermark_to_infinity()


def in_stream() -> TestPipeline:
    return TestPipeline(runner=BundleBasedDirectRunner(), options=PipelineOptions(["--streaming"]))


def unstamped(stamped: tuple[int, Record]) -> Record:
    return stamped[1]


def seconds(moment: datetime) -> float:
    return micros(moment) / 1e6


def in_seconds(in_micros: int) -> float:
    return in_micros / 1e6 if abs(in_micros) < FOREVER else inf * in_micros


def tally_of_pane(counted: tuple[str, int], window: Any = beam.DoFn.WindowParam) -> Tally:
    bounds = (-FOREVER, FOREVER) if isinstance(window, GlobalWindow) else (window.start.micros, window.end.micros)
    return Tally(*bounds, counted[1])


KEPT: dict[tuple[str, str, str], list[Any]] = defaultdict(list)


def keep(value: Any, *name: str) -> None:
    """For outputs of a pipeline in this process: assert_that would make each step much dearer for TestStream."""
    KEPT[name].append(value)


def story(policy: str, source: str, records: beam.PCollection, watermark: Watermark) -> None:
    """Keeps everything that a gate, the windows after it, and the ledger tell."""
    cut = WindowPolicy.parse(policy)
    gate = records | f"{policy} {source}" >> Gate(cut, watermark, max_future=MAX_FUTURE, clock=clock)
    early = WindowPolicy(cut.window, allowed_lateness=cut.allowed_lateness, early="every record")
    panes = (
        gate.in_time
        | f"Window {policy} {source}" >> ApplyWindow(early if policy == "all" else cut)
        | f"Pair {policy} {source}" >> beam.Map(lambda _: ("all", 1)).with_output_types(tuple[str, int])
        | f"Sum {policy} {source}" >> beam.CombinePerKey(sum)
        | f"Pane {policy} {source}" >> beam.Map(tally_of_pane).with_output_types(Tally)
    )
    # Sessions and sliding windows are counted where they are known.
    by_window = f"Count {policy} {source}" >> CountByWindow(cut.window)
    used = gate.in_time | by_window if "/" in policy or "session" in policy else panes
    tallies = {"read": gate.read, "used": used}
    for name in ("late", "future"):
        tallies[name] = getattr(gate, name) | f"Count {name} {policy} {source}" >> CountByWindow(cut.window)
    told = WindowPolicy("1h", allowed_lateness=cut.allowed_lateness)
    ledgers = tallies | f"Account {policy} {source}" >> AccountByWindow(told)
    outputs = {"in time": gate.in_time, "late": gate.late, "future": gate.future, "pane": panes, "ledger": ledgers}
    for name, collection in outputs.items():
        _ = collection | f"Keep {name} {policy} {source}" >> beam.Map(keep, policy, source, name)


def check(policy: str, source: str, told: dict[str, list[Any]], script: Script) -> None:
    met_of = (lambda watermark: watermark // 1 + 1 - 1e-6) if "session" in policy and source == "timers" else float
    expected = expect(policy, script, met_of)
    assert Counter(told["in time"]) == expected.in_time
    assert Counter(record for record, _ in told["future"]) == expected.future
    assert Counter(record for record, _ in told["late"]) == Counter(expected.late.keys())
    lateness = WindowPolicy.parse(policy).allowed_lateness
    for record, why in told["late"]:
        start, end, met = map(seconds, (why.window_start, why.window_end, why.met))
        assert seconds(why.event_time) == record[1]
        assert (start, end) == windows_of(policy, record[1])[-1]
        assert end + lateness <= met
        assert met >= expected.late[record] if source == "timers" else met == expected.late[record]
    panes: Counter[tuple[float, float]] = Counter()
    for tally in told["pane"]:
        panes[in_seconds(tally.start), in_seconds(tally.end)] += tally.records
    if "session" in policy:  # they have merged
        assert panes.total() == expected.panes.total()
    else:
        assert panes == expected.panes
    ledgers: dict[tuple[float, float], Counter[str]] = {}
    for ledger in told["ledger"]:
        window = (seconds(ledger.window_start), seconds(ledger.window_end)) if ledger.window_start else (-inf, inf)
        ledgers.setdefault(window, Counter()).update(ledger.counts())
    assert {window: +counts for window, counts in ledgers.items()} == expected.ledgers


NAMES = "in time", "late", "future", "pane", "ledger"
POLICIES = [
    "10s",
    "10s, lateness 5s",
    "20s/5s, lateness 10s",
    "session 7s, lateness 5s",
    "day Europe/Paris, lateness 8s",
    "all",
]


def check_story(policy: str, source: str, script: Script) -> None:
    KEPT.clear()
    with in_stream() as pipeline:
        records = pipeline | "Arrive" >> stream(script)
        if source == "timers":
            records = records | "Unstamped" >> beam.Map(unstamped)
        story(policy, source, records, FromStamps() if source == "stamps" else FromTimers(shards=1))
    check(policy, source, {name: KEPT[policy, source, name] for name in NAMES}, script)


@some.composite
def scripts(draw: some.DrawFn) -> Script:
    """Records in any order, in bunches, and watermarks that step and jump, often exactly onto a deadline."""
    script: Script = []
    numbers, watermark = itertools.count(), BASE - 50.0
    halves = some.integers(-60, 150).map(lambda half: BASE + half / 2)
    for _ in range(draw(some.integers(2, 12))):
        if draw(some.booleans()):
            script.append([(next(numbers), time) for time in draw(some.lists(halves, min_size=1, max_size=6))])
        else:
            watermark += draw(some.sampled_from([0.5, 1, 2.5, 5, 10, 12, 30, 40, 1000]))
            script.append(watermark)
    return script


MIDNIGHT: Script = [
    BASE - 100,
    [(17, BASE - 300), (18, BASE - 120), (19, BASE - 90)],
    [(0, BASE + 1), (1, BASE + 2)],
    BASE + 9,
    [(2, BASE - 300), (3, BASE + 70), (4, BASE - 2)],
    BASE + 20,  # exactly the end of some windows
    [(5, BASE + 1), (6, BASE + 21), (7, BASE + 6), (8, BASE + 8)],
    BASE + 37.5,
    [(9, BASE + 6), (10, BASE + 29.5), (11, BASE + 30), (12, BASE + 24.5)],
    BASE + 38,
    [(13, BASE + 29.5), (14, BASE + 36)],
    BASE + 2000,
    [(15, BASE + 36), (16, BASE + 30)],
]


@pytest.mark.parametrize("source", ["stamps", "timers"])
@pytest.mark.parametrize("policy", POLICIES)
def test_each_policy_tells_late_from_in_time_to_the_moment(policy: str, source: str) -> None:
    check_story(policy, source, MIDNIGHT)


@given(some.sampled_from(POLICIES), some.sampled_from(["stamps", "timers"]), scripts())
@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
def test_whatever_comes_whenever_is_in_time_or_aside_and_the_runner_drops_nothing(
    policy: str, source: str, script: Script
) -> None:
    check_story(policy, source, script)


@pytest.mark.schedules
@given(some.sampled_from(POLICIES), some.sampled_from(["stamps", "timers"]), scripts())
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
def test_the_same_holds_for_hundreds_of_schedules(policy: str, source: str, script: Script) -> None:
    check_story(policy, source, script)


@pytest.mark.parametrize("source", ["stamps", "timers"])
def test_a_twentieth_comes_beyond_lateness_and_clocks_are_ten_minutes_off(source: str) -> None:
    chance = random.Random(5)
    script: Script = []
    kinds: Counter[str] = Counter()
    for second in range(60):
        bunch: list[Record] = []
        for _ in range(100):
            kind = chance.choices(["good", "slow", "ahead", "behind"], [91, 5, 2, 2])[0]
            kinds[kind] += 1
            late = {"good": chance.expovariate(1), "slow": chance.uniform(60, 90), "ahead": -600, "behind": 600}[kind]
            bunch.append((len(script) * 100 + len(bunch), round(BASE + second - late, 3)))
        script += [bunch, BASE + second - 4.0]
    check_story("10s, lateness 15s", source, script)
    told = {name: len(KEPT["10s, lateness 15s", source, name]) for name in NAMES}
    assert told["future"] == kinds["ahead"] > 90
    assert kinds["slow"] + kinds["behind"] > 350
    # A little of what is slow still finds its window open at the beginning, when no watermark has been told.
    assert 0 <= kinds["slow"] + kinds["behind"] - told["late"] < 20


def test_a_late_record_is_aside_although_a_session_that_it_would_belong_to_is_open() -> None:
    policy = "session 7s, lateness 5s"
    script: Script = [[(0, BASE + 10)], BASE + 12, [(1, BASE + 14)], BASE + 20, [(2, BASE + 8), (3, BASE + 9)]]
    for source in ("stamps", "timers"):
        check_story(policy, source, script)
        assert [record for record, _ in KEPT[policy, source, "late"]] == [(2, BASE + 8)]


def window_of(value: Any, window: Any = beam.DoFn.WindowParam) -> Any:
    return value[0], float(window.start)


def test_what_is_aside_is_not_dropped_by_windows_after_the_gate() -> None:
    arrivals = stream([[(0, BASE + 1)], BASE + 25, [(1, BASE + 2), (2, BASE + 70)]])
    with in_stream() as pipeline:
        stamped = pipeline | arrivals
        by_stamps = stamped | Gate(WindowPolicy("10s"), FromStamps(), max_future=MAX_FUTURE, clock=clock)
        by_timers = (stamped | beam.Map(unstamped)) | "Timers" >> Gate(WindowPolicy("10s"), FromTimers(shards=2))
        aside = [
            each | f"Cut {number}" >> ApplyWindow(WindowPolicy("1s")) | f"At {number}" >> beam.Map(window_of)
            for number, each in enumerate((by_stamps.late, by_timers.late, by_stamps.future))
        ]
        told = [
            (each | f"Key {number}" >> beam.Map(lambda at: (at, 1)) | f"Group {number}" >> beam.GroupByKey())
            | f"Forget {number}" >> ForgetTime()
            | f"Which {number}" >> beam.Keys()
            for number, each in enumerate(aside)
        ]
        expected = [((1, BASE + 2), BASE + 25), ((1, BASE + 2), BASE + 29), ((2, BASE + 70), CLOCK)]
        assert_that(told | beam.Flatten(), equal_to(expected))


SCHEMA = pa.schema({"at": pa.timestamp("ms", tz="UTC"), "number": pa.int64(), "raw": pa.binary()})


def batch_of(records: list[Record]) -> pa.RecordBatch:
    rows = [
        {"at": datetime.fromtimestamp(time, UTC), "number": number, "raw": b"%d" % number} for number, time in records
    ]
    return pa.RecordBatch.from_pylist(rows, SCHEMA)


def as_batch(block: tuple[int, list[Record]]) -> tuple[int, pa.RecordBatch]:
    return block[0], batch_of(block[1])


def rows_of(batch: pa.RecordBatch, name: str, time: Any = beam.DoFn.TimestampParam) -> list[Any]:
    assert batch.schema.names[:3] == SCHEMA.names
    return [(name, float(time), row) for row in batch.to_pylist()]


@pytest.mark.parametrize("watermark", [FromStamps(), FromData(4), FromTimers()], ids=["stamps", "data", "timers"])
def test_rows_of_batches_go_aside_with_all_their_columns(in_process: Any, watermark: Watermark) -> None:
    chance = random.Random(3)
    records = [(number, BASE + round(chance.uniform(-30, 90), 2)) for number in range(300)]
    batches = [records[start : start + size] for start, size in ((0, 40), (40, 1), (41, 159), (200, 100))]
    stamps = [BASE - 10, BASE, BASE + 12.5, BASE + 40]
    latest, met = -inf, {}
    for stamp, batch in zip(stamps, batches, strict=True):
        for record in batch:
            met[record] = {FromStamps: stamp, FromData: latest - 4, FromTimers: -inf}[type(watermark)]
            if record[1] <= CLOCK + MAX_FUTURE:
                latest = max(latest, record[1])

    def check(told: list[tuple[str, float, dict[str, Any]]]) -> None:
        assert Counter(row["number"] for _, _, row in told) == Counter(range(300))
        for name, at, row in told:
            number, time = record = records[row["number"]]
            start, end = windows_of("10s", time)[-1]
            assert row["raw"] == b"%d" % number
            if time > CLOCK + MAX_FUTURE:
                assert (name, at, seconds(row["met"])) == ("future", CLOCK, CLOCK)
            else:
                assert name == ("late" if end + 5 <= met[record] else "in time")
            if name == "in time":
                assert set(row) == set(SCHEMA.names)
                assert at == min(records[other["number"]][1] for _, when, other in told if when == at)
            else:
                assert (seconds(row["window_start"]), seconds(row["window_end"])) == (start, end)
                assert at == pytest.approx(seconds(row["met"]), abs=1e-6)
            if name == "late":
                assert seconds(row["met"]) == pytest.approx(met[record], abs=1e-6)

    with in_process() as pipeline:
        stamped = [
            TimestampedValue((round(stamp * 1e6), batch_of(batch)), BASE)
            for stamp, batch in zip(stamps, batches, strict=True)
        ]
        elements = pipeline | beam.Create([stamped], reshuffle=False) | beam.FlatMap(list)
        if not isinstance(watermark, FromStamps):
            elements = elements | "Unstamped" >> beam.Map(unstamped).with_output_types(pa.RecordBatch)
        policy = WindowPolicy("10s", allowed_lateness=5)
        gate = elements | Gate(policy, watermark, max_future=MAX_FUTURE, clock=clock, event_time="at")
        outputs = {"in time": gate.in_time, "late": gate.late, "future": gate.future}
        told = [each | f"Rows {name}" >> beam.FlatMap(rows_of, name) for name, each in outputs.items()]
        assert_that(told | beam.Flatten(), check)
        used = gate.in_time | "Used" >> CountByWindow(policy.window, "at")
        late = gate.late | "Late" >> CountByWindow(policy.window, "at")
        future = gate.future | "Ahead" >> CountByWindow(policy.window, "at")
        ledgers = {"read": gate.read, "used": used, "late": late, "future": future} | AccountByWindow()
        assert_that(ledgers | beam.combiners.ToList(), check_ledgers(records), "ledgers")


def check_ledgers(records: list[Record]) -> Callable[[list[list[WindowLedger]]], None]:
    def check(told: list[list[WindowLedger]]) -> None:
        read = {seconds(ledger.window_start): ledger.read for ledger in told[0]}
        assert read == Counter(windows_of("10s", time)[-1][0] for _, time in records)
        assert not any(ledger.missing for ledger in told[0])

    return check


def counted(told: tuple[Any, dict[str, int]]) -> tuple[Any, int]:
    return told[0], told[1]["n"]


def test_measures_after_a_gate_tell_every_row_that_passed() -> None:
    chance = random.Random(4)
    script: Script = []
    for second in range(0, 60, 3):
        script += [
            [(second * 10 + n, BASE + second - round(chance.expovariate(0.1), 1)) for n in range(10)],
            BASE + second,
        ]
    expected = expect("10s, lateness 5s", script, float)
    stamped = TestStream(coder=FastPrimitivesCoder())
    watermark = MIN_TIMESTAMP.micros
    for event in script:
        if isinstance(event, list):
            stamped = stamped.add_elements([TimestampedValue((watermark, event), min(time for _, time in event))])
        else:
            stamped, watermark = stamped.advance_watermark_to(event), round(event * 1e6)
    policy = WindowPolicy.parse("10s, lateness 5s")
    KEPT.clear()
    with in_stream() as pipeline:
        blocks = pipeline | stamped.advance_watermark_to(BASE + 10_000).advance_watermark_to_infinity()
        batches = blocks | beam.Map(as_batch).with_output_types(tuple[int, pa.RecordBatch])
        gate = batches | Gate(policy, FromStamps(), event_time="at")
        measures = MeasureBatches(by=[], measures={"n": Measure(None, count())}, windows=policy, event_time="at")
        _ = gate.in_time | measures | beam.Map(counted) | beam.Map(tally_of_pane) | beam.Map(keep, "pane")
    panes: Counter[tuple[float, float]] = Counter()
    for tally in KEPT[("pane",)]:
        panes[in_seconds(tally.start), in_seconds(tally.end)] += tally.records
    assert panes == expected.panes
    assert len(expected.late) > 20


def test_what_passes_has_the_type_of_what_came() -> None:
    pipeline = beam.Pipeline(runner="FnApiRunner")
    tweets = pipeline | beam.Create([]).with_output_types(tuple[int, Tweet])
    gate = tweets | Gate(WindowPolicy("10s"), FromStamps())
    assert gate.in_time.element_type is Tweet
    assert gate.late.element_type == beam.typehints.Tuple[Tweet, Aside]
    assert gate.read.element_type is Tally


def test_a_gate_that_cannot_be_is_refused_with_advice(in_process: Any) -> None:
    policy = WindowPolicy("10s")
    with pytest.raises(ValueError, match="max_future must be at least 0 seconds, got -1; leave it out"):
        Gate(policy, FromStamps(), max_future=-1)
    records = beam.Pipeline(runner="FnApiRunner") | beam.Create(["a"])
    with pytest.raises(ValueError, match="must stand before any window, got records in FixedWindows: move it"):
        _ = records | ApplyWindow(policy) | Gate(policy, FromData(1))
    with (
        pytest.raises(ValueError, match="must have event times before a gate, got one without"),
        in_process() as pipeline,
    ):
        _ = pipeline | beam.Create(["a"]) | Gate(policy, FromData(1))
    batch = batch_of([(1, BASE)])
    for wrong, error in (
        (
            batch.append_column("met", batch.column("at")),
            "gets the column met, but batches have one already: rename it",
        ),
        (batch.drop_columns(["at"]), "must have the column at, got number, raw"),
    ):
        with pytest.raises(ValueError, match=error), in_process() as pipeline:
            _ = pipeline | beam.Create([wrong]) | Gate(policy, FromData(1), event_time="at")


def test_redelivered_records_count_once_whether_they_come_in_time_or_late() -> None:
    """One of five is delivered three times, and deliveries are shuffled within a minute."""
    chance = random.Random(2)
    deliveries = []
    for number in range(2000):
        record = number, BASE + round(chance.uniform(0, 120), 3)
        copies = 3 if chance.random() < 0.2 else 1
        deliveries += [(record[1] + chance.uniform(0, 60), record) for _ in range(copies)]
    deliveries.sort()
    script: Script = []
    for second in range(0, 180, 5):
        script += [[record for at, record in deliveries if BASE + second <= at < BASE + second + 5], BASE + second]
    policy = WindowPolicy("10s", allowed_lateness=30)
    expected = Counter[str]()
    panes = Counter[tuple[float, float]]()
    seen: set[Record] = set()
    watermark = -inf
    for event in script:
        if not isinstance(event, list):
            watermark = event
            continue
        for record in event:
            start, end = windows_of("10s", record[1])[-1]
            fate = "late" if end + 30 <= watermark else "duplicate" if record in seen else "used"
            expected.update(["read", fate])
            if fate == "used":
                seen.add(record)
                panes[start, end] += 1
    assert min(expected.values()) > 100

    KEPT.clear()
    with in_stream() as pipeline:
        gate = pipeline | stream(script) | Gate(policy, FromStamps())
        distinct = (
            gate.in_time | ApplyWindow(policy) | DeduplicateApproximately(2000, 1e-9, key=itemgetter(0), shards=1)
        )
        tallies = {"read": gate.read, "late": gate.late | "Late" >> CountByWindow(policy.window)}
        for name, collection in {"used": distinct.fresh, "duplicate": distinct.repeated}.items():
            tallies[name] = collection | name >> CountByWindow(policy.window)
        ledgers = tallies | AccountByWindow(WindowPolicy("1h", allowed_lateness=30))
        _ = ledgers | "Keep ledgers" >> beam.Map(keep, "ledger")
        _ = distinct.fresh | "Keep fresh" >> beam.Map(keep, "fresh")
    assert Counter(KEPT[("fresh",)]) == Counter(seen)  # none lost, none twice
    total = Counter[str]()
    used = Counter[tuple[float, float]]()
    for ledger in KEPT[("ledger",)]:
        total.update(ledger.counts())
        used[seconds(ledger.window_start), seconds(ledger.window_end)] += ledger.used
    assert +total == expected
    assert +used == panes
