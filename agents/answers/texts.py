"""Answers in words: the key that is equal for the same words, whatever their case, spacing and punctuation.

A text that is mathematics, such as `2x+3` or `(3, 4)`, has the key of the mathematics.
"""

from __future__ import annotations

import re
import string

from agents.answers.expressions import expression, looks_mathematical
from agents.answers.guarded import Guarded
from agents.answers.undress import undress

EDGES = string.whitespace + string.punctuation.replace("-", "").replace("+", "") + "“”‘’«»…。！？，、；："
_OPERATOR = re.compile(r"[-=^\\*+/√π(]|\A(?:[^A-Za-z]|\band\b)*\Z|\d[A-Za-z]\b")
"""`3 PM` and `B 12` are words."""
_BETWEEN = re.compile(r"(?<!\d)[,;](?=\s)|[,;](?!\d)(?=\s)")
_THE = re.compile(r"^the (?=\w{3,})")
_ARTICLE = re.compile(r"^(?:the|an?) (?=\w{3,})")
_UNSURE = Guarded(
    r"\bno (?:idea|clue)\b|\b(?:not|n't) able to\b|\bunable to\b|\b(?:cannot|can't|could not|couldn't) find\b|"
    r"\b(?:cannot|can't|could not|impossible to) (?:be )?(?:determine|answer|tell|say|decide|know|solve)|"
    r"\b(?:i do not|i don't|do not|don't) know\b|\bnot (?:sure|enough)\b|"
    r"\b(?:do|does|did)(?: not|n['’]t) (?:have access|mention|say|specify|state|provide|contain|include|indicate|"
    r"name|have (?:any |"
    r"enough )?information)\b|\b(?:not|never) (?:mentioned|stated|specified|provided|given|named) (?:in|by|anywhere)\b|"
    r"\bno (?:mention|information|way (?:to|of) (?:know|tell))",
    "idea|clue|able|find|determin|answer|tell|say|decide|know|solve|sure|enough|access|mention|specif|state|provide|contain|"
    "include|indicate|name|given|information",
)
_SORRY = re.compile(
    r"\W*(?:(?:i am |i'm )?sorry\b|(?:n/a|unsure|not sure|idk|none of (?:the|these|those|them)|no answer|"
    r"see (?:above|below|the|step|explanation))\b|"
    r"(?:none|unknown|undetermined|unclear|null|see)(?:\W*$|\W*[.,;:(–—-]\s|"
    r"\s(?:at|from|to|who|which|what|whether|how|if|because|as|since|without|given|based)\b)|(?-i:NA)\W*$)",
    re.IGNORECASE,
)
UNSURE_LIMIT = 200
"""Characters of a text that may say so and nothing else."""
_YEARS = re.compile(
    r"(?<=\w) \((?:(?:born|b\.|d\.|c\.|ca\.|circa)\s)?\d{3,4}(?:\s?[-–—]\s?(?:\d{2,4}|"
    r"present)?)?\)\.?$"
)
"""`Marie Curie (1867-1934)`: the years are not part of the name."""
MATHEMATICS = 200
"""Characters up to which a text may be mathematics."""


def is_unsure(text: str) -> bool:
    """Whether a reply says that it does not know."""
    if _SORRY.match(text):
        return True
    return _UNSURE.search(text) is not None


def plain(text: str) -> str:
    """Words in lower case with single spaces, without enclosing punctuation. Nothing but punctuation keeps it."""
    text = " ".join(text.split())  # all white space, not only ASCII's
    return (text.strip(EDGES) or text).casefold()


def text_key(text: str, articles: bool = True) -> str | None:
    """The key of an answer in words, or None where there are none. `articles`: a leading "a" or "an" counts."""
    bare = undress(text)
    if not bare:
        return None
    if (
        len(bare) <= MATHEMATICS
        and any(c.isdigit() or c in "=^\\*+√π" for c in bare)
        and _OPERATOR.search(bare)
        and looks_mathematical(bare)
    ):
        key = expression(bare, "text")
        if key is not None:
            return key
    bare = _YEARS.sub("", bare)
    words = _BETWEEN.sub(" ", bare) if "," in bare or ";" in bare else bare
    return (_THE if articles else _ARTICLE).sub("", plain(words)) or None
