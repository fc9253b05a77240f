"""A model card: what a classifier is, what it was trained on, how right it is, and what it cannot do, as Markdown.

Source: Mitchell et al., Model Cards for Model Reporting (2019).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from html import escape
from typing import Any

from models.language.characters import LONGEST
from models.language.classifier import LanguageClassifier

_FEW = 500  # texts of a language, fewer than which are told as such
_CONFUSIONS = 20  # that are listed


def model_card(classifier: LanguageClassifier, judged: Mapping[str, Any] | None = None) -> str:
    """The card of a classifier, from its own passport; `judged` is what `judgement` says of it on held-out texts.

    >>> from models.language.classifier import default
    >>> print(model_card(default()).splitlines()[2])
    Tells the language of short texts by their n-grams. It holds weights of hashed n-grams, and no text.
    """
    return "\n".join(_lines(classifier, judged)) + "\n"


def _lines(classifier: LanguageClassifier, judged: Mapping[str, Any] | None) -> Iterator[str]:
    provenance: dict[str, Any] = classifier.passport["provenance"]
    given = provenance.pop("texts", None)
    texts = {k: v for k, v in given.items() if isinstance(v, int)} if isinstance(given, Mapping) else {}
    tables = {name: value for name, value in provenance.items() if isinstance(value, Mapping)}
    yield f"# Model card of the language classifier {classifier.sha256[:12]}"
    yield ""
    yield "Tells the language of short texts by their n-grams. It holds weights of hashed n-grams, and no text."
    yield ""
    facts = {
        "SHA-256": classifier.sha256,
        "languages": len(classifier.labels),
        "buckets of n-grams": classifier.buckets,
        "bits of a weight": 8,
    }
    yield from _table(["what", ""], (facts | {k: v for k, v in provenance.items() if k not in tables}).items())
    yield from _heading("What it was trained on")
    if texts:
        yield f"{sum(texts.values()):,} texts, by language:"
        yield ""
        most_first = sorted(texts, key=lambda name: (-texts[name], name))
        yield from _table(["language", "texts"], ((name, texts[name]) for name in most_first))
    else:
        yield f"It does not say on how many texts of its languages: {', '.join(map(_cell, classifier.labels))}."
    for name, values in sorted(tables.items()):
        yield from _heading(name.capitalize())
        yield from _table(["what", ""], values.items())
    yield from _heading("How right it is")
    yield from _measured(judged)
    yield from _heading("What it cannot do")
    yield "- It tells a language that it does not know as one that it knows: as a neighbour, most often."
    few = [label for label in classifier.labels if label in texts and texts[label] < _FEW]
    if few:
        yield f"- It saw fewer than {_FEW} texts of {', '.join(map(_cell, few))}."
    yield f"- It looks at nothing beyond the first {LONGEST:,} characters, and a text without a letter is `und`."
    yield "- It gives one language for a text, of a text in several as well."


def _measured(judged: Mapping[str, Any] | None) -> Iterator[str]:
    if not judged or not judged["texts"]:
        yield "Not measured here: `evaluate_language --card` does, on texts whose languages are told."
        return
    yield (
        f"Of {judged['texts']:,} texts {judged['accuracy']:.2%} are told right; confidence is off by "
        f"{judged['calibration_error']:.2%} in the mean (expected calibration error)."
    )
    yield ""
    languages = ((name, *each.values()) for name, each in judged["languages"].items())
    yield from _table(["language", "texts", "told", "precision", "recall", "F1"], languages)
    if judged["confusions"]:
        yield ""
        yield "What is taken for what, most often:"
        yield ""
        wrong = (tuple(each.values()) for each in judged["confusions"][:_CONFUSIONS])
        yield from _table(["given", "told", "texts"], wrong)


def _heading(name: str) -> Iterator[str]:
    yield from ("", f"## {_cell(name)}", "")


def _table(names: list[str], rows: Iterable[Iterable[Any]]) -> Iterator[str]:
    yield f"| {' | '.join(names)} |"
    yield "|---" * len(names) + "|"
    for row in rows:
        yield f"| {' | '.join(map(_cell, row))} |"


def _cell(value: Any) -> str:
    r"""A value that stays in its cell, and is no markup.

    >>> print(_cell("a|b<i>"), _cell(12345))
    a\|b&lt;i&gt; 12,345
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return escape(" ".join(str(value).split()), quote=False).replace("|", "\\|")
