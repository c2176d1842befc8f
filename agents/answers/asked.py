"""What a statement says that the question did not: the answer is what is new in it."""

from __future__ import annotations

import re

from agents.answers.guarded import word_set

LEAST = 1
"""Words of content that a question has from which it tells what is new."""

_TOKEN = re.compile(r"[$€£]?\w(?:[\w'’.,/-]*\w)?[%°]?")
_FUNCTION = word_set(
    "a an the is was are were be been being has have had do does did of in on at to for from by with as and "
    "or that which who whom whose what when where why how it its this these those there he she they his her "
    "their i we you not no so than then thus therefore hence called named known name names located situated "
    "took take takes place happened occurred occurs considered first actually also often commonly would will "
    "can about into during after before while if but yes just any other every each all another give gives "
    "gave get gets got yield yields make makes made produce produces mean means one because since both most "
    "more very itself such under over between wrote written write author authored invented built became "
    "become becomes given referred answer correct question year date time city country person following "
    "passage text according stated based"
)
"""Words that are no content of an answer."""
_JOINS = word_set("of the and de la le du del von van da & a for to in on at with")
_ENDINGS = re.compile(r"(?:['’]s|ing|ings|ed|ers?|ors?|es|s|ly|ion|ions|al|e)$")
_YEAR = re.compile(r"\b(?:1\d{3}|20\d{2})\b|\b(?:BC|BCE|AD)\b|century")
_MONTHS = word_set(
    "january february march april may june july august september october november december monday tuesday "
    "wednesday thursday friday saturday sunday"
)
_KINDS = (
    (
        re.compile(r"\b(?:when|what year|which year|what date|what time|what day|which day|what century)\b", re.I),
        "when",
    ),
    (re.compile(r"\b(?:how many|how much|how old|how long|how far|how tall|what percentage)\b", re.I), "count"),
    (re.compile(r"\b(?:who|whom|whose)\b", re.I), "who"),
    (
        re.compile(r"\b(?:where|(?:what|which) (?:city|country|state|place|continent|town|county|region))\b", re.I),
        "where",
    ),
)
_OPEN = re.compile(
    r"^\W{0,4}(?:why|how (?!many|much|old|long|far|tall)|explain|describe|discuss|summari[sz]e|write|translate)\b", re.I
)
_PRONOUN = re.compile(r"\b(?:it|he|she|they|him|her|them)\b", re.IGNORECASE)
_KIND = re.compile(
    r"\b(?:vitamin|type|class|group|hepatitis|blood type|grade|plan|channel|room|gate)\s$", re.IGNORECASE
)
_OWNER = re.compile(r"\b(?:his|her|their|my|our|its|your)\s$", re.IGNORECASE)
_BREAKS = re.compile(r"[,;:()\[\]\"“”–—]|\s-\s")


def _stem(word: str) -> str:
    word = word.casefold().strip(".,'’")
    short = _ENDINGS.sub("", word)
    return (short if len(short) >= 2 else word)[:6]


def novel(sentence: str, asked: str) -> str | None:
    """The one part of a sentence that is new beside the question, or of several the one that it asks for; None where
    that is not plain."""
    known = {_stem(one) for one in _TOKEN.findall(asked)}
    content = {_stem(one) for one in _TOKEN.findall(asked) if one.casefold() not in _FUNCTION}
    if len(content) < LEAST or _OPEN.match(asked):
        return None
    tokens = list(_TOKEN.finditer(sentence))
    runs: list[list[re.Match[str]]] = []
    repeated: set[str] = set()
    pending: list[re.Match[str]] = []
    open_ = False
    for place, token in enumerate(tokens):
        word = token.group().casefold()
        between = sentence[tokens[place - 1].end() : token.start()] if place else ""
        if _BREAKS.search(between):
            open_, pending = False, []
        stem = _stem(word)
        if word in _FUNCTION:
            if open_ and word in _JOINS and len(pending) < 2:
                pending.append(token)
            else:
                open_, pending = False, []
            continue
        if stem in known:
            if stem in content:
                repeated.add(stem)
            open_, pending = False, []
            continue
        if open_ and (not pending or _joined(runs[-1][-1], pending, token)):
            runs[-1] += [*pending, token]
        else:
            runs.append([token])
        open_, pending = True, []
    least = 1 if _PRONOUN.search(sentence) else max(1, min(2, len(content) - 1))
    if not runs or len(repeated) < least:
        return None
    chosen = runs[0] if len(runs) == 1 else _asked_for(runs, sentence, asked)
    if chosen is None:
        return None
    start, end = chosen[0].start(), chosen[-1].end()
    if end - start <= 2 and (kind := _KIND.search(sentence, 0, start)) is not None:
        start = kind.start()  # `vitamin C`
    if (owner := _OWNER.search(sentence, 0, start)) is not None:
        start = owner.start()  # `her brother`
    if sentence[start].isupper():
        for token in reversed(tokens):
            if (
                token.end() == start - 1
                and sentence[start - 1] == " "
                and token.group()[0].isupper()
                and (token.group().casefold() not in _FUNCTION)
            ):
                start = token.start()  # `Lake Baikal`
    for token in tokens:
        if token.start() == end + 1 and sentence[end] == " " and token.group()[0].isupper():
            end = token.end()  # `Pacific Ocean`, where the question says `ocean`
    return sentence[start:end]


def _joined(left: re.Match[str], between: list[re.Match[str]], right: re.Match[str]) -> bool:
    """Whether two new words are one name: `Lord of the Rings`, `black and white`; not `Fleming in 1928`."""
    words = {one.group().casefold() for one in between}
    if words & {"in", "on", "at", "with", "for", "to"}:
        return left.group()[0].isupper() and right.group()[0].isupper() and not words & {"in", "on", "at", "with"}
    if words & {"and", "&"}:
        return left.group()[0].isupper() == right.group()[0].isupper()
    return True


def _asked_for(runs: list[list[re.Match[str]]], sentence: str, asked: str) -> list[re.Match[str]] | None:
    kind = next((name for pattern, name in _KINDS if pattern.search(asked)), None)
    fitting = [run for run in runs if _fits(run, sentence, kind)] if kind is not None else []
    return fitting[0] if len(fitting) == 1 else None


def _fits(run: list[re.Match[str]], sentence: str, kind: str | None) -> bool:
    text = sentence[run[0].start() : run[-1].end()]
    before = sentence[: run[0].start()].rstrip().rsplit(" ", 1)[-1].casefold()
    if kind == "when":
        return _YEAR.search(text) is not None or any(one.group().casefold() in _MONTHS for one in run)
    if kind == "count":
        return any(c.isdigit() for c in text)
    if kind == "who":
        return text[0].isupper() and not any(c.isdigit() for c in text) and before not in ("in", "at", "from", "of")
    return text[0].isupper() and before in ("in", "at", "near", "on", "to", "from", "is", "was")
