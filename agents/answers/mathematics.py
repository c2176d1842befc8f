"""Expressions, sets and lists within the words around them: `The roots are 1 and 4.`, `k + 1 (for k >= 1)`.

Words around mathematics are taken off only where they are known to say nothing: a named quantity before it, a
condition or a unit behind it. What is left must be readable wholly.
"""

from __future__ import annotations

import re

from agents.answers import statements
from agents.answers.brackets import enclosed
from agents.answers.expressions import expression, looks_mathematical, numbered
from agents.answers.numbers import whole, written
from agents.answers.undress import ANSWER_LIMIT, undress

MEMBER_WORDS = 8
"""Words of a member of a set or list that was not announced; more are a sentence."""

_NAMED = re.compile(
    r"(?:\b(?:is|equals|are|be)\b(?: (?:located )?at| given by| the point)?:?|:|\blautet\b|"
    r"\best\b|是|为|\b(?:expands|simplifies|evaluates|reduces|factors|factori[sz]es|is equal|comes out|works out)(?: "
    r"out)? "
    r"(?:to|into|as)\b)\s*(?P<value>[^\n]{1,400}?)[.。]?$"
)
_QUANTITY = re.compile(r"^\W{0,4}(?:the )?[A-Za-z]{3,20}(?: [A-Za-z]{2,20}){0,4}\s?=\s?(?=.)")
"""`Area = 4π`: the name of what is equal."""
_FORMULA = re.compile(r"(?:\$([^$]{1,400})\$|\\\((.{1,400}?)\\\))[\s.]*$")
_CONDITION = re.compile(
    r"\s*(?:[,;]\s*(?=for|where|with|if|when|as|since|because|which|and)|"
    r"\()?\s*\b(?:at(?=\s*\$?(?:\\\()?\s*[a-z]\s*=)|for|where|with|if|when|"
    r"whenever|as long as|since|"
    r"because|which)\b\s.{1,200}$",
    re.IGNORECASE,
)
_ASIDE = re.compile(r"\s+\([^()]{0,200}[^\W\d_]{3,}[^()]{0,200}\)[.\s]*$")
_UNIT = re.compile(
    r"(?:(?<=[\d})\]$])|(?<=[\d})\]$] )|(?<=\\pi)|(?<=\\pi )|(?<=π)|(?<=π ))(?:\\[,;: ]|~|\s)*"
    r"(?:\\(?:text|mathrm|textrm|mbox)\s?\{\s*(?!or\b|and\b)[A-Za-z][A-Za-z /.]{0,40}\}(?:\^\{?\d\}?|[²³])?|"
    r"\b(?:(?:square|cubic|sq\.?|cu\.?) )?(?:cm|mm|km|kg|inch(?:es)?|feet|foot|units?|met(?:er|re)s?|"
    r"centimet(?:er|re)s?|"
    r"degrees|radians|dollars|euros|seconds|minutes|hours|days|years|miles|yards)(?![A-Za-z])(?:\^\{?\d\}?|"
    r"[²³])?)(?: (?:long|wide|tall|high|deep|apart|away))?[\s.$]*$"
)
_SENTENCE = re.compile(r"(?<=[^\s.])\.\s+(?=[A-Z\"'(])|\n")
_HEDGES = re.compile(
    r"\b(?:or|either|neither|cannot|can't|not|unknown|maybe|perhaps|between|hope|none)\b", re.IGNORECASE
)
_MATHS_LEFT = re.compile(
    r"\\[a-zA-Z]|\d(?!(?:st|nd|rd|th)\b)[A-Za-z]|[\^=√π_{}<>≤≥]|(?<![^\W\d_])[a-zA-Z]\s?[-+*/]|"
    r"[-+*/]\s?[a-zA-Z](?![^\W\d_])"
)
_STATES = re.compile(
    r"=|\b(?:is|are|be|equals?|gets?|obtain|gives?|yields?|becomes?|answer|result|therefore|thus|hence|so|"
    r"have|simplifies|est|ist|es)\b|是|为",
    re.IGNORECASE,
)
_PLAN = re.compile(r"^\W{0,4}(?:let|suppose|assume|consider|if|when|given)\b|\b(?:need|have) to\b", re.IGNORECASE)
_NO_SOLUTION = re.compile(
    r"(?:there (?:is|are) )?no (?:real |such )?(?:solutions?|numbers?|values?|"
    r"elements?)",
    re.IGNORECASE,
)
_OR_ABOUT = re.compile(r",?\s(?:or|which is|i\.e\.,?)\s(?:about|approximately|roughly|around|\\approx|≈).{1,60}$")
_OR_EQUAL = re.compile(
    r",?\s(?:or|i\.e\.,?|that is,?|which is)\s(?P<other>\$?-?[\d.,]{1,20}\$?\s?\\?%?)(?:\$|\\\))?[\s.]*$"
)
"""`1/2, i.e. 0.5` and `1/2 or 50%`: one value twice, which takes a look at both."""
_ALL = re.compile(
    r"^\W{0,3}(?:for |the set of )?(?:all|every|any) (?:real )?(?:numbers? |values? )?(?:of )?\$?[a-z]\$?,?\s"
    r"(?:such that|with|where|for which|satisfying|so that|in(?= \$?[\[(]))\s",
    re.IGNORECASE,
)
"""`All x with x < 4`"""
_THERE_ARE = re.compile(
    r"(?:(?:so|thus|hence|therefore),? )?there (?:are|is|will be|would be) (?:a total of |exactly |in total "
    r")?\$(?P<value>[^$\n]{1,80})\$"
    r"(?: [\w-]+){1,8}\.?$",
    re.IGNORECASE,
)
_OBTAIN = re.compile(
    r"^\W{0,3}(?:(?:so|thus|hence|therefore|finally|then|and)\b,?\s)?(?:(?:we|this|that|it|which|you|one)\s(?:can\s|"
    r"finally\s|"
    r"then\s)?(?:obtain|get|have|find|give|yield|conclude|see|know|simplif(?:y|ie))s?(?: to)?(?: us)?(?: "
    r"that)?:?\s)(?=\S)",
    re.IGNORECASE,
)
_SO = re.compile(r"=.*[,;.]\s(?:so|thus|hence|therefore|giving)\b,?\s(?=\$?[a-z]\s?(?:=|∈|\\in))", re.IGNORECASE)
"""`(x + 1)(x - 5) = 0, so x = -1 or x = 5`"""
_TWO_STATED = re.compile(r"\b(?:is|are)\b.*\band\b.*\b(?:is|are)\b")
_FIRST = re.compile(r"(?:^|(?<=[\s:]))\(?1[.)]\s(?=\D)")
_SPEAKS = re.compile(
    r"^\W{0,4}(?:i|we|you|he|she|they|it|there|here|sorry|first|then|unfortunately|note|let|these|those)\b|"
    r"\b(?:can't|cannot|can not|maybe|perhaps|think|includes?|contains?|don't|do not|not sure|either|finally)\b",
    re.IGNORECASE,
)
"""Words of sentences about a set or list, which are no members."""
_BRACKETS = re.compile(r"(?P<group>\[[^\[\]\n]{1,500}\]|\\?\{[^{}\n]{1,500}\\?\})[\s.`*]*$")
_ITEM = re.compile(r"[ \t]{0,8}(?:[-*•–]|\(?\d{1,3}[.)])[ \t]+(?P<item>\S[^\n]*)")


def mathematics(text: str, kind: str) -> str | None:
    """The key of what stands behind a marker; None where no reading takes in all that counts of it."""
    text = _ALL.sub("", _OBTAIN.sub("", text[:ANSWER_LIMIT]))
    if kind != "expression" and enclosed(text.strip()):
        return expression(text, kind)
    if kind != "expression" and (first := _FIRST.search(text)) is not None:
        listed = numbered(text[first.start() :])
        if listed is not None:
            return expression("; ".join(listed), kind)
    if kind == "set" and _NO_SOLUTION.fullmatch(undress(text).strip(" .")):
        return "{}"
    text = _OR_ABOUT.sub("", text)
    text = text if kind == "expression" else _SO.split(text, maxsplit=1)[-1]
    if kind == "expression" and (twice := _OR_EQUAL.search(text)) is not None:
        once = mathematics(text[: twice.start()], kind) or ""
        value = whole(once) if once[-1:].isdigit() else None
        if value is not None and whole(undress(twice["other"])) == (100 * value if "%" in twice["other"] else value):
            text = text[: twice.start()]
    if kind == "expression" and (quantity := _QUANTITY.match(text)) is not None:
        *_, text = text[quantity.end() :].split("=")  # `Area = πr² = 4π`
    sentence = _SENTENCE.split(text.strip(), maxsplit=1)[0]
    for part in dict.fromkeys((text, sentence)):
        bare = _UNIT.sub("", part.strip())
        key = expression(bare, kind)
        if key is not None and not (kind != "expression" and _is_sentence(bare)):
            return key
        shorter = _CONDITION.sub("", _ASIDE.sub("", bare))
        if shorter != bare and (key := expression(_UNIT.sub("", shorter), kind)) is not None and not _words(shorter):
            return key
        if (found := _BRACKETS.search(bare)) is not None and kind != "expression":
            return expression(found["group"], kind)
        for one in dict.fromkeys((shorter, bare)):
            if (named := _named(one, kind)) is not None:
                return named
    if kind != "expression":
        return None
    bare = undress(sentence)
    if _TWO_STATED.search(bare):
        return None
    ends = _FORMULA.search(_CONDITION.sub("", sentence)) or _FORMULA.search(sentence)
    if ends is not None and _STATES.search(sentence) and not _HEDGES.search(bare) and not _PLAN.search(bare):
        return expression(ends.group(1) or ends.group(2))
    there = _THERE_ARE.match(sentence.strip())
    if there is not None:
        return expression(there["value"])  # `There are $10!$ arrangements`
    value = statements.stated(bare) if not _MATHS_LEFT.search(bare) else None
    return None if value is None else written(value)


def _named(bare: str, kind: str) -> str | None:
    """The value in `the slope is -2`: what stands behind the last word that names one."""
    found = _NAMED.search(bare)
    while found is not None:
        value = found["value"]
        later = _NAMED.search(value)
        if later is None:
            break
        if re.search(r"\band\b", value[: later.start()]):
            return None  # two things are named
        found = later
    if found is None or _HEDGES.search(bare[: found.start()]):
        return None
    value = _UNIT.sub("", found["value"].strip())
    key = expression(value, kind)
    if key is None and kind == "expression" and value.count("=") > 1:
        key = expression(value.rsplit("=", 1)[1].strip(" $"), kind)  # `the circumference is 2πr = 2π·5 = 10π`
    if key is None or (kind != "expression" and _is_sentence(value)):
        return None
    # A word alone is no value of a sentence that says more: "a function that cannot be simplified".
    return key if kind != "expression" or any(c.isdigit() or c in "\\^√π" for c in value) or len(value) < 4 else None


def _words(bare: str) -> bool:
    return re.search(r"(?<!\\)(?<![^\W\d_])[^\W\d_]{4,}", bare) is not None and not looks_mathematical(undress(bare))


def _is_sentence(bare: str) -> bool:
    """Whether a text for a set or list is a sentence about it: words that name or state, or members of many words."""
    undressed = undress(bare)
    if _SPEAKS.search(undressed) or re.search(r"\b(?:is|are|was|were|be|cannot|because)\b|[:：]\s", undressed):
        return True
    return any(len(part.split()) > MEMBER_WORDS for part in re.split(r"[,;、]|\band\b", undressed))


def items(text: str, start: int) -> str | None:
    """The items of the bulleted or numbered list that begins on the line at `start`, as `a; b`; None without one."""
    found: list[str] = []
    for line in text[start : start + 4 * ANSWER_LIMIT].split("\n"):
        match = _ITEM.fullmatch(line)
        if match is None:
            if found and line.strip():
                break
            if line.strip():
                return None
            continue
        found.append(match["item"].strip().rstrip(",;"))
    if len(found) == 1 and (listed := numbered(f"1. {found[0]}")) is not None:
        found = listed
    return "; ".join(found) if found else None


def concluded(text: str, kind: str) -> str | None:
    """What a reply without any marker gives: its fence, its list at the end, or its last line."""
    stripped = text.strip()
    if stripped.endswith("```") and stripped.count("```") == 2:
        inside = stripped.split("```")[1].partition("\n")[2].strip()
        return mathematics(inside, kind) if inside else None
    lines = stripped.split("\n")
    opening = _FIRST.search(lines[-1]) if kind != "expression" else None
    if opening is not None and (listed_inline := numbered(lines[-1][opening.start() :])) is not None:
        return expression("; ".join(listed_inline), kind)
    if kind != "expression" and _ITEM.fullmatch(lines[-1]):
        first = len(lines) - 1
        while first and (_ITEM.fullmatch(lines[first - 1]) or not lines[first - 1].strip()):
            first -= 1
        if len(lines) - first > 1 and (first == 0 or lines[first - 1].rstrip("*_ ").endswith(":")):
            listed = items("\n".join(lines[first:]), 0)
            return expression(listed, kind) if listed else None
        return None
    sentence = _SENTENCE.split(lines[-1])[-1]
    return mathematics(sentence, kind) if len(sentence) <= 400 and not _PLAN.search(sentence) else None
