"""The options of a question in the forms in which people write them: mapping, list, label and text, columns, text."""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from orchestrator.evaluation.tasks.cells import CellError, kind_in_words, scalar
from orchestrator.evaluation.tasks.written_options import from_text, lettered

MAX_OPTIONS = 1_000
_LETTERED = re.compile(r"^\s*[(\[]?([A-Za-z]|\d{1,2})[)\].:]\s*(\S.*)$", re.DOTALL)
_LABELS = ("label", "key", "letter", "id", "name")
_TEXTS = ("text", "value", "content", "option", "choice", "answer")
_RIGHT = ("is_correct", "correct", "isCorrect", "is_answer")


@dataclass(frozen=True, slots=True)
class Options:
    """Labels and texts of one question's options."""

    labels: tuple[str, ...]
    texts: tuple[str, ...]
    declared: bool
    """The file names the labels itself; else they are A, B, C, ... by place."""
    right: int | None = None
    """Place of the right one, where the options themselves say which it is."""

    @property
    def mapping(self) -> dict[str, str]:
        """Label -> text of the option."""
        return dict(zip(self.labels, self.texts, strict=True))


def letters(count: int) -> tuple[str, ...]:
    """A, B, C, ...; 1, 2, 3, ... beyond Z."""
    return tuple(chr(65 + place) for place in range(count)) if count <= 26 else tuple(map(str, range(1, count + 1)))


def read(value: Any, key: str, labels: Any = None) -> Options | None:
    """The options in one cell, with their labels from another cell if there is one; None where the cell is empty.

    Raises CellError for what cannot be read as options.
    """
    if isinstance(value, str) and value.strip():
        value = from_text(value, key)
    if value is None or value in ("", [], {}):
        return None
    if labels is not None:
        value = {"label": labels, "text": value}
    if isinstance(value, Mapping):
        return _checked(_from_mapping(value, key), key)
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return _checked(_from_list(value, key), key)
    raise CellError(key, f"must be a list or a mapping of options, is {kind_in_words(value)}")


def from_cells(cells: Sequence[Any], labels: Sequence[str], key: str) -> Options | None:
    """Options of which each has its own column. Empty ones at the end are no options. Raises `CellError` for an
    empty one before a later option."""
    texts = [scalar(value, f"{key} {label}") for label, value in zip(labels, cells, strict=True)]
    while texts and texts[-1] is None:
        texts.pop()
    if not texts:
        return None
    for label, text in zip(labels, texts, strict=False):
        if text is None:
            raise CellError(key, f"option {label} is empty")
    return _checked(Options(tuple(labels[: len(texts)]), tuple(map(str, texts)), True), key)


def with_right(right: Any, wrong: Any, key: str) -> Options | None:
    """The right option first, then the wrong ones of a list; None where there are none. Raises CellError."""
    if isinstance(wrong, str) and wrong.strip():
        wrong = from_text(wrong, key)
    if wrong in (None, "", []):
        return None
    if not isinstance(wrong, list | tuple):
        raise CellError(key, f"must be a list of options, is {kind_in_words(wrong)}")
    text = scalar(right, key)
    if text is None:
        raise CellError(key, "wrong options, and no right one beside them")
    texts = (text, *(_text(one, f"{key}[{place}]") for place, one in enumerate(wrong)))
    return _checked(Options(letters(len(texts)), texts, False, 0), key)


def scored(value: Any, key: str) -> Options:
    """Options with a score each, the right one with the highest (BIG-bench). Raises CellError for a tie."""
    if not isinstance(value, Mapping) or not all(isinstance(score, int | float) for score in value.values()):
        raise CellError(key, "must be an object {option: score}")
    best = max(value.values(), default=0)
    flags = [int(score == best) for score in value.values()]
    return _checked(Options(letters(len(value)), tuple(map(str, value)), False, _only(flags, key)), key)


def in_question(text: str) -> tuple[str, Options] | None:
    """(what is asked, options) of a question that ends in its lettered options; None where it has none."""
    found = lettered(text)
    return None if found is None else (found[0], Options(tuple(found[1]), tuple(found[2]), True))


def one_hot(value: Any, found: Options) -> Options:
    """The options with the right one marked, where `value` has a 1 for it and a 0 for each other one."""
    if not isinstance(value, list | tuple) or len(value) != len(found.labels):
        return found
    flags = [int(one) if isinstance(one, bool) else one for one in value]
    if not all(isinstance(one, int) and one in (0, 1) for one in flags) or sum(flags) != 1:
        return found
    return replace(found, right=flags.index(1))


def reordered(found: Options, text: str, label: str | None) -> tuple[Options, str | None]:
    """The options' texts in an order that the question's text decides, and the new label of the one under `label`."""
    order = list(range(len(found.texts)))
    random.Random(hashlib.sha256(text.encode(errors="replace")).digest()).shuffle(order)
    moved = replace(found, texts=tuple(found.texts[place] for place in order), right=None)
    return moved, None if label is None else found.labels[order.index(found.labels.index(label))]


def _from_mapping(value: Mapping[str, Any], key: str) -> Options:
    texts = next((value[name] for name in ("text", "texts", "choices") if isinstance(value.get(name), list)), None)
    names = next((value[name] for name in ("label", "labels") if isinstance(value.get(name), list)), None)
    if texts is not None and (names is not None or len(value) == 1):
        text_read = tuple(_text(text, f"{key}[{place}]") for place, text in enumerate(texts))
        if names is None:
            return Options(letters(len(text_read)), text_read, False)
        if len(names) != len(text_read):
            raise CellError(key, f"{len(names)} labels for {len(text_read)} options")
        if all(isinstance(name, int) and name in (0, 1) for name in names) and len(names) > 1 and "choices" in value:
            return Options(letters(len(text_read)), text_read, False, _only(names, key))
        return Options(tuple(_text(name, f"{key}.label") for name in names), text_read, True)
    kept = {str(label): text for label, text in value.items() if text is not None}
    if _flags(kept):  # TruthfulQA's {"what is true": 1, "what is not": 0}
        return Options(letters(len(kept)), tuple(kept), False, _only([int(one) for one in kept.values()], key))
    return Options(tuple(kept), tuple(_text(text, f"{key}.{label}") for label, text in kept.items()), True)


def _from_list(value: Sequence[Any], key: str) -> Options:
    if all(isinstance(one, Mapping) for one in value):
        return _from_objects(value, key)
    texts = tuple(_text(text, f"{key}[{place}]") for place, text in enumerate(value))
    matches = [_LETTERED.match(text) for text in texts]
    labels = tuple(match.group(1) for match in matches if match)
    runs = (letters(len(texts)), tuple(map(str, range(1, len(texts) + 1))))
    if len(labels) == len(texts) and tuple(label.upper() for label in labels) in runs:
        return Options(labels, tuple(match.group(2).strip() for match in matches if match), True)
    return Options(letters(len(texts)), texts, False)


def _from_objects(value: Sequence[Mapping[str, Any]], key: str) -> Options:
    text = next((name for name in _TEXTS if all(name in one for one in value)), None)
    if text is None:
        if all(len(one) == 1 for one in value):  # [{"A": "red"}, {"B": "blue"}]
            return _from_mapping({name: text_read for one in value for name, text_read in one.items()}, key)
        raise CellError(key, f"options with the keys {', '.join(value[0])}: none is {', '.join(_TEXTS)}")
    label = next((name for name in _LABELS if name != text and all(name in one for one in value)), None)
    flag = next((name for name in _RIGHT if all(name in one for one in value)), None)
    texts = tuple(_text(one[text], f"{key}[{place}].{text}") for place, one in enumerate(value))
    names = tuple(_text(one[label], f"{key}[{place}].{label}") for place, one in enumerate(value)) if label else None
    return Options(names or letters(len(texts)), texts, label is not None, _flagged(value, flag, key) if flag else None)


def _flags(entries: Mapping[str, Any]) -> bool:
    """The values are 1 or 0 for each option, and the names are the options: not A, B, C or 1, 2, 3."""
    if any(len(name.strip(" ().:[]")) < 2 or name.isdigit() for name in entries):
        return False
    return bool(entries) and all(isinstance(one, int | float) and one in (0, 1) for one in entries.values())


def _flagged(value: Sequence[Mapping[str, Any]], flag: str, key: str) -> int:
    flags = [one[flag] for one in value]
    if not all(isinstance(one, bool) or one in (0, 1) for one in flags):
        raise CellError(f"{key}.{flag}", "must be true or false for every option")
    return _only([int(one) for one in flags], key)


def _only(flags: Sequence[int], key: str) -> int:
    if sum(flags) != 1:
        raise CellError(key, f"{sum(flags)} of {len(flags)} options are marked as right: a choice has one")
    return list(flags).index(1)


def _text(value: Any, key: str) -> str:
    text_read = scalar(value, key)
    if text_read is None:
        raise CellError(key, "an option is empty")
    return text_read


def _checked(options: Options, key: str) -> Options:
    if not 2 <= len(options.labels) <= MAX_OPTIONS:
        raise CellError(key, f"{len(options.labels)} options: a choice has from 2 to {MAX_OPTIONS:,}")
    folded = [label.casefold() for label in options.labels]
    twice = next((label for label in options.labels if folded.count(label.casefold()) > 1), None)
    if twice is not None:
        raise CellError(key, f"two options have the label {twice!r}")
    return options
