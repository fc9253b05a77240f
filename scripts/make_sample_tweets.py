"""Writes the sample tweets that come with the package: one hour of short messages in many languages, as they arrive.

    python scripts/make_sample_tweets.py UDHR_JSONL_GZ > pipelines/samples/tweets.jsonl

UDHR_JSONL_GZ holds the Universal Declaration of Human Rights, one JSON object `{text, lang}` a line. The other messages
come from sample_phrases.json. The same inputs give the same bytes. A second argument names a file to write instead.
"""

from __future__ import annotations

import gzip
import json
import math
import random
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

import orjson

Row: TypeAlias = dict[str, Any]

SEED = 20260301
START = int(datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp() * 1000)  # milliseconds, as all times here
SECOND, MINUTE = 1000, 60_000
SNOWFLAKE_EPOCH = 1_288_834_974_657  # ids count milliseconds from here, above 22 bits of worker and sequence

SHORTEST, LONGEST = 20, 140  # characters
SHORTEST_PART = 50  # less of a long sentence says nothing by itself
EVERYDAY_MESSAGES = 1801
BUILDUP_MESSAGES, FINAL_MESSAGES, RAINBOW_MESSAGES = 22, 110, 28
LATE_MESSAGES, REPEATED_DELIVERIES = 60, 14
EVENTS = ("buildup", "final", "rainbow", "rights")  # topics that everyday messages leave alone

_SENTENCE_END = re.compile(r"(?<=[.;:!?])\s+|(?<=[。\uff1b।])\s*")
_CLAUSE_END = re.compile(r"(?<=[,،—])\s+|(?<=[、\uff0c,])(?=[\u3040-\u9fff])")
_SPACE = re.compile(r"(?<=\s)")
_SLOT = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Message:
    """What one user says at one moment; `label` is the language as the source tells it, if it does."""

    at: int
    text: str
    label: str | None
    user: str
    user_lang: str


def clauses_of_the_declaration(path: Path, languages: set[str]) -> dict[str, list[str]]:
    """The Declaration in pieces of tweet length, by language."""
    clauses: dict[str, list[str]] = {language: [] for language in languages}
    for line in gzip.decompress(path.read_bytes()).splitlines():
        paragraph = orjson.loads(line)
        if paragraph["lang"] in languages:
            for sentence in _SENTENCE_END.split(paragraph["text"]):
                clauses[paragraph["lang"]] += _pieces(sentence, paragraph["lang"])
    return clauses


def _pieces(sentence: str, language: str) -> list[str]:
    ends = _SPACE if language == "th" else _CLAUSE_END  # Thai parts its clauses by spaces
    pieces = [""]
    for clause in ends.split(sentence):
        if pieces[-1] and len(pieces[-1] + clause) > LONGEST:
            pieces.append("")
        pieces[-1] += clause if language in {"ja", "zh", "th"} or not pieces[-1] else f" {clause}"
    trimmed = [piece.strip(" ,;:،、\uff0c\uff1b—\n") for piece in pieces]
    shortest = SHORTEST if len(pieces) == 1 else SHORTEST_PART
    return [piece for piece in trimmed if shortest <= len(piece) <= LONGEST]


class Writer:
    """Writes messages one at a time, never the same text twice by accident."""

    def __init__(self, rng: random.Random, phrasebook: Row, clauses: dict[str, list[str]]) -> None:
        self._rng = rng
        self._book = phrasebook
        self._languages: dict[str, Row] = phrasebook["languages"]
        self._users = _users_by_language(self._languages)
        self._decks = {
            (language, kind): _deck(rng, phrases)
            for language, entry in self._languages.items()
            for kind, phrases in _phrases_by_kind(entry["topics"], clauses[language]).items()
        }
        self._taken: set[str] = set()

    def everyday(self, at: int) -> Message:
        if self._rng.random() < 0.06:
            return self._undecidable(at)
        language = self._language("everyday")
        return self._message(at, language, "rights" if self._rng.random() < 0.27 else "everyday")

    def about(self, at: int, topic: str) -> Message:
        return self._message(at, self._language(topic), topic)

    def retweet(self, at: int, original: Message) -> Message:
        return replace(
            original,
            at=at,
            text=f"RT @{original.user}: {original.text}",
            user=self._user(original.user_lang, original.user),
        )

    def repeat(self, at: int, original: Message) -> Message:
        return replace(original, at=at, user=self._user(original.user_lang, original.user))

    def _user(self, language: str, other_than: str = "") -> str:
        users = self._book["handles"] if self._rng.random() < 0.12 else self._users[language]
        return self._rng.choice([user for user in users if user != other_than])

    def _language(self, kind: str) -> str:
        able = [language for language in self._languages if (language, kind) in self._decks]
        return self._rng.choices(able, [self._languages[language]["share"] for language in able])[0]

    def _message(self, at: int, language: str, kind: str) -> Message:
        entry = self._languages[language]
        topic, phrase = next(self._decks[language, kind])
        text = self._unused(lambda: self._dressed(self._filled(phrase, entry["slots"]), topic, entry))
        label = None if self._rng.random() < 0.042 else language
        return Message(at, text, label, self._user(language), language)

    def _undecidable(self, at: int) -> Message:
        text = self._unused(self._mark)
        language = self._language("everyday")
        label = "und" if self._rng.random() < 0.7 else None
        return Message(at, text, label, self._user(language), language)

    def _mark(self) -> str:
        rng = self._rng
        parts = [f"@{rng.choice(self._book['handles'])}"] if rng.random() < 0.4 else []
        word = rng.choice(self._book["undecidable"])
        parts += [word] if word else []
        parts += [rng.choice(self._book["emoji"]["undecidable"])] if not word or rng.random() < 0.6 else []
        parts += [self._filled(rng.choice(self._book["links"]), {})] if rng.random() < 0.15 else []
        return " ".join(parts)

    def _unused(self, write: Callable[[], str]) -> str:
        text = write()
        for _ in range(40):  # a small language may run out of ways to say a thing: then it repeats itself
            if text not in self._taken:
                break
            text = write()
        self._taken.add(text)
        return text

    def _filled(self, phrase: str, slots: dict[str, list[str]]) -> str:
        return _SLOT.sub(lambda slot: self._rng.choice({**self._book["slots"], **slots}[slot[1]]), phrase)

    def _dressed(self, text: str, topic: str, entry: Row) -> str:
        rng = self._rng
        event = topic in EVENTS and topic != "rights"
        tags: list[str] = entry["topics"][topic]["tags"]
        dresses: list[str] = []
        if rng.random() < (0.1 if topic == "rights" else 0.4):
            flag = topic in {"final", "football"} and rng.random() < 0.3
            dresses.append(f" {rng.choice(entry['flags'] if flag else self._book['emoji'][topic])}")
        if event or rng.random() < (0.2 if topic == "rights" else 0.55):
            kept = tags if event and rng.random() < 0.6 else [rng.choice(tags)]
            dresses += [f" #{tag}" for tag in kept]
        if rng.random() < 0.06:
            dresses.append(f" {self._filled(rng.choice(self._book['links']), {})}")
        if topic != "rights" and rng.random() < 0.08:
            text = f"@{rng.choice(self._book['handles'])} {text}"
        for dress in dresses:
            text += dress if len(text + dress) <= LONGEST else ""
        return text


def _users_by_language(languages: dict[str, Row]) -> dict[str, list[str]]:
    """Numbered accounts, so that no name is anybody's; a large language has more of them."""
    users: dict[str, list[str]] = {}
    first = 1
    for language, entry in languages.items():
        count = 6 + math.ceil(entry["share"] * 7)
        users[language] = [f"user_{number:03}" for number in range(first, first + count)]
        first += count
    return users


def _phrases_by_kind(topics: dict[str, Row], clauses: list[str]) -> dict[str, list[tuple[str, str]]]:
    kinds = {"everyday": [(name, p) for name in topics if name not in EVENTS for p in topics[name]["phrases"]]}
    kinds |= {name: [(name, p) for p in topics[name]["phrases"]] for name in EVENTS if name in topics}
    kinds["rights"] = [("rights", clause) for clause in clauses]
    return {kind: phrases for kind, phrases in kinds.items() if phrases}


def _deck(rng: random.Random, phrases: list[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    while True:  # every phrase is said once before any is said again
        yield from rng.sample(phrases, len(phrases))


def conversation(rng: random.Random, writer: Writer) -> list[Message]:
    """The hour in order of event time: a steady base, a rainbow that passes, a final that takes off near the end."""
    plan = [(START + int(rng.random() * 60 * MINUTE), "everyday") for _ in range(EVERYDAY_MESSAGES)]
    plan += [(START + int(rng.random() * 45 * MINUTE), "buildup") for _ in range(BUILDUP_MESSAGES)]
    # The root of a uniform number makes the rate grow in proportion to time.
    plan += [(START + int((45 + 15 * math.sqrt(rng.random())) * MINUTE), "final") for _ in range(FINAL_MESSAGES)]
    plan += [(START + int(rng.triangular(28, 37, 30) * MINUTE), "rainbow") for _ in range(RAINBOW_MESSAGES)]
    said: dict[str, list[Message]] = {"everyday": [], "buildup": [], "final": [], "rainbow": []}
    messages = []
    for at, topic in sorted(plan):
        message = _echo(rng, writer, at, topic, said[topic])
        if message is None:
            message = writer.everyday(at) if topic == "everyday" else writer.about(at, topic)
            said[topic].append(message)
        messages.append(message)
    return messages


def _echo(rng: random.Random, writer: Writer, at: int, topic: str, said: list[Message]) -> Message | None:
    chance = rng.random()
    if chance >= (0.3 if topic == "final" else 0.08):
        return None
    heard = [m for m in said[-150:] if m.at < at - 5 * SECOND and m.label not in {None, "und"} and len(m.text) < 120]
    if not heard:
        return None
    return (writer.repeat if chance < 0.02 else writer.retweet)(at, rng.choice(heard))


def plain_row(message: Message, number: int) -> Row:
    """A message as the project's own rows have it."""
    row = {"id": _id(message.at, number), "created_at": _rfc_3339(message.at), "text": message.text}
    return row | _language_label(message) | {"user": message.user}


def twitter_row(message: Message, number: int) -> Row:
    """A message as Twitter's first interface had it: whole seconds, English weekdays, nested entities."""
    row = {"id_str": _id(message.at, number), "created_at": f"{_moment(message.at):%a %b %d %H:%M:%S +0000 %Y}"}
    tags = re.finditer(r"(?<!\S)#(\S+)", message.text)
    entities = {
        "hashtags": [{"text": tag[1], "indices": list(tag.span())} for tag in tags],
        "user_mentions": [{"screen_name": name} for name in re.findall(r"@(\w+)", message.text)],
        "urls": [{"expanded_url": url} for url in re.findall(r"https://\S+", message.text)],
    }
    user = {"screen_name": message.user, "lang": message.user_lang}
    return row | {"text": message.text, "user": user, "entities": entities} | _language_label(message)


def _id(at: int, number: int) -> str:
    return str((at - SNOWFLAKE_EPOCH) << 22 | 369 << 12 | number)


def _moment(at: int) -> datetime:
    return datetime.fromtimestamp(at / 1000, UTC)


def _rfc_3339(at: int) -> str:
    return _moment(at).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _language_label(message: Message) -> Row:
    return {} if message.label is None else {"lang": message.label}


def line_of(row: Row) -> bytes:
    """A row as one line; Twitter's rows escape all but ASCII, so that emoji come as pairs of surrogates."""
    return json.dumps(row).encode() if "id_str" in row else orjson.dumps(row)


def lines_of(rng: random.Random, messages: list[Message]) -> list[bytes]:
    """Each message in one of the shapes that a stream of tweets has known, and a few whose clock is wrong."""
    lines = []
    odd = rng.sample(range(len(messages)), 14)
    seconds, milliseconds, ahead = set(odd[:6]), set(odd[6:12]), set(odd[12:])
    for number, message in enumerate(messages):
        row = plain_row(message, number)
        if number in seconds:
            row["created_at"] = message.at // SECOND
        elif number in milliseconds:
            row["created_at"] = message.at
        elif number in ahead:
            row["created_at"] = _rfc_3339(message.at + rng.randrange(4 * MINUTE, 9 * MINUTE))
        elif rng.random() < 0.105:
            row = twitter_row(message, number)
        lines.append(line_of(row))
    return lines


def damaged_lines(messages: list[Message]) -> list[bytes]:
    """Lines that no reader should take for a tweet, each broken in a way that streams break in practice."""
    sources = iter(messages)

    def good(**changes: object) -> bytes:
        return line_of(plain_row(next(sources), 4000) | changes)

    def without(name: str) -> bytes:
        row = plain_row(next(sources), 4000)
        return line_of({key: value for key, value in row.items() if key != name})

    def spoilt(old: bytes, new: bytes) -> bytes:
        return good(text="Good morning, rain and coffee for all", lang="en", created_at="<time>").replace(old, new)

    def untimely(literal: bytes) -> bytes:
        return spoilt(b'"<time>"', literal)

    def spoken(literal: bytes) -> bytes:
        return spoilt(b"rain", literal).replace(b"<time>", b"2026-03-01T12:20:00.000Z")

    return [
        good()[:-1],
        good()[:47],
        good(text="雨が降っています", lang="ja")[:90],  # within a character of three bytes
        b"HTTP/1.1 503 Service Unavailable",
        b"id,created_at,text,lang,user",
        b"}",
        good() + good(),
        good() + b" " + good(),
        spoken("café".encode("latin-1")),
        spoken(b"\xff\xfe\xc0\x80"),
        spoken(rb"\ud83d"),
        spoken(rb"\ude00\ud83d"),
        without("text"),
        good(text=None),
        good(text=20260301),
        without("created_at"),
        untimely(b"NaN"),
        untimely(b'"yesterday"'),
        untimely(b"1700000000000000"),  # microseconds: read as milliseconds, this is the year 55840
        untimely(b"-1772366400"),
        b"[" + good() + b"]",
        b"{}",
        spoken(b"\x00"),
        b"\x00" * 16 + good(),  # what a disk leaves that was full
        b"[" * 200 + b"]" * 200,
    ]


def arrivals(rng: random.Random, messages: list[Message], lines: list[bytes]) -> list[bytes]:
    """The lines in order of arrival: seconds after they were written, some minutes late, some delivered twice."""
    end = START + 60 * MINUTE
    arrived = [
        (message.at + rng.randrange(200, 4 * SECOND), line) for message, line in zip(messages, lines, strict=True)
    ]
    # A message of the last minutes has nothing left to be late behind.
    for number in rng.sample([n for n, m in enumerate(messages) if m.at < end - 3 * MINUTE], LATE_MESSAGES):
        at, line = messages[number].at, lines[number]
        arrived[number] = (at + rng.randrange(MINUTE, min(12 * MINUTE, end - at)), line)
    arrived += [(at + rng.randrange(SECOND, 4 * MINUTE), line) for at, line in rng.sample(arrived, REPEATED_DELIVERIES)]
    broken = damaged_lines(rng.sample(messages, 40))
    rng.shuffle(broken)
    step = 60 * MINUTE // len(broken)
    arrived += [(START + number * step + rng.randrange(step), line) for number, line in enumerate(broken)]
    return [line for _, line in sorted(arrived)]


def main(declaration: str, output: str | None = None) -> None:
    """Writes the sample to a file, or to standard output."""
    phrasebook = orjson.loads(Path(__file__).with_name("sample_phrases.json").read_bytes())
    clauses = clauses_of_the_declaration(Path(declaration), set(phrasebook["languages"]))
    rng = random.Random(SEED)  # noqa: S311 - a sample needs the same numbers each time, not secret ones
    messages = conversation(rng, Writer(rng, phrasebook, clauses))
    sample = b"".join(line + b"\n" for line in arrivals(rng, messages, lines_of(rng, messages)))
    if output:
        Path(output).write_bytes(sample)
    else:
        sys.stdout.buffer.write(sample)


if __name__ == "__main__":
    if len(sys.argv) not in {2, 3}:
        sys.exit(__doc__)
    main(*sys.argv[1:])
