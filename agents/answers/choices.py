"""Which option an answer names, by label, text or value; none where it names two, or only what it rejects."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction
from functools import lru_cache

from agents.answers import numbers, statements
from agents.answers.expressions import expression, looks_mathematical
from agents.answers.labels import AnswerOptions, Choices, is_word, label_of, prepared
from agents.answers.mentions import AFTER_NOT, BEFORE_NOT, LINK, REJECTED, RIGHT, mentioned, past_text, verdicts
from agents.answers.texts import EDGES, plain
from agents.answers.undress import undress

_UNDECIDED = re.compile(
    r"\b(?:not|n't|cannot|can not) (?:be )?(?:certain|sure|tell|say|decide)|\bit depends\b|\b(?:isn't|is not|not|"
    r"none) (?:among|one of|of|in|"
    r"listed)\b.{0,20}\b(?:options|choices)|\bnone of (?:these|those|them|the above)\b",
    re.IGNORECASE,
)
_ASKS = re.compile(
    r"\W{0,4}(?:could|can|would|should|will|do|does|did|is|are|was|were|what|which|why|how|who|have|has)\b",
    re.IGNORECASE,
)
_SHARE = re.compile(r"(?:\s?[:=–-]\s?|\s)?\(?\s?~?\d{1,3}(?:\.\d{1,3})?\s?%\s?\)?")
"""`A (60%), B (40%)`: how sure a reply is of each option."""
_BUT = re.compile(
    r"\s(?:is|seems|looks|sounds)\s(?:(?:a|an|quite|also|very|rather)\s)?(?:good|plausible|reasonable|tempting|"
    r"possible|close|"
    r"attractive)\b.{0,80}\b(?:however|but|although|though)\b",
    re.IGNORECASE,
)
_LISTED = re.compile(r"(?<=[.;!?])\s+(?=\(?[A-Za-z0-9]{1,3}\s?[:)?])")
"""Options that a text goes through on one line: `A: passive. B: active.`"""
_ABOUT = re.compile(
    r"\s(?:is|was|has|have|can|does|refers to|means|describes)\s(?!(?:the |clearly |also |definitely |indeed "
    r")?(?:right|correct|best|answer|"
    r"true|most|only|better|my)\b)",
    re.IGNORECASE,
)
"""`A is a tree. B is a bird`: what an option is, not that it is right."""
_LEAVES = re.compile(r"\b(?:leav(?:es|ing)|left with|that leaves|remains?) (?:us |only |with |the |just ){0,3}\Z")
_NOT_LAST = re.compile(r",?\s(?:\(|and |but )?(?:not|rather than|instead of)\s[^,.;]{1,80}[.)]{0,2}$", re.IGNORECASE)
_COLON = re.compile(r"[:：]\s{0,3}\(?(?P<label>[^\s().!]{1,12})\)?[.!]?$")
"""`..., the question asks for the capital: B.`"""
_CONDITION = re.compile(
    r"(?:if|since|because|as|when|given that|although|while|though|after)\b[^,]{1,120},\s(?=[^,]*$)", re.IGNORECASE
)
_NOT = re.compile(r"(?<=[a-z])n['’]t\b")
_BOTH = re.compile(r"\b(?:and|or)\b.{0,40}\bboth\b|\bboth\b.{0,60}\band\b")
_WHEREAS = re.compile(
    r",?\s(?:whereas|while|unlike|but|and)\s[^.;]{1,120}\b(?:(?:is|are|was|were|do|does|did|has|have|can)(?:\snot|n['’]t)|cannot)\b"
    r"[^.;]{0,60}[.]?$",
    re.IGNORECASE,
)
"""`..., whereas carbon and oxygen are not`"""
_NAME = re.compile(r"[A-Z]\w+\.?(?: [A-Z]\.)?(?: [A-Z]\w{3,}){1,2}")
_NOT_BEFORE = re.compile(
    r"\b(?:wrong|incorrect|eliminated?|ruled? out|not|false|except|possible|options?|choices?|candidates?|either|or|if|"
    r"step|confidence|type|class|group|vitamin|grade)\b[^.]{0,30}$",
    re.IGNORECASE,
)
_NO_WORD = re.compile(r"[^\w]+")


def choice_in(text: str, choices: Choices, *, last: bool = False) -> str | None:
    """The label of the option that a text names, as the question spells it; None where it names none or several.

    `last`: of several that are named one after the other the last one counts, as in a chain of thought; words of an
    option within a sentence do not count there.
    """
    if not choices:
        return None
    options = prepared(tuple(choices.items()))
    bare = undress(text)
    if "N/A" in bare and "N" not in choices:
        bare = bare.replace("N/A", " ")  # not available, not option A
    if not bare or _is_question(bare):
        return None
    if (found := named_wholly(bare, options)) is not None:
        return found
    if (
        (ends := _COLON.search(bare)) is not None
        and ends["label"].casefold() in options.by_label
        and bare.count(" ", 0, ends.start()) >= 2
        and _NOT_BEFORE.search(bare, 0, ends.start()) is None
    ):
        return options.by_label[ends["label"].casefold()]
    if "\n" in text:
        found_right = verdicts(text, options)
        if found_right is not None:
            return found_right[0] if len(found_right) == 1 else None
        rest = _without_listing(text, choices, options)
        if rest is not None:
            return choice_in(rest, choices, last=last) if rest else None
    elif len(parts := _LISTED.split(bare)) > 3:
        leading = "\n".join(part for part in parts if options.leading.match(part))
        found_right = verdicts(leading, options)
        if found_right is not None:
            return found_right[0] if len(found_right) == 1 else None
        rest = _without_listing("\n".join(parts), choices, options)
        if rest is not None:
            return choice_in(rest, choices, last=last) if rest else None
    if "%" in bare and not any("%" in one for one in choices.values()):
        bare = _SHARE.sub("", bare)
    lead = options.leading.match(bare)
    asks = lead is not None and bare[lead.end() :].lstrip(" *").startswith(("?", "？")) and len(bare) > lead.end() + 3
    if lead is not None and not asks and not is_word(lead, bare):
        label = options.by_label[lead["label"].casefold()]
        rest = bare[lead.end() :]
        link = LINK.match(rest)
        other = options.leading.match(rest, link.end()) if link else None
        hedged = other is not None and options.by_label[other["label"].casefold()] != label and not is_word(other, rest)
        if hedged:
            return mentioned(bare, options, last)[0] if len(bare) <= 2_000 else None
        if _BUT.match(rest):
            return None
        if _ABOUT.match(rest) and len({label_of(one, options) for one in options.mention.finditer(bare)} - {None}) > 1:
            return _named_within(bare, options, last) if len(bare) <= 2_000 else None
        behind = past_text(bare, lead.end(), choices[label])
        if AFTER_NOT.match(bare, behind) and behind > lead.end():
            return _named_within(bare, options, last) if len(bare) <= 2_000 else None
        if not AFTER_NOT.match(rest) or plain(rest).startswith(plain(choices[label])):
            return label
    return _named_within(bare, options, last) if len(bare) <= 2_000 else None


def _without_listing(text: str, choices: Choices, options: AnswerOptions) -> str | None:
    """A text without the lines by which it goes through the options; None where it does not, or answers before."""
    lines = [line for line in text[:2_000].split("\n") if line.strip()]
    leads = [options.leading.match(undress(line).strip("-•* ")) for line in lines]
    listed = {lead["label"].casefold() for lead in leads if lead is not None}
    first = exactly(lines[0], choices) if len(listed) > 1 and leads[0] is not None else None
    if first is not None and any(exactly(line, choices) not in (None, first) for line in lines[1:]):
        return ""  # one label per line, and nothing decides
    if len(listed) < 2 or leads[0] is None or first is not None:
        return None
    return "\n".join(line for line, lead in zip(lines, leads, strict=True) if lead is None)


def _is_question(bare: str) -> bool:
    return bare.rstrip(" *").endswith(("?", "？")) and _ASKS.match(bare) is not None


def undecided(text: str) -> bool:
    """Whether a text says that it does not decide, or that no option fits."""
    return _UNDECIDED.search(text) is not None


def named_wholly(bare: str, options: AnswerOptions) -> str | None:
    """The option whose label, text or value a text is, and nothing else."""
    stripped = bare.strip(EDGES).casefold()
    if stripped in options.by_label:
        return options.by_label[stripped]
    if (found := options.by_text.get(plain(bare))) is not None:
        return found
    if not any(c.isdigit() for c in bare) and not bare.startswith("\\"):
        return None
    key = _value(bare)
    if key is None:
        return None
    values = _by_value(options.texts)
    if key.endswith("%") and key[:-1].isdigit() and not any("%" in text for _, text in options.texts):
        share = values.get(numbers.written(Fraction(int(key[:-1]), 100)))
        if share is not None:
            return share  # `50%` among halves and thirds
    return values.get(key) or values.get(key.removesuffix("%") if key.endswith("%") else key + "%")


def exactly(text: str, choices: Choices) -> str | None:
    """As `choice_in`, but the whole text must be a label (in brackets, behind `option`), an option's text or value."""
    options = prepared(tuple(choices.items()))
    bare = undress(text)
    found = named_wholly(bare, options)
    if found is not None:
        return found
    lead = options.leading.match(bare)
    if lead is None:
        return None
    label = options.by_label[lead["label"].casefold()]
    rest = bare[lead.end() :].strip(EDGES)
    return label if not rest or plain(rest) == plain(choices[label]) else None


def _named_within(bare: str, options: AnswerOptions, last: bool) -> str | None:
    label, any_ = mentioned(bare, options, last)
    if any_ == REJECTED and not last:
        found = _by_text(plain(bare), options)  # `It is Paris, not London (B).`
        return found if found is not None and _NOT_LAST.search(bare) else None
    if any_ or last:
        return label
    found = _by_text(plain(_WHEREAS.sub("", bare)), options)
    if found is None and any(c.isdigit() for c in bare) and (value := statements.stated(bare)) is not None:
        return _by_value(options.texts).get(numbers.written(value))
    return found


def _by_text(words: str, options: AnswerOptions) -> str | None:
    """The one option whose text stands in a sentence; a text within another option's text does not count."""
    padded = f" {_spaced(_NOT.sub(' not', words))} "
    found: list[tuple[int, int, str]] = []
    rejected: list[int] = []
    for text, label in options.by_text.items():
        inner = f" {_spaced(text)} "
        place = padded.find(inner) if inner.strip() else -1
        if place >= 0 and _is_other_number(text, words):
            continue
        if place < 0:
            continue
        if BEFORE_NOT.search(padded[:place].rstrip()) or AFTER_NOT.match(padded, place + len(inner) - 1):
            rejected.append(place + len(inner) - 1)
        else:
            found.append((place, place + len(inner), label))
    # "not Paris or London" rejects both
    found = [one for one in found if not any(padded[end : one[0]].strip() in ("or", "nor") for end in rejected)]
    widest = [
        one
        for one in found
        if not any(
            o[0] <= one[0] and one[1] <= o[1] and o[2] != one[2] and o[1] - o[0] > one[1] - one[0] for o in found
        )
    ]
    labels = {label for *_, label in widest}
    if len(labels) == 1 and _BOTH.search(words) and not any(_BOTH.search(text.casefold()) for _, text in options.texts):
        return None  # `Photosynthesis and respiration are both involved`
    if not labels:
        return _by_last_name(padded, options)
    if len(labels) > 1 and (clause := _CONDITION.match(words)) is not None:
        return _by_text(words[clause.end() :], options)  # `If yesterday was Wednesday, today is Thursday`
    if len(labels) > 1:
        right = {
            label
            for start, end, label in widest
            if RIGHT.match(padded, end - 1) or _LEAVES.search(padded, max(0, start - 40), start + 1)
        }
        return right.pop() if len(right) == 1 else None  # `red and blue are too dark, so green is the only option`
    return labels.pop() if len(labels) == 1 else None


def _by_last_name(padded: str, options: AnswerOptions) -> str | None:
    """The one option of which a sentence has the last name: `It must be Pasteur.`"""
    names = {text.split()[-1]: label for label, text in options.texts if _NAME.fullmatch(text)}
    found = set()
    for name, label in names.items():
        place = padded.find(f" {name.casefold()} ")
        if place < 0 or sum(name in text.split() for _, text in options.texts) > 1:
            continue
        if not BEFORE_NOT.search(padded[:place].rstrip()) and not AFTER_NOT.match(padded, place + len(name) + 1):
            found.add(label)
    return found.pop() if len(found) == 1 else None


def _is_other_number(text: str, words: str) -> bool:
    """A number that stood in a sentence, which states another one or none."""
    value = numbers.whole(text)
    if value is None:
        return False
    return statements.in_sentence(words) != value


def _spaced(text: str) -> str:
    return _NO_WORD.sub(" ", text).strip()


def _value(text: str) -> str | None:
    value = numbers.whole(text)
    if value is not None:
        return numbers.written(value) + ("%" if "%" in text or "percent" in text.lower() else "")
    return expression(text) if len(text) <= 100 and looks_mathematical(text) else None


def of_value(key: str, choices: Choices) -> str | None:
    """The one option whose value has this key."""
    return _by_value(prepared(tuple(choices.items())).texts).get(key) if choices else None


def have_values(choices: Choices) -> bool:
    """Whether any option is a number or an expression."""
    return bool(choices) and bool(_by_value(prepared(tuple(choices.items())).texts))


@lru_cache(maxsize=2048)
def _by_value(items: tuple[tuple[str, str], ...]) -> Mapping[str, str]:
    """The options by the keys of their values; a value that two options have names none."""
    values = [(_value(undress(text)), label) for label, text in items]
    return {key: label for key, label in values if key is not None and sum(key == other for other, _ in values) == 1}
