"""From what a source holds to records: each function takes one payload and returns a record or says why it cannot.

A payload is a line of bytes, or a row of a container such as Avro. A ValueError makes the payload a Reject, whose
error is the message: what was expected, and what came.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, TypeAlias

import orjson

from transforms.schemas import EPOCH, Text, Tweet

Payload: TypeAlias = bytes | Mapping[str, Any]

# A number below 10^10 counts seconds and one from there on milliseconds: both readings end in November 2286, and no
# time since April 1970 can be taken for the other.
FIRST_MILLISECOND = 10**10
END_OF_TIME = 10**13
_LATEST = EPOCH + timedelta(milliseconds=END_OF_TIME)

_MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec"  # in English, whatever the locale
_TWITTER_TIME = re.compile(r"[A-Z][a-z]{2} (\w{3}) (\d\d) (\d\d):(\d\d):(\d\d) ([+-])(\d\d)(\d\d) (\d{4})", re.ASCII)
_DIGITS = re.compile(r"\d{1,20}(\.\d{1,9})?", re.ASCII)

# To Python's \w the vowel signs of Hindi or Thai are no letters; to those who write hashtags they are, and so is the
# joiner of Persian.
MARKS = "".join(chr(code) for code in range(0x300, 0x1F000) if unicodedata.category(chr(code)) in {"Mn", "Mc"})
LETTER = rf"[\w\u200c{MARKS}]"
_HASHTAG = re.compile(rf"(?<!\w)[#\uff03]({LETTER}*[^\W\d_]{LETTER}*)")
_MENTION = re.compile(r"(?<!\w)[@\uff20](\w{1,30})", re.ASCII)

_MEMBERS_OF_A_TWEET = frozenset(Tweet.__dataclass_fields__)


def parse_line(payload: Payload) -> str:
    """A line of text, in UTF-8.

    >>> parse_line("déjà vu".encode())
    'déjà vu'
    """
    if isinstance(payload, bytes):
        return payload.decode("utf-8")
    raise ValueError(f"expected a line of text, got a row with the columns {', '.join(payload)}")


def parse_text(payload: Payload) -> Text:
    """A text and its time: of a JSON object or a row `{text, created_at}` (or `time`), or a plain line without a time.

    >>> parse_text(b'{"text": "to be", "created_at": "2014-07-01T00:01:09Z"}').time.isoformat()
    '2014-07-01T00:01:09+00:00'
    >>> parse_text(b"or not to be")
    Text(text='or not to be', time=None)
    """
    if isinstance(payload, bytes) and not payload.lstrip().startswith(b"{"):
        return Text(parse_line(payload))
    row = orjson.loads(payload) if isinstance(payload, bytes) else payload
    time = row.get("created_at", row.get("time"))
    return Text(_text(row.get("text"), "text"), None if time is None else parse_time(time))


def parse_tweet(payload: Payload) -> Tweet:
    """A tweet, from a plain row `{id, created_at, text, lang}` or from the JSON of Twitter's first interface.

    >>> row = b'{"id": 1, "created_at": "2014-07-01T00:01:09.790Z", "text": "hi #there", "lang": "en", "likes": 2}'
    >>> tweet = parse_tweet(row)
    >>> tweet.id, tweet.created_at.year, tweet.hashtags, tweet.extra
    ('1', 2014, ('there',), '{"likes":2}')
    """
    row = orjson.loads(payload) if isinstance(payload, bytes) else payload
    if not isinstance(row, Mapping):
        raise ValueError(f"expected a JSON object, got {_shown(row)}")
    if "id_str" in row or isinstance(row.get("user"), Mapping):
        row = _from_twitter(row)
    text = _text(row.get("text"), "text")
    return Tweet(
        id=_id(row.get("id")),
        created_at=parse_time(row.get("created_at")),
        text=text,
        lang=_text_or_none(row.get("lang"), "lang"),
        user=_text_or_none(row.get("user"), "user"),
        user_lang=_text_or_none(row.get("user_lang"), "user_lang"),
        hashtags=_names(row.get("hashtags"), "hashtags", _HASHTAG, text),
        mentions=_names(row.get("mentions"), "mentions", _MENTION, text),
        extra=_extra(row),
    )


def parse_time(value: object) -> datetime:
    """A time in UTC, from RFC 3339, from Twitter's old form, or from seconds or milliseconds since 1970.

    >>> parse_time("Tue Jul 01 00:01:09 +0000 2014").isoformat()
    '2014-07-01T00:01:09+00:00'
    >>> parse_time(1404172869790) == parse_time(1404172869.79) == parse_time("2014-07-01T02:01:09.79+02:00")
    True
    """
    if value is None:
        raise ValueError("created_at is missing: a record needs its event time")
    if isinstance(value, datetime):
        moment = value
    elif isinstance(value, str) and not _DIGITS.fullmatch(value):
        moment = _written_time(value)
    elif isinstance(value, (int, float, str)) and not isinstance(value, bool):
        moment = _counted_time(float(value) if isinstance(value, str) else value)
    else:
        raise ValueError(f"a time must be text or a number, got {_shown(value)}")
    if moment.tzinfo is None:
        raise ValueError(f"a time must name its zone, such as Z or +02:00, got {_shown(value)}")
    if not EPOCH <= moment < _LATEST:
        raise ValueError(f"a time must lie between 1970 and {_LATEST:%Y-%m}, got {_shown(value)}")
    return moment.astimezone(UTC)


def _counted_time(number: float) -> datetime:
    if not math.isfinite(number) or not 0 <= number < END_OF_TIME:
        raise ValueError(f"a time must be seconds or milliseconds from 1970 to {_LATEST:%Y-%m}, got {_shown(number)}")
    if number < FIRST_MILLISECOND:
        return EPOCH + timedelta(seconds=number)
    return EPOCH + timedelta(milliseconds=number)


def _written_time(text: str) -> datetime:
    twitter = _TWITTER_TIME.fullmatch(text)
    try:
        if not twitter:
            return datetime.fromisoformat(text)
        month, day, hour, minute, second, sign, zone_hours, zone_minutes, year = twitter.groups()
        offset = timedelta(hours=int(zone_hours), minutes=int(zone_minutes))
        zone = timezone(offset if sign == "+" else -offset)
        return datetime(
            int(year), _MONTHS.index(month) // 4 + 1, int(day), int(hour), int(minute), int(second), tzinfo=zone
        )
    except ValueError as error:
        raise ValueError(
            f"a time must look like 2014-07-01T00:01:09Z or Tue Jul 01 00:01:09 +0000 2014, got {_shown(text)}"
        ) from error


def _from_twitter(row: Mapping[str, Any]) -> dict[str, Any]:
    """The same tweet as a plain row: users, hashtags and mentions were nested objects in Twitter's own JSON."""
    plain = dict(row)
    plain["id"] = plain.pop("id_str", plain.get("id"))
    if "full_text" in plain:
        plain["text"] = plain.pop("full_text")
    user = plain.get("user")
    if isinstance(user, Mapping):
        plain |= {"user": user.get("screen_name"), "user_lang": user.get("lang"), "profile": user}
    entities = plain.get("entities")
    if isinstance(entities, Mapping):
        plain["hashtags"] = _members(entities.get("hashtags"), "text")
        plain["mentions"] = _members(entities.get("user_mentions"), "screen_name")
    return plain


def _members(entities: object, name: str) -> list[object] | None:
    if not isinstance(entities, list):
        return None
    return [entity.get(name) if isinstance(entity, Mapping) else entity for entity in entities]


def _id(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return _text(value, "id")


def _text(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise ValueError(
            f"{name} must be text, got {_shown(value)}" if value is not None else f"{name} is missing or null"
        )
    return value


def _text_or_none(value: object, name: str) -> str | None:
    return None if value is None or value == "" else _text(value, name)


def _names(value: object, name: str, pattern: re.Pattern[str], text: str) -> tuple[str, ...]:
    """What the source lists; otherwise what the text holds, so that both kinds of source answer alike."""
    if value is None:
        return tuple(pattern.findall(text))
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        raise ValueError(f"{name} must be a list of texts, got {_shown(value)}")
    return tuple(value)


def _extra(row: Mapping[str, Any]) -> str | None:
    others = {name: value for name, value in row.items() if name not in _MEMBERS_OF_A_TWEET}
    kept = row.get("extra")
    if isinstance(kept, str) and not others:
        return kept
    if kept is not None:
        others["extra"] = kept
    return orjson.dumps(others, default=str).decode() if others else None


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
