"""Parsing: both shapes of tweets, every way to write a time, and refusals that say why."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.parsing import parse_line, parse_time, parse_tweet
from transforms.schemas import to_row

MOMENT = datetime(2014, 7, 1, 0, 1, 9, 790_000, tzinfo=UTC)
ROW = {"id": "1", "created_at": "2014-07-01T00:01:09.790Z", "text": "à bientôt"}


@pytest.mark.parametrize(
    "written",
    [
        "2014-07-01T00:01:09.790Z",
        "2014-07-01T02:01:09.790+02:00",
        1404172869790,
        1404172869.79,
        "1404172869790",
        MOMENT,
        MOMENT.astimezone(timezone(timedelta(hours=-5))),
    ],
)
def test_a_moment_is_the_same_however_it_is_written(written: object) -> None:
    assert parse_time(written) == MOMENT
    assert parse_time(written).tzinfo is UTC


def test_the_old_form_of_twitter_is_read_with_its_zone() -> None:
    assert parse_time("Tue Jul 01 02:01:09 +0200 2014") == MOMENT.replace(microsecond=0)
    assert parse_time("Mon Jun 30 19:01:09 -0500 2014") == MOMENT.replace(microsecond=0)


@given(st.datetimes(datetime(1970, 5, 1), datetime(2286, 11, 1), timezones=st.just(UTC)))
def test_seconds_and_milliseconds_are_told_apart(moment: datetime) -> None:
    seconds = int(moment.timestamp())
    assert parse_time(seconds) == parse_time(seconds * 1000) == moment.replace(microsecond=0)


@pytest.mark.parametrize(
    ("written", "rule"),
    [
        (None, "created_at is missing"),
        (-1, "seconds or milliseconds from 1970"),
        (10**13, "seconds or milliseconds from 1970"),
        (float("nan"), "seconds or milliseconds from 1970"),
        (float("inf"), "seconds or milliseconds from 1970"),
        ("yesterday", "a time must look like"),
        ("Tue Foo 01 00:01:09 +0000 2014", "a time must look like"),
        ("Tue Feb 30 00:01:09 +0000 2014", "a time must look like"),
        ("2014-07-01T00:01:09", "must name its zone"),
        ("1815-06-18T11:00:00Z", "must lie between 1970"),
        ("9999-12-31T00:00:00Z", "must lie between 1970"),
        (True, "must be text or a number"),
        ({"year": 2014}, "must be text or a number"),
    ],
)
def test_a_time_that_cannot_be_is_refused_with_the_rule(written: object, rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        parse_time(written)


def test_the_old_interface_of_twitter_and_a_plain_row_give_the_same_tweet() -> None:
    twitter = {
        "id": 483762194908479488,
        "id_str": "483762194908479488",
        "created_at": "Tue Jul 01 00:01:09 +0000 2014",
        "text": "@hana sees #été and …",
        "lang": "fr",
        "user": {"screen_name": "zoe", "lang": "en"},
        "entities": {
            "hashtags": [{"text": "été", "indices": [11, 15]}, {"text": "cut_off_here"}],
            "user_mentions": [{"screen_name": "hana"}],
            "urls": [],
        },
    }
    tweet = parse_tweet(orjson.dumps(twitter))
    assert (tweet.id, tweet.user, tweet.user_lang, tweet.lang) == ("483762194908479488", "zoe", "en", "fr")
    assert (tweet.hashtags, tweet.mentions) == (("été", "cut_off_here"), ("hana",))
    assert orjson.loads(tweet.extra or "") == {"entities": twitter["entities"], "profile": twitter["user"]}
    assert parse_tweet(to_row(tweet)) == tweet


def test_what_a_source_says_besides_is_kept() -> None:
    tweet = parse_tweet(orjson.dumps(ROW | {"geo": [1, 2], "likes": 3}))
    assert orjson.loads(tweet.extra or "") == {"geo": [1, 2], "likes": 3}
    assert parse_tweet(to_row(tweet) | {"seen": 1}).extra == '{"seen":1,"extra":"{\\"geo\\":[1,2],\\"likes\\":3}"}'


@pytest.mark.parametrize(
    ("text", "hashtags", "mentions"),
    [
        ("#one＃two #三月 #1st #2", ("one", "三月", "1st"), ()),
        ("mail a@example.com, not @b and ＠c", (), ("b", "c")),
        ("#مطر و @user_017: 👍", ("مطر",), ("user_017",)),
        ("#बारिश #ฟุตบอล #می‌خواهم #ev", ("बारिश", "ฟุตบอล", "می‌خواهم", "ev"), ()),
        ("no # tag, no @ name", (), ()),
    ],
)
def test_hashtags_and_mentions_are_found_in_the_text(
    text: str, hashtags: tuple[str, ...], mentions: tuple[str, ...]
) -> None:
    tweet = parse_tweet(orjson.dumps(ROW | {"text": text}))
    assert (tweet.hashtags, tweet.mentions) == (hashtags, mentions)


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"id": None}, "id is missing"),
        ({"id": True}, "id must be text"),
        ({"text": ["a"]}, "text must be text"),
        ({"lang": 5}, "lang must be text"),
        ({"hashtags": "one"}, "hashtags must be a list"),
        ({"mentions": [1]}, "mentions must be a list"),
    ],
)
def test_a_member_of_the_wrong_kind_is_named(change: dict[str, object], rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        parse_tweet(orjson.dumps(ROW | change))


json_values = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(json_values, st.sampled_from(["", "user", "entities", "created_at", "text", "id_str", "hashtags"]))
def test_any_json_is_a_tweet_or_refused_with_a_reason(value: object, member: str) -> None:
    line = orjson.dumps({**ROW, member: value} if member else value)
    try:
        outcome: object = parse_tweet(line)
    except ValueError as refusal:
        outcome = str(refusal)
    assert outcome


def test_a_line_must_be_utf_8_and_a_row_is_no_line() -> None:
    assert parse_line("läuft".encode()) == "läuft"
    with pytest.raises(ValueError, match="utf-8"):
        parse_line(b"\xff")
    with pytest.raises(ValueError, match="columns a, b"):
        parse_line({"a": 1, "b": 2})
