"""Words of short texts in the scripts of the world."""

from __future__ import annotations

import pytest

from transforms.tokenizing import tokens_of


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("Rain, rain; RAIN!", ["rain"]),
        ("RT @ana: it's THE 2 of us… http://example.org/rain #rain @bo 10 a", ["it's", "the", "of", "us"]),
        ("l\u2019été à Paris", ["l'été", "paris"]),
        ("дождь в Москве", ["дождь", "москве"]),
        ("चाय की दुकान", ["चाय", "की", "दुकान"]),  # vowel signs belong to their letters
        ("می\u200cخواهم برویم", ["می\u200cخواهم", "برویم"]),  # so does the joiner of Persian
        ("今日のラーメンはおいしかった", ["今日", "ラーメン", "はおいしかった"]),
        ("北京大学下雪了", ["北京", "京大", "大学", "学下", "下雪", "雪了"]),
        ("카페에 가요", ["카페에", "가요"]),
        ("ร้านกาแฟ", ["ร้านกาแฟ"]),
        ("🎉🎉 !!! 2026", []),
        ("", []),
    ],
)
def test_words(text: str, tokens: list[str]) -> None:
    assert tokens_of(text) == tokens


def test_long_runs_of_thai_have_pieces_in_common() -> None:
    one, other = set(tokens_of("วันนี้ฝนตกหนักมากเลยนะ")), set(tokens_of("เมื่อวานฝนตกหนักมากทั้งวัน"))
    assert len(one & other) >= 5
    assert all(len(token) == 6 for token in one | other)
