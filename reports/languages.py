"""The page of how right languages are told: what is right, whether confidence can be believed, what is taken for what.

What it shows is a judgement, as `evaluate_language` writes it: {texts, accuracy, calibration_error, languages, ...}.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from reports import numbers
from reports.charts import HEIGHT, WIDTH, Chart, Tick

_MATRIX = 16  # languages of it at most
_CONFUSIONS = 40  # that are listed
_UNDECIDED = "und"


class Row(NamedTuple):
    """What the texts of a language were told to be: shares of them, in the order of the columns, and of all others."""

    given: str
    texts: int
    shares: list[float]
    others: float


class Matrix(NamedTuple):
    """What is taken for what, of the languages with the most texts."""

    told: list[str]
    rows: list[Row]


def languages_page(judged: Mapping[str, Any], title: str = "Languages") -> str:
    """The page of a judgement of at least one text, as HTML; the same judgement gives the same page."""
    if not judged["texts"]:
        raise ValueError("a page needs at least one text whose language is told")
    environment = Environment(
        loader=PackageLoader("reports", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"shown": numbers.shown, "exact": numbers.exact, "text": numbers.text_of}
    of_people = [each["f1"] for each in judged["languages"].values() if each["texts"]]
    return environment.get_template("languages.html.j2").render(
        title=title,
        judged=judged,
        mean_f1=sum(of_people) / len(of_people),
        undecided=judged["languages"].get(_UNDECIDED, {"told": 0})["told"],
        reliability=draw_reliability(judged["calibration"], judged["texts"]),
        matrix=matrix_of(judged),
        most=_CONFUSIONS,
    )


def matrix_of(judged: Mapping[str, Any], most: int = _MATRIX) -> Matrix:
    """The confusion matrix of the languages that have the most texts; each row adds up to 1.

    >>> languages = {"en": {"texts": 4}, "de": {"texts": 1}}
    >>> matrix_of({"languages": languages, "confusions": [{"given": "en", "told": "de", "texts": 1}]}).rows[0]
    Row(given='en', texts=4, shares=[0.75, 0.25, 0.0], others=0.0)
    """
    shown = [name for name, each in judged["languages"].items() if each["texts"]][:most]
    told = [*shown, _UNDECIDED]
    wrong = {(each["given"], each["told"]): each["texts"] for each in judged["confusions"]}
    rows = []
    for given in shown:
        texts = judged["languages"][given]["texts"]
        counts = {name: n for (people, name), n in wrong.items() if people == given}
        counts[given] = texts - sum(counts.values())
        among = [counts.pop(name, 0) for name in told]
        rows.append(Row(given, texts, [n / texts for n in among], sum(counts.values()) / texts))
    return Matrix(told, rows)


def draw_reliability(calibration: Sequence[Mapping[str, Any]], texts: int) -> Chart:
    """The share that is right over confidence, beside the diagonal where both agree, and how many texts there are."""
    label = "; ".join(
        f"of {each['texts']} texts with a confidence of {each['confidence']:.2f}, {each['right']:.2f} are right"
        for each in calibration
    )
    ticks = [Tick(at, f"{at} %") for at in range(0, 101, 25)]
    return Chart(
        Markup(
            '<svg viewBox="0 0 {} {}" preserveAspectRatio="none" role="img" aria-label="{}"><title>{}</title>{}</svg>'
        ).format(WIDTH, HEIGHT, label, label, Markup("").join(_paths(calibration, texts))),
        across=ticks,
        up=[Tick(100 - tick.place, tick.label) for tick in ticks],
        logarithmic=False,
        zero=True,
    )


def _paths(calibration: Sequence[Mapping[str, Any]], texts: int) -> Iterator[Markup]:
    path = Markup('<path class="{}" d="{}"/>').format
    for at in (0.25, 0.5, 0.75, 1.0):
        yield path("grid", f"M{_point(0, at)}L{_point(1, at)}")
    yield path("zero", f"M{_point(0, 0)}L{_point(1, 0)}")
    for each in calibration:
        begin, end, high = each["from"], each["to"], each["texts"] / texts
        corners = [(begin, 0.0), (begin, high), (end, high), (end, 0.0)]
        yield path("under c5", f"M{'L'.join(_point(*corner) for corner in corners)}Z")
    yield path("part c1", f"M{_point(0, 0)}L{_point(1, 1)}")
    points = [_point(each["confidence"], each["right"]) for each in calibration]
    yield path("line c0", f"M{'L'.join(points)}")
    for point in points:
        yield path("dot c0", f"M{point}h0")


def _point(across: float, up: float) -> str:
    return f"{across * WIDTH:.1f} {(1 - up) * HEIGHT:.1f}"
