"""Which option an answer names, by label, text or value; none where it names two, or only what it rejects."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from agents.answers import numbers
from agents.answers.expressions import expression, looks_mathematical
from agents.answers.texts import EDGES, plain
from agents.answers.undress import undress

Choices = Mapping[str, str]

_BEFORE_NOT = re.compile(
    r"(?:\b(?:not|isn't|neither|nor|never|eliminate[sd]?|exclude[sd]?|rule[sd]? out|ruling out|reject(?:s|"
    r"ed)?|rather than|instead of|except|unlike|than"
    r"|nicht|pas|no es|不是|не)(?:\s(?:option|choice|answer|be|necessarily|the|simply|just|correct))*|"
    r"\bwrong\W{1,3}(?:is)?)\W{0,4}$",
    re.IGNORECASE,
)
_AFTER_NOT = re.compile(
    r"\W{0,4}(?:(?:is|are|was|would be|can be|seems|looks|cannot|can't|isn't)\s)?(?:also |clearly |"
    r"definitely |simply |therefore )?"
    r"(?:not (?:correct|right|true|the|a|it|accurate|applicable|possible|relevant|necessarily)|isn't|"
    r"is not|wrong|incorrect|false|cannot be|can be (?:ruled|eliminated)|ruled out|eliminated|"
    r"out of the question|be ruled out|be eliminated|be correct|be right|be true)\b",
    re.IGNORECASE,
)
_LINK = re.compile(
    r"\s*(?:,|/|&|\bor\b|\band\b|\band/or\b|\boder\b|\bund\b|\bou\b|\bet\b|\by\b|\bo\b|или|и|或|和|"
    r"、)\s*(?:option |choice )?[(\[]?",
    re.IGNORECASE,
)
_NO_WORD = re.compile(r"[^\w]+")
_HEDGE = re.compile(r"\b(?:either|both|neither|or|oder|ou|или)\b|[/&或]", re.IGNORECASE)
_NOUNS = (
    r"(?:the )?(?:correct |right |final |best )?(?:option|choice|letter|answer|alternative|opción|réponse|"
    r"antwort|вариант|选项|選項)s?(?: is| number)?[\s:：]*"
)


@dataclass(frozen=True)
class _Options:
    """What is looked for, made once for each set of options."""

    by_label: Mapping[str, str]
    by_text: Mapping[str, str]
    by_value: Mapping[str, str]
    leading: re.Pattern[str]
    mention: re.Pattern[str]


def choice_in(text: str, choices: Choices, *, last: bool = False) -> str | None:
    """The label of the option that a text names, as the question spells it; None where it names none or several.

    `last`: of several that are named one after the other the last one counts, as in a chain of thought.
    """
    if not choices:
        return None
    options = _prepared(tuple(choices.items()))
    bare = undress(text)
    if not bare:
        return None
    if (found := named_wholly(bare, options)) is not None:
        return found
    lead = options.leading.match(bare)
    if lead is not None and not _is_word(lead, bare):
        label = options.by_label[lead["label"].casefold()]
        rest = bare[lead.end() :]
        link = _LINK.match(rest)
        other = options.mention.match(rest, link.end()) if link else None
        hedged = other is not None and _label(other, options) not in (None, label) and not _is_word(other, rest)
        if hedged and not re.match(r"\s*,\s", rest):
            return None
        if not _AFTER_NOT.match(rest) and not hedged:
            return label
    return _mentioned(bare, options, last) if len(bare) <= 2_000 else None


def named_wholly(bare: str, options: _Options) -> str | None:
    """The option whose label, text or value a text is, and nothing else."""
    stripped = bare.strip(EDGES).casefold()
    if stripped in options.by_label:
        return options.by_label[stripped]
    if (found := options.by_text.get(plain(bare))) is not None:
        return found
    if options.by_value and (key := _value(bare)) is not None:
        return options.by_value.get(key)
    return None


def exactly(text: str, choices: Choices) -> str | None:
    """As `choice_in`, but the whole text must be a label (in brackets, behind `option`), an option's text or value."""
    options = _prepared(tuple(choices.items()))
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


def _mentioned(bare: str, options: _Options, last: bool) -> str | None:
    named = []
    rejected = set()
    for match in options.mention.finditer(bare):
        label = _label(match, options)
        if label is None or _is_word(match, bare):
            continue
        if _BEFORE_NOT.search(bare[max(0, match.start() - 40) : match.start()]) or _AFTER_NOT.match(bare, match.end()):
            rejected.add(label)
        else:
            named.append((match.start(), match.end(), label))
    distinct = list(dict.fromkeys(label for *_, label in named))
    if len(distinct) == 1:
        return distinct[0]
    if distinct:
        if not last:
            return None
        between = bare[named[-2][1] : named[-1][0]]
        return None if named[-2][2] != named[-1][2] and _HEDGE.search(between) and len(between) < 25 else named[-1][2]
    return None if rejected else _by_text(plain(bare), options)


def _by_text(words: str, options: _Options) -> str | None:
    """The one option whose text stands in a sentence; a text within another option's text does not count."""
    padded = f" {_spaced(words)} "
    found = []
    for text, label in options.by_text.items():
        inner = f" {_spaced(text)} "
        place = padded.find(inner) if inner.strip() else -1
        if place >= 0 and not _BEFORE_NOT.search(padded[:place].rstrip()):
            found.append((place, place + len(inner), label))
    widest = [
        one
        for one in found
        if not any(
            o[0] <= one[0] and one[1] <= o[1] and o[2] != one[2] and o[1] - o[0] > one[1] - one[0] for o in found
        )
    ]
    labels = {label for *_, label in widest}
    return labels.pop() if len(labels) == 1 else None


def _spaced(text: str) -> str:
    return _NO_WORD.sub(" ", text).strip()


def _label(match: re.Match[str], options: _Options) -> str | None:
    return options.by_label.get((match["a"] or match["b"] or match["c"] or "").casefold())


def _is_word(match: re.Match[str], text: str) -> bool:
    """The English words "a" and "I" in front of other words, not options A and I: "a red ball"."""
    if match.group().strip() not in ("a", "A", "I", "i"):
        return False
    after = text[match.end() : match.end() + 12]
    return (
        len(after) >= 2
        and after[0] == " "
        and after[1].isalpha()
        and not re.match(r" (?:is|because|since|as|and|or|but|seems|would|which)\b", after)
    )


def _value(text: str) -> str | None:
    value = numbers.whole(text)
    if value is not None:
        return numbers.written(value)
    return expression(text) if len(text) <= 100 and looks_mathematical(text) else None


@lru_cache(maxsize=2048)
def _prepared(items: tuple[tuple[str, str], ...]) -> _Options:
    by_label = {label.casefold(): label for label, _ in items}
    labels = sorted((re.escape(label) for label, _ in items), key=len, reverse=True)
    one = "|".join(labels)
    single = "|".join(
        re.escape(label) for label, _ in items if len(label) > 1 or not label.isalpha() or label.isupper()
    )
    lower = "|".join(re.escape(label.upper()) for label, _ in items if len(label) == 1 and label.islower())
    bare = "|".join(part for part in (single, lower) if part) or "(?!)"
    keys: dict[str, str] = {}
    values = [(_value(undress(text)), label) for label, text in items]
    for key, label in values:
        if key is not None and sum(key == other for other, _ in values) == 1:
            keys[key] = label
    return _Options(
        by_label=by_label,
        by_text={plain(undress(text)): label for label, text in reversed(items)},
        by_value=keys,
        leading=re.compile(
            rf"(?:{_NOUNS})?(?:[(\[{{<\"']{{1,2}}\s?)?(?P<label>{one})(?:\s?[)\]}}>\"']{{1,2}}|(?![\w'’-])|"
            rf"(?=\s-\s)|(?=[^\x00-\x7f]))",
            re.IGNORECASE,
        ),
        mention=re.compile(
            rf"[(\[](?P<a>{one}|{one.lower()})[)\]]|\b(?i:option|choice|letter|answer) (?P<b>{one}|"
            rf"{one.lower()})\b|(?<![\w'’(\[.-])(?P<c>{bare})(?![\w'’-])"
        ),
    )
