"""Options by label and by words, with the patterns that find their labels; made once for each set of options."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from agents.answers.texts import plain
from agents.answers.undress import undress

Choices = Mapping[str, str]

_OF_I = re.compile(r" (?:is|because|since|as|and|or|but|seems|would|which)\b")
_OF_A = re.compile(
    r" (?:is|because|since|as|and|or|but|seems|would|which|makes|fits|works|matches|appears|looks|must|has|can|was)\b"
)
"""What follows a label and not the word."""

_FORMULA = re.compile(r"\s?(?:[=≈^]|\\approx)(?!>)\s?[\w\\({-]")
_NOUNS = (
    r"(?:the )?(?:correct |right |final |best )?(?:option|choice|letter|answer|ans\.?|alternative|opción|réponse|"
    r"antwort|вариант|选项|選項)s?(?: is| number)?[\s:：]*"
)


@dataclass(frozen=True)
class AnswerOptions:
    """What is looked for, made once for each set of options."""

    by_label: Mapping[str, str]
    by_text: Mapping[str, str]
    texts: tuple[tuple[str, str], ...]
    leading: re.Pattern[str]
    mention: re.Pattern[str]


def label_of(match: re.Match[str], options: AnswerOptions) -> str | None:
    """The label, as the question spells it, of a match of `mention`."""
    return options.by_label.get((match["a"] or match["b"] or match["c"] or "").casefold())


def is_word(match: re.Match[str], text: str) -> bool:
    """The English words "a" and "I" in front of other words, not options A and I, "a red ball"; a letter of a
    formula, `a = 4.9`."""
    if _FORMULA.match(text, match.end()) and len(match.group().strip()) == 1:
        return True
    if match.group().strip() not in ("a", "A", "I", "i"):
        return False
    after = text[match.end() : match.end() + 12]
    predicate = _OF_A if match.group().strip() in "aA" else _OF_I
    return len(after) >= 2 and after[0] == " " and after[1].isalpha() and predicate.match(after) is None


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
def prepared(items: tuple[tuple[str, str], ...]) -> AnswerOptions:
    """The options of a question, (label, text) each."""
    by_label = {label.casefold(): label for label, _ in items}
    leading, mention = _patterns(tuple(label for label, _ in items))
    return AnswerOptions(
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
        rf"(?=\s-\s)|(?=\([^\x00-\x7f])|(?=[^\x00-\x7f\u00c0-\u024f’]))",
        re.IGNORECASE,
    )
    mention = re.compile(
        rf"[(\[](?P<a>{one}|{one.lower()})[)\]]|"
        rf"\b(?i:option|choice|letter|answer) (?P<b>{one}|{one.lower()})\b(?!['’]\w)|"
        rf"(?<![{word}'’(\[.-])(?P<c>{bare})(?![{word}’(-]|'\w)"
    )
    return leading, mention
