r"""Gold answers: a text must be an answer of its kind wholly, or it is refused with the reason.

`gold(text, kind, choices)` returns the key of comparison that every reply's key is compared with. It never picks a
part of a text: `3+2=5` is no number, `7 (see note)` is no number, `A or B` no choice. One form is understood beyond
that: GSM8K's worked solution, of which only what stands behind the last `####` is the answer.

- number: one number in any spelling of `numbers`, with currency, unit or percent sign; an exact value such as
  `\frac{1}{2}`, `2\sqrt{3}` or `x = 3`; several numbers separated by comma and space, `;` or "and".
- choice: a label of `choices`, in brackets or not, or one option's text or value.
- yesno: yes, no, true, false, correct, incorrect, y, n, and their words in other languages.
- expression, set, list: mathematics that can be read wholly; members of sets and lists may be words.
- text, open, code: any text that is not blank.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from agents.answers import numbers
from agents.answers.choices import exactly
from agents.answers.code import code_key
from agents.answers.expressions import expression
from agents.answers.texts import UNSURE_LIMIT, is_unsure, text_key
from agents.answers.undress import undress
from agents.answers.yesno import NO, YES
from agents.question import AnswerKind

_MATHS = re.compile(r"\\[a-zA-Z]|[√π^=,;…]|\b(?:sqrt|pi|and)\b|\.\.\.")
QUOTED = 80


class GoldError(ValueError):
    """A gold answer that is no answer of its kind: the message says why, without file or line."""


def gold(text: str, kind: AnswerKind, choices: Mapping[str, str] | None = None) -> str:
    """The canonical gold answer.

    Raises:
        GoldError: blank, or not wholly an answer of this kind.
    """
    if "####" in text and kind != "code":
        text = text.rsplit("####", 1)[1]
    if not text.strip():
        raise GoldError("the gold answer is blank")
    if kind == "choice":
        if not choices:
            raise GoldError("a choice needs options")
        found = exactly(text, choices)
        if found is None:
            listed = ", ".join(choices)[:200]
            raise GoldError(f"{_quoted(text)} is none of the options: their labels are {listed}")
        return found
    if kind == "text" and len(text) < UNSURE_LIMIT and is_unsure(text):
        raise GoldError(
            f"{_quoted(text)} is what a reply says that has no answer, and would never be right: give the questions "
            "options of which it is one, or a scorer"
        )
    found = _key(text, kind)
    if found is None:
        raise GoldError(f"{_quoted(text)} is not wholly {_FORMS[kind]}")
    return found


_FORMS: Mapping[AnswerKind, str] = {
    "number": "a number",
    "yesno": "yes or no",
    "expression": "an expression that can be read",
    "set": "a set that can be read",
    "list": "a list that can be read",
    "text": "a text",
    "open": "a text",
    "code": "code",
}


def _key(text: str, kind: AnswerKind) -> str | None:
    if kind == "number":
        bare = undress(text)
        value = numbers.whole(bare)
        if value is not None:
            return numbers.written(value)
        return expression(text, kind) if _MATHS.search(bare) and not _sums(bare) else None
    if kind == "yesno":
        word = undress(text).strip(" .!,;:\"'").casefold()
        return "yes" if word in YES else "no" if word in NO else None
    if kind in ("expression", "set", "list"):
        return expression(text, kind)
    return code_key(text) if kind == "code" else text_key(text, kind != "text")


def _sums(bare: str) -> bool:
    """A chain of calculation such as `3+2=5`: what of it is the answer nobody can tell."""
    left, equals, _ = bare.partition("=")
    return bool(equals) and any(c.isdigit() for c in left)


def _quoted(text: str) -> str:
    text = " ".join(text.split())
    return repr(text if len(text) <= QUOTED else text[: QUOTED - 3] + "...")
