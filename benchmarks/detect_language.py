"""How right and how quick the classifier is, beside public identifiers of languages, on the same labelled texts.

    python -m benchmarks.detect_language dev.jsonl.gz

Reads `{text, lang, source, subset}` a line, plain or gzipped; texts whose language nobody could tell, or that are
written in another script than usual, are left out. Of pycld2, py3langid, langid and lingua those take part that are
installed. They are asked for one text after the other, as their interfaces have it, and where they can be told so they
choose from the languages of the texts alone; addresses and @names, which mislead them, are taken out for them before,
and that is not measured. This project's takes batches of 1,000 texts as they are. One thread, seconds of the CPU;
runs are interleaved, so that what else the machine does falls on all, and the medians are shown.

E1 is even (at most 120 texts of each language of source tw14), E2 from elsewhere (at most 150 of each other source and
language, without news), E3 the natural stream (tw14 as it flows); texts like those of E1 and E3 were trained on.
"""

from __future__ import annotations

import argparse
import gzip
import importlib
import os
import platform
import re
import statistics
import time
from collections import Counter
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import orjson

from models.language import kernels
from models.language.classifier import default

Row = dict[str, Any]
Detect = Callable[[Sequence[str]], list[str]]

_RUNS = 5
_TEXTS = 3000  # of a run
_SLOW = 100  # of them for those who take a millisecond or more
_LEFT_OUT = {"und", "sw", "az", "xh", "mk", "su", "jv", "ms", "gl", "la"}
_MISLEADING = re.compile(r"https?://\S+|(\bRT )?@\w+")
_OTHER_NAMES = {"iw": "he", "nb": "no", "nn": "no", "zh-Hant": "zh", "ku": "ckb", "fil": "tl", "in": "id", "ms": "id"}


def ours(kernel: str) -> Detect:
    """The classifier that comes along, with numba or without."""

    def detect(texts: Sequence[str]) -> list[str]:
        os.environ["STREAMSKETCH_KERNELS"] = kernel
        kernels.running.cache_clear()
        return default().predict(texts).labels

    return detect


def pycld2(wanted: set[str]) -> Detect:
    """Google's second compact detector, which refuses control characters: they are taken out for it."""
    del wanted  # it can be given one hint, but no choice
    cld2 = importlib.import_module("pycld2")

    def one(text: str) -> str:
        clean = text if text.isprintable() else "".join(filter(str.isprintable, text))
        return str(cld2.detect(clean, bestEffort=True)[2][0][1])

    return lambda texts: list(map(one, texts))


def langid(name: str) -> Callable[[set[str]], Detect]:
    """Langid of 2012, or its quicker descendant."""

    def prepare(wanted: set[str]) -> Detect:
        module = importlib.import_module(name)
        known = {label for label, _ in module.rank("a")}
        module.set_languages(sorted(known & wanted))
        return lambda texts: [str(module.classify(text)[0]) for text in texts]

    return prepare


def lingua(wanted: set[str]) -> Detect:
    """Lingua, with all its n-grams."""
    module = importlib.import_module("lingua")
    names = [each for each in module.Language.all() if each.iso_code_639_1.name.lower() in wanted | {"nb"}]
    detector = module.LanguageDetectorBuilder.from_languages(*names).with_preloaded_language_models().build()

    def one(text: str) -> str:
        found = detector.detect_language_of(text)
        return "und" if found is None else str(found.iso_code_639_1.name.lower())

    return lambda texts: list(map(one, texts))


PEERS = {
    "pycld2": pycld2,
    "py3langid": langid("py3langid"),
    "langid": langid("langid"),
    "lingua-language-detector": lingua,
}


def read_rows(path: Path) -> list[Row]:
    """The texts of a file whose language is to be told."""
    data = path.read_bytes()
    rows = map(orjson.loads, (gzip.decompress(data) if path.suffix == ".gz" else data).splitlines())
    return [row for row in rows if row["lang"] not in _LEFT_OUT and "-" not in row["lang"]]


def evaluations(rows: list[Row]) -> dict[str, list[Row]]:
    """The three sets, by name."""
    of_stream = [row for row in rows if row["source"] == "tw14"]
    others = [row for row in rows if row["source"] not in {"tw14", "lingua-news"}]
    return {
        "E1": _at_most(120, of_stream, "lang"),
        "E2": _at_most(150, others, "source", "lang"),
        "E3": [row for row in of_stream if row.get("subset") == "uniform"],
    }


def _at_most(count: int, rows: list[Row], *by: str) -> list[Row]:
    seen: Counter[tuple[str, ...]] = Counter()
    kept = []
    for row in rows:
        key = tuple(row[name] for name in by)
        seen[key] += 1
        if seen[key] <= count:
            kept.append(row)
    return kept


def accuracy(detect: Detect, rows: list[Row]) -> float:
    """The share of texts whose language is told right; by whichever of its names."""
    told = detect([row["text"] for row in rows])
    return statistics.mean(_OTHER_NAMES.get(label, label) == row["lang"] for label, row in zip(told, rows, strict=True))


def cleaned(rows: list[Row]) -> list[Row]:
    """The same without what misleads peers."""
    return [row | {"text": _MISLEADING.sub(" ", row["text"])} for row in rows]


def seconds(detect: Detect, texts: Sequence[str]) -> float:
    """CPU seconds a text."""
    start = time.process_time()
    detect(texts)
    return (time.process_time() - start) / len(texts)


def compare(rows: list[Row]) -> None:
    """Prints a line a side: accuracy on each set, and texts a second."""
    sets = evaluations(rows)
    wanted = {row["lang"] for of in sets.values() for row in of}
    sides = {"streamsketch[fast]": ours("compiled"), "streamsketch": ours("numpy")}
    for name, prepare in PEERS.items():
        try:
            sides[f"{name} {version(name)}"] = prepare(wanted)
        except ImportError:
            print(f"{name} is not installed: left out")
    print(", ".join(f"{name}: {len(of):,} texts" for name, of in sets.items()))
    clean = {name: cleaned(of) for name, of in sets.items()}
    asked = {name: sets if name.startswith("streamsketch") else clean for name in sides}
    texts = {name: [row["text"] for row in of["E3"][:_TEXTS]] for name, of in asked.items()}
    for name, detect in sides.items():  # what is loaded or compiled once is not measured
        detect(texts[name][:_SLOW])
        if seconds(detect, texts[name][:_SLOW]) > 1e-3:
            texts[name] = texts[name][:_SLOW]
    runs = [{name: seconds(detect, texts[name]) for name, detect in sides.items()} for _ in range(_RUNS)]
    print(f"{'':32} {'E1':>6} {'E2':>6} {'E3':>6} {'texts/s':>10}   (middle half of {_RUNS} runs)")
    for name, detect in sides.items():
        shares = " ".join(f"{accuracy(detect, of):6.4f}" for of in asked[name].values())
        low, median, high = statistics.quantiles(run[name] for run in runs)
        print(f"{name:32} {shares} {1 / median:10,.0f}   ({1 / high:,.0f} to {1 / low:,.0f})", flush=True)


def main() -> None:
    """Runs the comparison on the file of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path, help="labelled texts: JSONL, or the same with gzip")
    rows = read_rows(parser.parse_args().path)
    names = ", ".join(f"{name} {version(name)}" for name in ("numpy", "scipy", "numba"))
    print(f"Python {platform.python_version()}, {names}; one thread, on a machine of {os.cpu_count()} cores")
    compare(rows)


if __name__ == "__main__":
    main()
