"""Yes and no in the words of many languages, with what turns them round."""

from __future__ import annotations

import re

from agents.answers.undress import undress

YES = frozenset(
    [
        "yes",
        "true",
        "y",
        "correct",
        "right",
        "yeah",
        "yep",
        "sure",
        "affirmative",
        "plausible",
        "valid",
        "oui",
        "si",
        "sí",
        "sim",
        "ja",
        "da",
        "да",
        "vrai",
        "verdadero",
        "verdadeiro",
        "richtig",
        "wahr",
        "vero",
        "верно",
        "evet",
        "tak",
        "ano",
        "igen",
        "kyllä",
        "はい",
        "是",
        "是的",
        "对",
        "對",
        "正确",
        "예",
        "네",
        "نعم",
        "हाँ",
        "हां",
        "ναι",
        "כן",
        "có",
        "ใช่",
        "ya",
    ]
)
NO = frozenset(
    [
        "no",
        "false",
        "n",
        "incorrect",
        "wrong",
        "nope",
        "nah",
        "negative",
        "implausible",
        "invalid",
        "non",
        "nein",
        "nee",
        "não",
        "нет",
        "faux",
        "falso",
        "falsch",
        "nie",
        "ne",
        "ei",
        "hayır",
        "nem",
        "неверно",
        "いいえ",
        "否",
        "不",
        "不是",
        "不对",
        "错",
        "错误",
        "아니요",
        "아니오",
        "لا",
        "नहीं",
        "όχι",
        "לא",
        "không",
        "ไม่ใช่",
        "tidak",
    ]
)
_PAIRS = re.compile(
    r"\b(?:yes|true|correct|right) (?:or|and|/) (?:no|false|incorrect|wrong)\b|\byes\s?/\s?no\b|"
    r"\btrue\s?/\s?false\b|\bno (?:or|and) yes\b"
)
_NOT_NO = re.compile(
    r"\b(?:no|without(?: a)?) (?:doubt|question|problem|wonder|need|matter|longer|one|more)\b|\bwhether or not\b"
)
_NEGATED = re.compile(
    r"\b(?:not|isn't|is not|wasn't|aren't|never|cannot be|can't be|don't think (?:so|it is|that is)|"
    r"far from)(?: \w+){0,1} "
    r"(true|correct|right|plausible|valid|false|incorrect|wrong|implausible|invalid|yes|no)\b"
)
_WORD = re.compile(r"[^\W\d_]+", re.UNICODE)
_CJK_NO = ("不是", "不对", "不正确", "否", "错误", "いいえ")
_CJK_YES = ("是", "对", "正确", "はい")
_REFUSAL = re.compile(
    r"\b(?:cannot|can't|can not|could not|unable to|impossible to) (?:be )?(?:determine|determined|say|"
    r"tell|answer|answered|know|known|decide|decided)"
    r"|\b(?:unknown|unclear|undetermined|not sure|no (?:idea|clue|answer)|maybe|perhaps|possibly|it depends|uncertain|"
    r"not enough information)\b"
)


def yesno(text: str, last: bool = False) -> str | None:
    """ "yes" or "no"; None where the text says neither, or both. The first such word counts, or the `last`."""
    bare = undress(text).casefold()
    if bare.strip(" .!,;:\"'") in YES:
        return "yes"
    if bare.strip(" .!,;:\"'") in NO:
        return "no"
    if _REFUSAL.search(bare):
        return None
    bare = _NOT_NO.sub(" ", bare)
    bare = _PAIRS.sub(" ", bare)
    found = []
    for match in _NEGATED.finditer(bare):
        found.append((match.start(), "no" if match.group(1) in YES else "yes"))
    bare = _NEGATED.sub(lambda one: " " * len(one.group()), bare)
    for match in _WORD.finditer(bare):
        word = match.group()
        if word in YES or word in NO:
            if (
                word
                in (
                    "right",
                    "sure",
                    "negative",
                    "si",
                    "ne",
                    "da",
                    "ei",
                    "n",
                    "y",
                    "ya",
                    "nie",
                    "valid",
                    "plausible",
                    "non",
                    "ja",
                )
                and len(bare) > 40
            ):
                continue  # in a longer English text these are other words
            found.append((match.start(), "yes" if word in YES else "no"))
    if not found and not bare.isascii():
        found = [(bare.find(one), "no") for one in _CJK_NO if one in bare] or [
            (bare.find(one), "yes") for one in _CJK_YES if one in bare
        ]
    if not found:
        return None
    found.sort()
    return found[-1][1] if last else found[0][1]
