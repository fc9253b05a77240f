"""Charts draw what is there: gaps stay open, bands hold their line, and scales fit."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import matplotlib as mpl
import pytest

from reports.charts import HEIGHT, WIDTH, Chart, draw
from reports.figures import Line
from reports.steps import Steps
from transforms.sketches import Estimate

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def chart(*lines: Sequence[float | Estimate | None], from_zero: bool = True, last: float = 10) -> Chart:
    """Lines of pieces of ten minutes, of which the last one has `last` minutes."""
    size = max(map(len, lines))
    end = NOON + timedelta(minutes=10 * (size - 1) + last)
    steps = Steps(NOON, end, timedelta(minutes=10), timedelta(minutes=1), NOON)
    made = [
        Line(str(at), [Estimate.exact(point) if isinstance(point, int | float) else point for point in line], None)
        for at, line in enumerate(lines)
    ]
    return draw(made, steps, from_zero=from_zero, label="<said>")


def paths(drawn: Chart, name: str) -> list[list[tuple[float, float]]]:
    """The points of the paths of a class."""
    found = re.findall(rf'<path class="{name}" d="([^"]*)"', drawn.svg)
    return [[(float(x), float(y)) for x, y in re.findall(r"(-?[\d.]+) (-?[\d.]+)", data)] for data in found]


def test_a_line_goes_through_the_middle_of_each_piece_at_its_value() -> None:
    drawn = chart([1, 3, 2, 4])
    (line,) = paths(drawn, "line c0")
    assert [x for x, _ in line] == [125, 375, 625, 875]
    zero = next(tick.place for tick in drawn.up if tick.label == "0") * HEIGHT / 100
    four = next(tick.place for tick in drawn.up if tick.label == "4") * HEIGHT / 100
    assert [y for _, y in line] == [pytest.approx(zero + (four - zero) * n / 4, abs=0.1) for n in (1, 3, 2, 4)]
    assert zero == HEIGHT


def test_a_gap_is_open_and_what_stands_alone_is_a_dot() -> None:
    drawn = chart([1, 2, None, 3, None, 4, 5])
    assert [[round(x * 14 / WIDTH) for x, _ in line] for line in paths(drawn, "line c0")] == [[1, 3], [11, 13]]
    assert [round(dot[0][0] * 14 / WIDTH) for dot in paths(drawn, "dot c0")] == [7, 13]


def test_a_band_holds_what_may_be_and_stays_on_the_paper_where_that_is_anything() -> None:
    drawn = chart([Estimate(10, 8, 13, 0.95), Estimate(20, 16, math.inf, 0.95), Estimate(10, 8, 13, 0.95)])
    (band,) = paths(drawn, "band c0")
    assert min(y for _, y in band) == 0
    assert max(y for _, y in band) < HEIGHT
    assert not paths(drawn, "under c0")


def test_exact_values_have_no_band() -> None:
    assert "band" not in chart([1, 2, 3]).svg


def test_a_last_piece_that_is_short_is_drawn_apart() -> None:
    drawn = chart([5, 5, 5, 1], last=2)
    assert len(paths(drawn, "line c0")[0]) == 3
    assert len(paths(drawn, "part c0")[0]) == 2
    assert not paths(chart([5, 5, 5, 1]), "part c0")


@pytest.mark.parametrize(
    ("values", "from_zero", "logarithmic", "zero"),
    [
        ([1, 1000], False, True, False),
        ([1, 1000], True, False, True),
        ([0, 1000], False, False, True),
        ([90, 100], False, False, False),
        ([40, 100], False, False, True),
        ([-5, 100], False, False, True),
        ([7, 7], False, False, True),
        ([0, 0], True, False, True),
        ([None, None], True, False, True),
    ],
)
def test_a_scale_fits_what_it_shows(values: list[float | None], from_zero: bool, logarithmic: bool, zero: bool) -> None:
    drawn = chart(values, from_zero=from_zero)
    assert (drawn.logarithmic, drawn.zero) == (logarithmic, zero)
    assert all(0 <= tick.place <= 100 for tick in (*drawn.across, *drawn.up))
    assert all(0 <= y <= HEIGHT for line in paths(drawn, "line c0") for _, y in line)


def test_lines_differ_by_more_than_their_colour_and_repeat_after_six() -> None:
    drawn = chart(*([n, n + 1] for n in range(7)))
    assert [len(paths(drawn, f"line c{n}")) for n in range(7)] == [2, 1, 1, 1, 1, 1, 0]


@pytest.mark.parametrize(
    ("pieces", "labels"),
    [(6, ["12:00", "12:15", "12:30", "12:45", "13:00"]), (144, ["12:00", "18:00", "2 Mar", "06:00", "12:00"])],
)
def test_times_are_in_utc_and_midnight_is_a_date(pieces: int, labels: list[str]) -> None:
    assert [tick.label for tick in chart([1] * pieces).across] == labels


def test_what_is_said_is_escaped_and_colours_are_left_to_the_page() -> None:
    drawn = chart([1, 2])
    assert 'aria-label="&lt;said&gt;"' in drawn.svg
    assert "#" not in drawn.svg


def test_settings_that_a_user_has_of_his_own_change_nothing() -> None:
    usual = chart([1, 5, 2, 9])
    own = {"path.sketch": (3, 50, 2), "path.snap": False, "date.interval_multiples": False, "savefig.bbox": "tight"}
    with mpl.rc_context({**own, "timezone": "Asia/Tokyo", "savefig.dpi": 300, "path.simplify": False}):
        assert chart([1, 5, 2, 9]) == usual
