"""Which option an answer names, by label, text or value; none where it names two, or only what it rejects."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from agents.answers import numbers, statements
from agents.answers.expressions import expression, looks_mathematical
from agents.answers.texts import EDGES, plain
from agents.answers.undress import undress

Choices = Mapping[str, str]

_BEFORE_NOT = re.compile(
    r"(?:\b(?:not|isn't|neither|nor|never|eliminate[sd]?|exclude[sd]?|rule[sd]? out|ruling out|reject(?:s|"
    r"ed)?|rather than|instead of|unlike|than"
    r"|(?:every|any|all|each)\w*(?: \w+){0,2} (?:except|but)(?: for)?"
    r"|nicht|pas|no es|不是|не)(?:\s(?:option|choice|answer|be|necessarily|the|simply|just|correct))*|"
    r"\bwrong[ :]{1,3}(?:is\b)?)\W{0,4}$",
    re.IGNORECASE,
)
_AFTER_NOT = re.compile(
    r"[\s)\]*\"'.]{0,4}(?:"
    r"(?:is|are|was|would be|can be|should be|seems|looks)\s(?:also |clearly |definitely |simply |therefore )?"
    r"(?:not\b|wrong|incorrect|false|ruled out|eliminated|out of the question)|"
    r"not (?:correct|right|true|accurate|applicable|possible|relevant|necessarily)|"
    r"isn't|aren't|wasn't|cannot be|can't be|can not be|be (?:ruled out|eliminated)|"
    r"(?:is|was) (?:a|the) (?:common |popular |tempting |classic )?(?:misconception|mistake|distractor|trap|"
    r"myth|error))\b",
    re.IGNORECASE,
)
_ALL_NOT = re.compile(
    r"[\s)\]*\"'.]{0,4}(?:(?:are|were) (?:both |all |also |clearly )?"
    r"(?:not\b|wrong|incorrect|false|ruled out|eliminated)|aren't|weren't|can(?:not| not|'t) (?:both )?be)\b",
    re.IGNORECASE,
)
"""Rejects all that were named together."""
_RIGHT = re.compile(
    r"[\s)\]*\"'.]{0,4}(?:is|was|must be|has to be)(?: clearly| therefore| thus| indeed)? (?:the )?"
    r"(?:only |best |most )?(?:right|correct|answer|accurate|true|appropriate)\b",
    re.IGNORECASE,
)
_TURNED_DOWN = re.compile(
    r"\b(?:eliminate[sd]?|exclude[sd]?|rul(?:e[sd]?|ing) out|reject(?:s|ed)?|neither|nor|not either)\b", re.IGNORECASE
)
_UNDECIDED = re.compile(
    r"\b(?:not|n't|cannot|can not) (?:be )?(?:certain|sure|tell|say|decide)|\b(?:isn't|is not|not|"
    r"none) (?:among|one of|of|in|"
    r"listed)\b.{0,20}\b(?:options|choices)|\bnone of (?:these|those|them|the above)\b",
    re.IGNORECASE,
)
_ASKS = re.compile(
    r"\W{0,4}(?:could|can|would|should|will|do|does|did|is|are|was|were|what|which|why|how|who|have|has)\b",
    re.IGNORECASE,
)
_VERDICT = re.compile(
    r"\W{0,6}[:：—–-]{0,2}\W{0,4}(?P<verdict>yes|true|correct|right|no|false|incorrect|wrong|not correct|"
    r"not true)?"
    r"(?:\W{0,6}|\W{0,3}(?:[–—,.;:(]|\s-)(?P<reason>.{1,300}))",
    re.IGNORECASE,
)
_LINK = re.compile(
    r"\s*(?:,|/|&|\bor\b|\band\b|\band/or\b|\boder\b|\bund\b|\bou\b|\bet\b|\by\b|\bo\b|или|и|或|和|"
    r"、)\s*(?:maybe |perhaps |possibly |even |also )?(?:option |choice )?|\s*\((?:or|and)\s+",
    re.IGNORECASE,
)
_TOGETHER = re.compile(
    r"\W*(?:(?:and|or|and/or|oder|und|ou|et|y|o|или|и|或|和|either|option|choice)\W*){0,3}", re.IGNORECASE
)
_NO_WORD = re.compile(r"[^\w]+")
_NOUNS = (
    r"(?:the )?(?:correct |right |final |best )?(?:option|choice|letter|answer|alternative|opción|réponse|"
    r"antwort|вариант|选项|選項)s?(?: is| number)?[\s:：]*"
)


@dataclass(frozen=True)
class _Options:
    """What is looked for, made once for each set of options."""

    by_label: Mapping[str, str]
    by_text: Mapping[str, str]
    texts: tuple[tuple[str, str], ...]
    leading: re.Pattern[str]
    mention: re.Pattern[str]


def choice_in(text: str, choices: Choices, *, last: bool = False) -> str | None:
    """The label of the option that a text names, as the question spells it; None where it names none or several.

    `last`: of several that are named one after the other the last one counts, as in a chain of thought; words of an
    option within a sentence do not count there.
    """
    if not choices:
        return None
    options = _prepared(tuple(choices.items()))
    bare = undress(text)
    if "N/A" in bare and "N" not in choices:
        bare = bare.replace("N/A", " ")  # not available, not option A
    if not bare or _is_question(bare):
        return None
    if (found := named_wholly(bare, options)) is not None:
        return found
    verdicts = _verdicts(text, options) if "\n" in text else None
    if verdicts is not None:
        return verdicts[0] if len(verdicts) == 1 else None
    lead = options.leading.match(bare)
    asks = lead is not None and bare[lead.end() :].lstrip(" *").startswith(("?", "？")) and len(bare) > lead.end() + 3
    if lead is not None and not asks and not _is_word(lead, bare):
        label = options.by_label[lead["label"].casefold()]
        rest = bare[lead.end() :]
        link = _LINK.match(rest)
        other = options.mention.match(rest, link.end()) if link else None
        hedged = other is not None and _label(other, options) not in (None, label) and not _is_word(other, rest)
        if (
            hedged
            and other is not None
            and (not _AFTER_NOT.match(rest, other.end()) or _ALL_NOT.match(rest, other.end()))
        ):
            return None
        if not _AFTER_NOT.match(rest) or plain(rest).startswith(plain(choices[label])):
            return label
    return _mentioned(bare, options, last) if len(bare) <= 2_000 else None


def _is_question(bare: str) -> bool:
    return bare.rstrip(" *").endswith(("?", "？")) and _ASKS.match(bare) is not None


def undecided(text: str) -> bool:
    """Whether a text says that it does not decide, or that no option fits."""
    return _UNDECIDED.search(text) is not None


def named_wholly(bare: str, options: _Options) -> str | None:
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
    return values.get(key) or values.get(key.removesuffix("%") if key.endswith("%") else key + "%")


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
    named: list[tuple[int, int, str]] = []
    rejected: set[str] = set()
    before: tuple[int, bool, bool] | None = None
    for match in options.mention.finditer(bare):
        label = _label(match, options)
        if label is None or _is_word(match, bare):
            continue
        start, end = match.span()
        together = (
            before is not None and start - before[0] < 25 and _LINK.fullmatch(bare[before[0] : start]) is not None
        )
        lead = bare[max(0, start - 40) : start]
        link = bare[before[0] : start] if before is not None else ""
        out = together and before is not None and before[1] and (any(c.isalpha() for c in link) or before[2])
        if (turned := _BEFORE_NOT.search(lead)) is not None:
            out = True
        if together and _ALL_NOT.match(bare, end) and named:
            rejected.add(named.pop()[2])
        asked = bare[end : end + 2].strip(" *").startswith(("?", "？")) and len(bare) > end + 3
        if turned is not None or out or asked or _AFTER_NOT.match(bare, end):
            rejected.add(label)
        else:
            named.append((start, end, label))
        # "not A or B" rejects both, "not A, B" only A; "I eliminate A, B" both.
        before = (end, out, turned is not None and _TURNED_DOWN.search(turned.group()) is not None)
    distinct = list(dict.fromkeys(label for *_, label in named))
    right = list(dict.fromkeys(label for _, end, label in named if _RIGHT.match(bare, end)))
    if len(distinct) > 1 and len(right) == 1 and not last:
        return right[0]
    if len(distinct) == 1:
        return distinct[0]
    if distinct:
        if not last:
            return None
        between = bare[named[-2][1] : named[-1][0]]
        differ = named[-2][2] != named[-1][2]
        return None if differ and len(between) < 25 and _TOGETHER.fullmatch(between) else named[-1][2]
    return None if rejected or last else _by_text(plain(bare), options)


def _verdicts(text: str, options: _Options) -> list[str] | None:
    """The labels that a table of verdicts calls right, such as `A: no`, `B: yes`; None where a text is none."""
    right, lines = [], 0
    for line in text[:2_000].split("\n"):
        bare = undress(line).strip("-•* ")
        lead = options.leading.match(bare) if bare else None
        if lead is None:
            if bare:
                return None
            continue
        rest = bare[lead.end() :] + (line[-2:] if not line[-2:].isascii() else "")
        label = options.by_label[lead["label"].casefold()]
        found = _VERDICT.fullmatch(rest.replace(dict(options.texts)[label], " ", 1))
        marks = any(sign in rest for sign in "✓✔✅☑"), any(sign in rest for sign in "✗✘❌✖")
        if found is None or (found["verdict"] is None and (not any(marks) or found["reason"])):
            return None
        lines += 1
        if marks[0] or (found["verdict"] or "").lower() in ("yes", "true", "correct", "right"):
            right.append(label)
    return right if lines > 1 else None


def _by_text(words: str, options: _Options) -> str | None:
    """The one option whose text stands in a sentence; a text within another option's text does not count."""
    padded = f" {_spaced(words)} "
    found = []
    for text, label in options.by_text.items():
        inner = f" {_spaced(text)} "
        place = padded.find(inner) if inner.strip() else -1
        if place >= 0 and _is_other_number(text, words):
            continue
        if place >= 0 and not (
            _BEFORE_NOT.search(padded[:place].rstrip()) or _AFTER_NOT.match(padded, place + len(inner) - 1)
        ):
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


def _is_other_number(text: str, words: str) -> bool:
    """A number that stood in a sentence, which states another one or none."""
    value = numbers.whole(text)
    if value is None:
        return False
    return statements.in_sentence(words) != value


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
        return numbers.written(value) + ("%" if "%" in text or "percent" in text.lower() else "")
    return expression(text) if len(text) <= 100 and looks_mathematical(text) else None


@lru_cache(maxsize=2048)
def _by_value(items: tuple[tuple[str, str], ...]) -> Mapping[str, str]:
    """The options by the keys of their values; a value that two options have names none."""
    values = [(_value(undress(text)), label) for label, text in items]
    return {key: label for key, label in values if key is not None and sum(key == other for other, _ in values) == 1}


def _by_words(items: tuple[tuple[str, str], ...]) -> Mapping[str, str]:
    """The options by their words, the first of equal texts; `$12` and `12%` have the same words, which name neither."""
    found: dict[str, tuple[str, str]] = {}
    different = set()
    for label, text in items:
        words = plain(undress(text))
        folded = " ".join(text.casefold().split())
        if words in found and found[words][1] != folded:
            different.add(words)
        found.setdefault(words, (label, folded))
    return {words: label for words, (label, _) in found.items() if words not in different}


@lru_cache(maxsize=2048)
def _prepared(items: tuple[tuple[str, str], ...]) -> _Options:
    by_label = {label.casefold(): label for label, _ in items}
    leading, mention = _patterns(tuple(label for label, _ in items))
    return _Options(
        by_label=by_label,
        by_text=_by_words(items),
        texts=items,
        leading=leading,
        mention=mention,
    )


@lru_cache(maxsize=512)
def _patterns(labels: tuple[str, ...]) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """(a label at the beginning of an answer, a label anywhere): the same for all questions with these labels."""
    one = "|".join(sorted((re.escape(label) for label in labels), key=len, reverse=True))
    single = [
        label for label in labels if len(label) > 1 or not label.isalpha() or label.isupper() or not label.isascii()
    ]
    lower = [label.upper() for label in labels if len(label) == 1 and label.islower()]
    bare = "|".join(f"(?i:{re.escape(label)})" if len(label) > 2 else re.escape(label) for label in (*single, *lower))
    bare = bare or "(?!)"
    # Scripts without spaces set a label right at their words: `选择B。`
    word = r"A-Za-z0-9_\u00c0-\u058f"
    leading = re.compile(
        rf"(?:{_NOUNS})?(?:[(\[{{<\"']{{1,2}}\s?)?(?P<label>{one})(?:\s?[)\]}}>]{{1,2}}|[\"']{{1,2}}(?!\w)|"
        rf"(?![\w'’(-])|"
        rf"(?=\s-\s)|(?=[^\x00-\x7f\u00c0-\u024f’]))",
        re.IGNORECASE,
    )
    mention = re.compile(
        rf"[(\[](?P<a>{one}|{one.lower()})[)\]]|"
        rf"\b(?i:option|choice|letter|answer) (?P<b>{one}|{one.lower()})\b(?!['’]\w)|"
        rf"(?<![{word}'’(\[.-])(?P<c>{bare})(?![{word}’(-]|'\w)"
    )
    return leading, mention
