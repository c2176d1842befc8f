"""What gold answers must not be: half of a file in another form, a word for "nothing", a number for a class's name.

Each check looks at the first records of a source and raises CellError that names one of them and what to say instead.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from agents.answers import canonical
from orchestrator.evaluation.tasks import golds
from orchestrator.evaluation.tasks.cells import CellError, cell
from orchestrator.evaluation.tasks.columns import USUAL, usual
from orchestrator.evaluation.tasks.layout import chosen_label
from orchestrator.evaluation.tasks.options import Options

NOTHING = frozenset({"n/a", "na", "#n/a", "nan", "null", "none", "nil", "-", "--", "?", "unknown", "tbd", "<na>"})
CLASSES = ("label", "labels", "class", "category", "gold_label", "target")
MOST = 0.9
"""Share of gold answers that makes the others exceptions."""
FEW = 20
"""Gold answers below which one exception may well be meant."""

_DECIMAL_COMMA = re.compile(r"[-+]?(?:\d+,(?:\d{1,2}|\d{4,})|0,\d+|\d{1,3}(?:\.\d{3})+,\d+)")
_COMMA_GROUP = re.compile(r"-?[1-9]\d{0,2},\d{3}")
_POINT = re.compile(r"[-+]?[1-9]\d{0,2}\.\d{3}")

Golds = Sequence[Sequence[str]]
Record = Mapping[str, Any]


def one_mark(raw: Golds, places: Sequence[str], key: str, mark: str, has: Callable[[str], bool]) -> bool:
    """True where all gold answers have the mark, False where none or few have. Raises CellError where half or more
    have it, for the first that has not."""
    marked = [all(map(has, row)) for row in raw]
    if all(marked):
        return True
    if sum(marked) * 2 >= len(marked):
        odd = marked.index(False)
        raise CellError(
            places[odd],
            f"{key}: no {mark} in {raw[odd][0][:60]!r}, as in {sum(marked)} of {len(marked)} gold answers",
        )
    return False


def no_exceptions(raw: Golds, places: Sequence[str], key: str) -> None:
    """Raises CellError where all gold answers but a few are numbers, or yes and no, and the rest is text or "n/a"."""
    for is_one, words in ((golds.is_number, "numbers"), (golds.is_truth, "yes or no")):
        fits = [all(map(is_one, row)) for row in raw]
        if all(fits) or not any(fits):
            continue
        odd = fits.index(False)
        rest = [one for row, fit in zip(raw, fits, strict=True) if not fit for one in row]
        if all(one.strip().casefold() in NOTHING for one in rest):
            raise CellError(
                places[odd], f"{key}: {raw[odd][0]!r} is no gold answer, and the others are {words}: leave the row out"
            )
        if len(fits) >= FEW and sum(fits) >= MOST * len(fits) and not all(map(golds.is_expression, rest)):
            raise CellError(
                places[odd],
                f"{key}: {raw[odd][0][:40]!r} is no such answer, and {sum(fits)} of {len(fits)} are {words}: say which "
                "kind all have (--columns kind=text)",
            )


def meant_as_numbers(raw: Golds, places: Sequence[str], key: str) -> None:
    """Raises CellError for numbers that may stand for yes and no, or for classes whose names the source lacks."""
    flat = {one for row in raw for one in row}
    if flat == {"0", "1"}:
        raise CellError(
            places[0],
            f"{key}: every gold answer is 0 or 1: say what they are (--columns kind=yesno, or kind=number)",
        )
    small = all(one.lstrip("-").isdigit() and -1 <= int(one) <= 50 for one in flat if len(one) < 4)
    if key.casefold() in CLASSES and small and all(len(one) < 4 for one in flat):
        raise CellError(
            places[0],
            f"{key}: {', '.join(sorted(flat)[:5])}: numbers of classes, and no column names them: add a column of "
            "options (--columns choices=NAME), or say that numbers are asked for (--columns kind=number)",
        )


def one_decimal_mark(raw: Golds, places: Sequence[str], key: str) -> None:
    """Raises CellError where some numbers have a decimal comma and another has a point before three digits."""
    if not any(_DECIMAL_COMMA.fullmatch(one.strip()) for row in raw for one in row):
        return
    for row, place in zip(raw, places, strict=True):
        for one in row:
            if _POINT.fullmatch(one.strip()):
                raise CellError(
                    place,
                    f"{key}: {one.strip()!r} is {one.strip().replace('.', '')} where a comma is the decimal mark, as "
                    "in other gold answers: write it without the point, or with a comma",
                )

            if _COMMA_GROUP.fullmatch(one.strip()):
                raise CellError(
                    place,
                    f"{key}: {one.strip()!r}: is the comma a decimal mark, as in other gold answers, or does it set "
                    "thousands apart? write it without the comma, or with a decimal point",
                )


def one_value(raw: Golds, places: Sequence[str], key: str) -> None:
    """Raises CellError where a cell lists different numbers: any one of them may be meant, or all together."""
    for row, place in zip(raw, places, strict=True):
        if len(row) > 1 and len({canonical(one, "number") for one in row}) > 1:
            raise CellError(
                place,
                f"{key}: {', '.join(row)[:60]}: several numbers: is each of them right (--columns kind=number), or are "
                "they one answer (--columns kind=set, or kind=list where their order counts)?",
            )


def no_bare_letters(raw: Golds, places: Sequence[str], key: str) -> None:
    """Raises CellError where every gold answer is one letter and there are no options that it could name."""
    flat = [one.strip("() .:") for row in raw for one in row]
    kinds = {one.upper() for one in flat}
    if kinds <= set("ABCDEFGHIJ") or kinds in ({"T", "F"}, {"Y", "N"}):
        raise CellError(
            places[0],
            f"{key}: {flat[0]!r}: every gold answer is a letter, and no options were found: say which columns hold "
            "them (--columns choices=A|B|C|D), or what the letter is (--columns kind=text, or kind=yesno)",
        )


def one_gold(
    records: Sequence[Record], places: Sequence[str], found: Sequence[Options], labels: Sequence[str], key: str
) -> None:
    """Raises CellError where another column of gold answers names other options. `labels`: what `key` names."""
    names = dict.fromkeys(str(name) for record in records for name in record)
    for other in names:
        if other == key or usual("answer", [other]) is None or other in USUAL["choices"]:
            continue
        fitting = [
            named for way in ("label", "text", "from0", "from1") if (named := _named(records, found, other, way))
        ]
        if not fitting or any(all(a in (None, b) for a, b in zip(one, labels, strict=True)) for one in fitting):
            continue
        odd = next(n for n, (a, b) in enumerate(zip(fitting[0], labels, strict=True)) if a not in (None, b))
        mine, theirs = cell(records[odd], key), cell(records[odd], other)
        raise CellError(
            places[odd],
            f"{key} {str(mine)[:40]!r} and {other} {str(theirs)[:40]!r} name different options: say which is gold "
            f"(--columns answer={key})",
        )


def _named(records: Sequence[Record], found: Sequence[Options], other: str, way: str) -> list[str | None] | None:
    """Labels that a column names if it is read in this way; None where some cell cannot be."""
    labels: list[str | None] = []
    for record, one in zip(records, found, strict=True):
        try:
            entries = golds.values(cell(record, other), other) if cell(record, other) is not None else []
        except CellError:
            return None
        label = chosen_label(entries[0], one, way) if len(entries) == 1 else None
        if label is None and entries:
            return None
        labels.append(label)
    return labels if any(labels) else None
