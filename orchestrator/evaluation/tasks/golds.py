"""Gold answers from cells: what the cell says, and whether it is an answer of the kind."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from agents.answers import GoldError, canonical, gold
from agents.question import AnswerKind
from orchestrator.evaluation.tasks import messages
from orchestrator.evaluation.tasks.cells import CellError, kind_in_words, scalar

_WORDS = re.compile(r"[^\W\d_]{2,}")
_COMMANDS = re.compile(r"\\[A-Za-z]+(?:\{[A-Za-z ]*\})?|sqrt|pi")
_DATE = re.compile(r"\d[/-]\d{1,2}[/-]\d")
_BOXED = re.compile(r"\\boxed\s*\{")
MARKS = ("####", "The answer is:", "the answer is:", "The final answer is", "The answer is", "the answer is", "Answer:")
"""What stands in front of the gold answer in worked solutions, the first that all have."""
LONG = 200
_SHORT = {"1": "yes", "0": "no", "y": "yes", "n": "no", "t": "yes", "f": "no"}


def values(value: Any, key: str) -> list[str]:
    """The answers that a cell accepts, most often one. Raises CellError for what holds none."""
    if isinstance(value, str):  # most are, and the checks below are of abstract kinds, which take longer
        if not value.strip():
            raise CellError(key, "no gold answer: the cell is empty")
        return [value.strip()]
    if isinstance(value, Mapping):
        return values(_inside(value, key), key)
    if messages.is_chat(value):
        reply = messages.last_reply(value, key)
        return [reply.strip()]
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        cells = [_inside(one, key) if isinstance(one, Mapping) else one for one in value]
        found = [read for place, one in enumerate(cells) if (read := scalar(one, f"{key}[{place}]")) is not None]
        if not found:
            raise CellError(key, "no answer in it")
        return list(dict.fromkeys(found))
    read = scalar(value, key)
    if read is None:
        raise CellError(key, "no gold answer: the cell is empty")
    return [read.strip()]


def members(entries: Sequence[str], value: Any, kind: AnswerKind) -> list[str]:
    """The gold answers of kind `set` or `list` that a cell holds: a list of members is one answer, a list of texts
    that have several members each, or brackets, is several that are right."""
    listed = isinstance(value, Sequence) and not isinstance(value, str | bytes)
    if not listed or any(one.strip()[:1] in ("[", "{", "(", "\\") or "," in one or ";" in one for one in entries):
        return list(entries)
    inside = "; ".join(str(one) for one in value)
    return [f"{{{inside}}}" if kind == "set" else f"[{inside}]"]


def _inside(value: Mapping[str, Any], key: str) -> Any:
    """TriviaQA's {"value", "aliases"}, SQuAD's {"text": [...]}, a reward model's {"ground_truth"}, DROP's {"spans"}:
    several spans are one answer, not several that are right."""
    if "value" in value:
        aliases = value.get("aliases") or []
        return [value["value"], *aliases] if isinstance(aliases, list) else value["value"]
    if isinstance(spans := value.get("spans"), list):
        if len({str(one).strip().casefold() for one in spans}) > 1:
            raise CellError(
                key, f"{len(spans)} spans, which together are one answer: no kind here scores that; leave it out"
            )
        return spans
    for name in ("text", "ground_truth", "answer"):
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
    if truths or all(map(is_truth, flat)):
        return "yesno", "every gold answer is yes, no, true or false"
    if all(is_number(one) for one in flat):
        return "number", "every gold answer is one number"
    odd = next(number for number, row in enumerate(golds) if not all(map(is_number, row)))
    if all(map(is_expression, flat)):
        return "expression", f"{places[odd]}: {golds[odd][0][:40]!r} is mathematics, and so are the others"
    return "text", f"{places[odd]}: {golds[odd][0][:40]!r} is no number, yes or no"


def is_truth(text: str) -> bool:
    """The text is yes, no, true or false."""
    return text.casefold() in ("yes", "no", "true", "false")


def is_number(text: str) -> bool:
    """The text is one number and nothing else; no date, no name that looks like one."""
    return any(c.isdigit() for c in text) and _is(text, "number") and not _WORDS.search(text)


def is_expression(text: str) -> bool:
    """The text has a digit or a mark of mathematics, no words and no date, and can be read as an expression."""
    if len(text) > LONG:
        return False
    marked = any(c.isdigit() or c in "\\=^√π" for c in text)
    wordy = _WORDS.search(_COMMANDS.sub("", text)) or _DATE.search(text)
    return marked and not wordy and _is(text, "expression")


def _is(text: str, kind: AnswerKind) -> bool:
    try:
        return bool(gold(text, kind))
    except GoldError:
        return False


def checked(texts: Sequence[str], kind: AnswerKind, choices: Mapping[str, str] | None, key: str) -> tuple[str, ...]:
    """Gold answers as they are written. Raises CellError where one is not wholly an answer of its kind."""
    found = []
    for one in texts:
        if kind == "yesno":
            one = _SHORT.get(one.strip().casefold(), one)
        if kind == "number" and one.isascii() and one.isdigit() and one[0] != "0":
            found.append(one)  # its own key: most gold answers of large files
            continue
        try:
            meant = gold(one, kind, choices)
        except GoldError as error:
            raise CellError(key, str(error)) from None
        found.append(one if canonical(one, kind, choices) == meant else meant)
    return tuple(found)
