"""How gold answers are read: their kind, the marks around them, how they name options; decided on the first records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from orchestrator.evaluation.tasks import gold_checks, golds, options
from orchestrator.evaluation.tasks.cells import CellError, cell
from orchestrator.evaluation.tasks.columns import Columns
from orchestrator.evaluation.tasks.layout import QuestionLayout, chosen_label, named_label
from orchestrator.evaluation.tasks.options import Options

SAME, MOST = 10, 0.8
"""Questions, and the share of them whose right option stands at one place, from which the order must be changed."""


@dataclass(frozen=True, slots=True)
class _Row:
    """One record with options."""

    found: Options
    gold: list[str]
    record: Mapping[str, Any]
    place: str


def decide_golds(
    records: Sequence[Mapping[str, Any]], places: Sequence[str], layout: QuestionLayout, columns: Columns
) -> QuestionLayout:
    """Settle the marks around gold answers, their kind, and how they name options. Raises CellError with a record's
    place at its head, or with a column's name for what concerns all records."""
    raw, found = _read(records, places, layout)
    reasons = list(layout.reasons)
    with_options = [number for number, one in enumerate(found) if one is not None]
    if not with_options and columns.kind in (None, "choice"):
        inside = [_inside(record, layout, gold[0]) for record, gold in zip(records, raw, strict=True)]
        if all(inside):
            reasons.append("options stand in the question's text")
            return replace(layout, in_question=True, kind="choice", answer_is="label", reasons=tuple(reasons))
    if with_options:
        rest = [number for number, one in enumerate(found) if one is None]
        rows = [
            _Row(options_found, raw[n], records[n], places[n])
            for n in with_options
            if (options_found := found[n]) is not None
        ]
        layout = _decide_options(rows, replace(layout, kind=None if rest else "choice"), columns, reasons)
        if not rest:
            return replace(layout, reasons=tuple(reasons))
        records, places, raw = [records[n] for n in rest], [places[n] for n in rest], [raw[n] for n in rest]
    return _decide_kind(records, places, raw, replace(layout, reasons=tuple(reasons)), columns)


def _read(
    records: Sequence[Mapping[str, Any]], places: Sequence[str], layout: QuestionLayout
) -> tuple[list[list[str]], list[Options | None]]:
    """(gold answers, options) of each record."""
    raw: list[list[str]] = []
    found: list[Options | None] = []
    for record, place in zip(records, places, strict=True):
        try:
            one = layout.options_of(record)
            found.append(one)
            raw.append(
                [one.labels[one.right]] if one is not None and one.right is not None else layout.golds_of(record)
            )
        except CellError as error:
            raise CellError(place, str(error)) from None
    return raw, found


def _decide_options(
    rows: Sequence[_Row], layout: QuestionLayout, columns: Columns, reasons: list[str]
) -> QuestionLayout:
    """How gold answers name options, and whether the options' order must change."""
    chosen = _answer_is(rows, layout, columns, reasons)
    known = [row for row in rows if row.found.right is None]
    if known and columns.answer is None:
        labels = [str(chosen_label(row.gold[0], row.found, chosen)) for row in known]
        gold_checks.one_gold(
            [row.record for row in known],
            [row.place for row in known],
            [row.found for row in known],
            labels,
            str(layout.answer),
        )
    layout = replace(layout, answer_is=chosen)
    own_column = layout.answer in layout.choices
    spots = [_spot(row, chosen) for row in rows]
    spot, count = max(((one, spots.count(one)) for one in set(spots)), key=lambda pair: pair[1])
    if own_column or (len(spots) >= SAME and count >= MOST * len(spots)):
        said = f"the right option is number {spot + 1} in {count} of {len(spots)} questions"
        if own_column or not any(row.found.declared for row in rows):
            reasons.append(f"{said}: options stand in an order that each question's text decides")
            return replace(layout, reordered=True)
        reasons.append(f"{said}: whoever always names it is right as often")
    return layout


def _spot(row: _Row, answer_is: str) -> int:
    if row.found.right is not None:
        return row.found.right
    return row.found.labels.index(str(chosen_label(row.gold[0], row.found, answer_is)))


def _decide_kind(
    records: Sequence[Mapping[str, Any]],
    places: Sequence[str],
    raw: Sequence[Sequence[str]],
    layout: QuestionLayout,
    columns: Columns,
) -> QuestionLayout:
    """The marks around gold answers without options, and their kind."""
    reasons, key = list(layout.reasons), str(layout.answer)
    if layout.answer_after is None and columns.kind not in ("text", "open", "code"):
        mark = _mark(raw, places, key)
        if mark is not None:
            layout = replace(layout, answer_after=mark)
            reasons.append(f"gold is what follows the last {mark}")
        elif columns.kind in (None, "number", "expression") and gold_checks.one_mark(
            raw, places, key, "\\boxed{}", _boxed
        ):
            layout = replace(layout, boxed=True)
            reasons.append("gold is what stands in the last \\boxed{}")
    if columns.kind is not None:
        return replace(layout, kind=columns.kind, reasons=(*reasons, f"kind {columns.kind}: as you say"))
    unsaid = [number for number, record in enumerate(records) if record.get("kind") is None]
    if not unsaid:
        return replace(layout, reasons=(*reasons, "kinds: each record says its own"))
    evidence, where, truths = [], [], []
    for number in unsaid:
        try:
            evidence.append(layout.golds_of(records[number]))
        except CellError as error:
            raise CellError(places[number], str(error)) from None
        where.append(places[number])
        truths.append(isinstance(cell(records[number], key), bool))
    gold_checks.no_exceptions(evidence, where, key)
    kind, why = golds.guess_kind(evidence, where, all(truths))
    if kind == "number":
        gold_checks.meant_as_numbers(evidence, where, key)
        gold_checks.one_value(evidence, where, key)
        gold_checks.one_decimal_mark(evidence, where, key)
    if kind in ("text", "expression"):
        gold_checks.no_bare_letters(evidence, where, key)
    return replace(layout, kind=kind, reasons=(*reasons, f"kind {kind}: {why}"))


def _mark(raw: Sequence[Sequence[str]], places: Sequence[str], key: str) -> str | None:
    """What stands in front of every gold answer. Raises CellError where half of them have `####` and others not."""
    strict = golds.MARKS[0]
    if gold_checks.one_mark(raw, places, key, strict, lambda one: strict in one):
        return strict
    return next((mark for mark in golds.MARKS[1:] if all(mark in one for row in raw for one in row)), None)


def _boxed(text: str) -> bool:
    return bool(golds.last_boxed(text))


def _inside(record: Mapping[str, Any], layout: QuestionLayout, gold: str) -> bool:
    text = cell(record, layout.question)
    if not isinstance(text, str) or len(gold) > 8:
        return False
    split = options.in_question(text)
    return split is not None and named_label(gold, split[1]) is not None


def _answer_is(rows: Sequence[_Row], layout: QuestionLayout, columns: Columns, reasons: list[str]) -> str:
    """How gold answers name options: the one way that fits all records. Raises CellError where none or several do."""
    known = [(row.found, row.gold, row.record, row.place) for row in rows if row.found.right is None]
    if not known:
        return "label"
    for _, gold, _, place in known:
        if len(gold) > 1:
            raise CellError(place, f"{layout.answer}: {len(gold)} right options: a choice has one")
    ways = [columns.answer_is] if columns.answer_is else ["label", "text", "from0", "from1"]
    fitting: dict[str, list[str]] = {}
    worst: dict[str, tuple[int, str]] = {}
    for way in ways:
        labels = []
        for number, (one, gold, _, _) in enumerate(known):
            label = chosen_label(gold[0], one, way)
            if label is None:
                worst[way] = (number, gold[0])
                break
            labels.append(label)
        else:
            fitting[way] = labels
    if not fitting:
        # The way that went furthest is most likely the one that is meant.
        reached, evidence = max(worst.values())
        one, _, _, place = known[reached]
        raise CellError(
            place, f"{layout.answer}: {evidence[:80]!r} is no option; they are {', '.join(one.labels)[:200]}"
        )
    if len({tuple(labels) for labels in fitting.values()}) == 1:
        return next(iter(fitting))
    if "label" in fitting and all(one.declared for one, *_ in known):
        return "label"
    numbers = all(isinstance(cell(record, str(layout.answer)), int) for _, _, record, _ in known)
    if set(fitting) == {"from0", "from1"} and numbers:
        reasons.append("gold numbers count options from 0, as datasets do; no gold answer tells (answer_is=from1)")
        return "from0"
    options_read = "; ".join(f"{way}: {labels[0]}" for way, labels in fitting.items())
    raise CellError(
        known[0][3],
        f"{layout.answer}: {known[0][1][0][:40]!r} can be read in several ways ({options_read}): say which "
        f"(--columns answer_is=label, text, from0 or from1)",
    )
