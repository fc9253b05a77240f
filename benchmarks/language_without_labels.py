"""How right languages are told by what was learnt from tweets that nobody labelled, after so many of them.

    python -m benchmarks.language_without_labels train.jsonl.gz udhr.jsonl.gz dev.jsonl.gz

Reads `{text, lang, source, subset}` a line. The seed is the Universal Declaration of Human Rights and sentences of
news, whose language is that of where they were printed; Central Kurdish has a declaration in Latin letters, which is
left out. Of the tweets of the first file (source tw14), in an order drawn once, the text alone is read, so that nothing
is known of Odia, Sindhi and Central Kurdish, and little of Nepali: `--labelled ckb ne sd` lends some their labelled
tweets as seeds. E1, E2 and E3 are those of `benchmarks.detect_language`; core are the twenty most frequent languages.
The settings of StreamingEM were chosen on a part of the first file that was held out for it.
"""

from __future__ import annotations

import argparse
import gzip
from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np
import orjson
from numpy.typing import NDArray

from benchmarks.detect_language import Row, evaluations, read_rows
from models.language.counts import LanguageCounts
from models.language.streaming_em import StreamingEM

BATCH = 500
BUCKETS = 2**17
MARKS = (0, 500, 1000, 2500, 5000, 10_000, 15_000, 20_000, 25_000)
CORE = frozenset(
    [
        *["en", "ja", "es", "id", "pt", "ar", "fr", "de", "ru", "th"],
        *["tr", "it", "ko", "zh", "nl", "pl", "sv", "hi", "fa", "el"],
    ]
)
MISPRINTED = frozenset({"ckb"})
STREAM, NEWS = "tw14", "lingua-news"


def read(path: Path) -> list[Row]:
    """The lines of a compressed file."""
    with gzip.open(path) as lines:
        return [orjson.loads(line) for line in lines]


def seed_of(train: list[Row], declaration: list[Row], wanted: set[str], labelled: Collection[str]) -> LanguageCounts:
    """The counts to begin with, of the wanted languages."""
    rows = [row for row in declaration if row["lang"] not in MISPRINTED]
    rows += [row for row in train if row["source"] == NEWS or (row["source"] == STREAM and row["lang"] in labelled)]
    rows = [row for row in rows if row["lang"] in wanted]
    counts = LanguageCounts(BUCKETS)
    counts.add_many([row["text"] for row in rows], [row["lang"] for row in rows])
    return counts


def shares(em: StreamingEM, sets: dict[str, list[Row]]) -> dict[str, float]:
    """The share of texts whose language is told right, for each set, and for the core of it."""
    classifier, found = em.classifier(), {}
    for name, rows in sets.items():
        labels = classifier.predict([row["text"] for row in rows]).labels
        right = np.array([label == row["lang"] for label, row in zip(labels, rows, strict=True)])
        core = np.array([row["lang"] in CORE for row in rows])
        found |= {name: float(right.mean()), f"{name} core": float(right[core].mean())}
    return found


def begin(
    train: Path, declaration: Path, dev: Path, labelled: Collection[str] = (), order: int = 0
) -> tuple[StreamingEM, list[str], dict[str, list[Row]]]:
    """What knows the seed alone, the texts of the stream in one of the orders there are, and the sets to be told."""
    sets, rows = evaluations(read_rows(dev)), read(train)
    wanted = {row["lang"] for of in sets.values() for row in of}
    em = StreamingEM(seed_of(rows, read(declaration), wanted, labelled))
    texts = [row["text"] for row in rows if row["source"] == STREAM]
    drawn: NDArray[np.int64] = np.random.default_rng(order).permutation(len(texts))
    return em, [texts[place] for place in drawn.tolist()], sets


def measured(
    em: StreamingEM, texts: list[str], sets: dict[str, list[Row]], marks: Collection[int]
) -> Iterator[tuple[int, dict[str, float]]]:
    """Learns batch by batch; after each mark, and at the end: how many texts were seen, and what is told right."""
    for seen in range(0, len(texts), BATCH):
        if seen in marks:
            yield seen, shares(em, sets)
        em.learn(texts[seen : seen + BATCH])
    yield len(texts), shares(em, sets)


def main() -> None:
    """Learns and measures what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("train", "declaration", "dev"):
        parser.add_argument(name, type=Path, help="texts: JSONL, with gzip")
    parser.add_argument("--order", type=int, default=0, help="which order of the tweets; default: %(default)s")
    parser.add_argument("--labelled", nargs="*", default=[], help="languages whose labelled tweets are seeds, too")
    em, texts, sets = begin(**vars(parser.parse_args()))
    print(", ".join(f"{name}: {len(rows):,} texts" for name, rows in sets.items()))
    print(f"{'tweets':>8} {' '.join(f'{name:>7} {name} core' for name in sets)} {'learnt':>7}")
    for seen, found in measured(em, texts, sets, MARKS):
        print(f"{seen:8,} {' '.join(f'{share:7.4f}' for share in found.values())}", end=" ")
        print(f"{sum(em.learnt.texts.values()):7,}", flush=True)


if __name__ == "__main__":
    main()
