"""Gold answers from cells: what the cell says, and whether it is an answer of the kind."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from agents.answers import canonical
from agents.question import AnswerKind
from orchestrator.evaluation.tasks.cells import CellError, kind_in_words, scalar

_NUMBER = re.compile(
    r"[-+−]?\s?[$€£]?\s?(?:\d{1,3}(?:,\d{3})+|\d+)?(?:\.\d+)?(?:[eE][-+]?\d{1,3})?(?:\s?/\s?\d+)?\s?%?\.?"
)
_MATHS = re.compile(r"\\[a-zA-Z]+|[\^{}=√π]|\d\s*[*+/]\s*\d|^[-+\d.,()\[\]\s]*$")
_BOXED = re.compile(r"\\boxed\s*\{")
MARK = "####"
LONG = 200


def values(value: Any, key: str) -> list[str]:
    """The answers that a cell accepts, most often one. Raises CellError for what holds none."""
    if isinstance(value, Mapping):
        return values(_inside(value, key), key)
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        found = [told for place, one in enumerate(value) if (told := scalar(one, f"{key}[{place}]")) is not None]
        if not found:
            raise CellError(key, "no answer in it")
        return list(dict.fromkeys(found))
    told = scalar(value, key)
    if told is None:
        raise CellError(key, "no gold answer: the cell is empty")
    return [told.strip()]


def _inside(value: Mapping[str, Any], key: str) -> Any:
    """TriviaQA's {"value", "aliases"}, SQuAD's {"text": [...]}, a reward model's {"ground_truth"}."""
    if "value" in value:
        aliases = value.get("aliases") or []
        return [value["value"], *aliases] if isinstance(aliases, list) else value["value"]
    for name in ("text", "ground_truth", "answer", "spans"):
        if name in value:
            return value[name]
    raise CellError(
        key, f"is {kind_in_words(value)}: name the one that holds it, such as answer={key}.{next(iter(value), 'x')}"
    )


def last_boxed(text: str) -> str | None:
    r"""What stands in the last \boxed{...}, braces balanced."""
    starts = [match.end() for match in _BOXED.finditer(text)]
    if not starts:
        return None
    depth = 1
    for place in range(starts[-1], len(text)):
        depth += {"{": 1, "}": -1}.get(text[place], 0)
        if depth == 0:
            return text[starts[-1] : place].strip()
    return None


def guess_kind(golds: Sequence[Sequence[str]], places: Sequence[str], truths: bool) -> tuple[AnswerKind, str]:
    """(kind, why) by gold answers without options. `truths`: every one is true or false in the file."""
    flat = [one for row in golds for one in row]
    if truths or all(one.casefold() in ("yes", "no", "true", "false") for one in flat):
        return "yesno", "every gold answer is yes, no, true or false"
    odd = next((number for number, row in enumerate(golds) if not all(map(is_number, row))), None)
    if odd is None:
        return "number", "every gold answer is one number"
    if all(is_number(one) or (len(one) <= LONG and _MATHS.search(one)) for one in flat):
        return _EXPRESSION, f"{places[odd]}: {golds[odd][0][:40]!r} is mathematics, and so are the others"
    return "text", f"{places[odd]}: {golds[odd][0][:40]!r} is no number, yes or no"


def is_number(text: str) -> bool:
    """The text is one number and nothing else."""
    return any(c.isdigit() for c in text) and _NUMBER.fullmatch(text.strip()) is not None


def checked(golds: Sequence[str], kind: AnswerKind, choices: Mapping[str, str] | None, key: str) -> str:
    """The gold answer of a question. Raises CellError where a text is not wholly an answer of its kind."""
    for one in golds:
        if (kind == "number" and not is_number(one)) or canonical(one, kind, choices) is None:
            raise CellError(key, f"{one[:80]!r} is no answer of kind {kind}")
    return golds[0]


_EXPRESSION: AnswerKind = "text"
