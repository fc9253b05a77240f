"""The words of short texts in any script, for counting: content rather than grammar where a script tells them apart.

Words are runs of letters, in lower case. Links, mentions and hashtags are no words, nor are numbers, emoji and single
letters. Where words are not parted by spaces, the script parts them: in Japanese, runs of kanji and of katakana are
words, and of hiragana, in which its grammar is written, only those of three characters or more. Runs of Han characters
longer than four, as Chinese has them, and runs of Thai, Lao, Khmer and Burmese longer than twelve become overlapping
pieces of two and of six characters: not words, but what the same words have in common.
"""

from __future__ import annotations

import re

from transforms.parsing import LETTER, MARKS

_NO_WORDS = re.compile(rf"https?://\S+|(?:\bRT )?(?<!\w)[@\uff20]\w+|(?<!\w)[#\uff03]{LETTER}+")
_HAN = "\u3005-\u3007\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_KATAKANA = "\u30a0-\u30fa\u30fc-\u30ff\uff66-\uff9f"
_HIRAGANA = "\u3041-\u309f"
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"  # Thai and Lao, Burmese, Khmer
_RUNS = re.compile(
    rf"(?P<han>[{_HAN}]+)|(?P<katakana>[{_KATAKANA}]{{2,}})|(?P<hiragana>[{_HIRAGANA}\u30fc]{{3,}})"
    rf"|(?P<unspaced>[{_UNSPACED}]+)|(?P<letters>(?:(?![{_HAN}{_KATAKANA}{_HIRAGANA}{_UNSPACED}]){LETTER})+"
    rf"(?:['\u2019](?:(?![{_HAN}{_KATAKANA}{_HIRAGANA}{_UNSPACED}]){LETTER})+)*)"
)
# A run longer than this becomes all such pieces; none begins with a sign that belongs to the letter before it.
_PIECES = {
    "han": (4, re.compile(r"(?=(..))")),
    "unspaced": (12, re.compile(rf"(?=([^{MARKS}].{{5}}))")),
}


def tokens_of(text: str) -> list[str]:
    """The different words of a text, in the order in which they come first.

    >>> tokens_of("RT @ana: Don't miss the FINAL, the final! #football https://example.org 3:0")
    ["don't", 'miss', 'the', 'final']
    >>> tokens_of("今日のサッカー、すごい!")
    ['今日', 'サッカー', 'すごい']
    >>> tokens_of("我今天去北京")
    ['我今', '今天', '天去', '去北', '北京']
    """
    tokens: dict[str, None] = {}
    for run in _RUNS.finditer(_NO_WORDS.sub(" ", text)):
        kind, word = str(run.lastgroup), run[0].lower().replace("\u2019", "'")
        if kind in _PIECES and len(word) > _PIECES[kind][0]:
            tokens.update(dict.fromkeys(_PIECES[kind][1].findall(word)))
        elif len(word) > 1 and not word.isdigit():
            tokens[word] = None
    return list(tokens)
