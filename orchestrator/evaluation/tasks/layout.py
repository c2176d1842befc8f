"""How a source is laid out, decided on its first records, with the reasons that `collegium task` prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from agents.question import AnswerKind
from orchestrator.evaluation.tasks import golds, options
from orchestrator.evaluation.tasks.cells import CellError, cell
from orchestrator.evaluation.tasks.columns import IMAGE, Columns, names_of, option_columns, usual
from orchestrator.evaluation.tasks.options import Options

SCORES = "target_scores"
"""BIG-bench's column: a score for each option."""
SAMPLE = 1_000
"""Records by which a layout is decided. A later one that does not fit is an error that names it."""


@dataclass(frozen=True)
class QuestionLayout:
    """Which column holds what, and how gold answers are read."""

    question: str
    answer: str | None = None
    choices: tuple[str, ...] = ()
    option_labels: tuple[str, ...] = ()
    """Labels, where each option has its own column."""
    labels: str | None = None
    id: str | None = None
    split: str | None = None
    task: str | None = None
    skills: str | None = None
    context: str | None = None
    input: str | None = None
    """What an instruction is about (Alpaca's `input`)."""
    images: tuple[str, ...] = ()
    kind: AnswerKind | None = None
    answer_is: str = "label"
    answer_after: str | None = None
    answer_before: str | None = None
    boxed: bool = False
    in_question: bool = False
    """The options stand in the question's text."""
    reasons: tuple[str, ...] = ()

    def options_of(self, record: Mapping[str, Any]) -> Options | None:
        """The record's options. Raises CellError."""
        if self.option_labels:
            key = f"{self.choices[0]}..{self.choices[-1]}"
            return options.from_cells([cell(record, name) for name in self.choices], self.option_labels, key)
        if not self.choices:
            return options.scored(cell(record, SCORES), SCORES) if self.answer == SCORES else None
        labels = cell(record, self.labels) if self.labels else None
        return options.read(cell(record, self.choices[0]), self.choices[0], labels)

    def golds_of(self, record: Mapping[str, Any]) -> list[str]:
        """The gold answers as the file writes them, cut to what the marks leave. Raises CellError."""
        key = str(self.answer)
        found = golds.values(cell(record, key), key)
        if self.answer_after is not None:
            found = [self._after(one, self.answer_after, key) for one in found]
        if self.answer_before is not None:
            found = [one.split(self.answer_before, 1)[0].strip() for one in found]
        if self.boxed:
            found = [self._boxed(one, key) for one in found]
        return found

    @staticmethod
    def _after(text: str, mark: str, key: str) -> str:
        if mark not in text:
            raise CellError(key, f"no {mark!r} in it, which stands in front of the other gold answers")
        after = text.rsplit(mark, 1)[1].strip()
        if not after:
            raise CellError(key, f"nothing follows {mark!r}")
        return after

    @staticmethod
    def _boxed(text: str, key: str) -> str:
        found = golds.last_boxed(text)
        if not found:
            raise CellError(key, "no \\boxed{...} in it, as the other gold answers have")
        return found


def decide(records: Sequence[Mapping[str, Any]], places: Sequence[str], columns: Columns) -> QuestionLayout:
    """The layout of a source whose first records these are. Raises CellError without a place for what concerns all,
    or with one at its head."""
    names = names_of(records)
    if (
        {"model_a", "model_b", "winner"} <= set(names)
        or {"model", "score"} <= set(names)
        or any("|total_cost" in n for n in names)
    ):
        raise CellError(
            "columns", "a table of models' results, and no questions with gold: `collegium table import FILE`"
        )
    layout = _columns(records, names, columns)
    layout = _choices(records, names, layout, columns)
    if layout.answer is None:
        return replace(layout, reasons=(*layout.reasons, "no column of gold answers: nothing can be scored"))
    return _golds(records, places, layout, columns)


def _columns(records: Sequence[Mapping[str, Any]], names: Sequence[str], columns: Columns) -> QuestionLayout:
    reasons: list[str] = []

    def named(what: str) -> str | None:
        given: str | None = getattr(columns, what)
        if given is not None:
            if all(cell(record, given) is None for record in records):
                raise CellError("columns", f"no column {given!r} for {what}; there are {', '.join(names)[:500]}")
            return given
        found = usual(what, names)
        if found is not None and found != what:
            reasons.append(f"{what} from column {found!r}")
        return found

    question = named("question")
    if question is None:
        raise CellError(
            "question",
            f"no column of that name; there are {', '.join(names)[:500]}: say which (--columns question=NAME)",
        )
    stem = records[0].get(question) if question in names else None
    inner = ""
    if isinstance(stem, Mapping):  # {"question": {"stem": ..., "choices": [...]}, "answerKey": ...}
        within = usual("question", [str(name) for name in stem]) or ("stem" if "stem" in stem else None)
        if within is None:
            raise CellError(question, f"an object with the keys {', '.join(stem)}: say which (--columns question=NAME)")
        inner, question = question, f"{question}.{within}"
    answer = named("answer")
    if columns.answer is None:
        if answer == question:
            answer = None
        if answer is not None:
            others = [name for name in names if name != answer and usual("answer", [name]) and name != question]
            reasons += [f"gold from column {answer!r}, not {', '.join(map(repr, others))}"] if others else []
    about = next((name for name in names if name.casefold() == "input"), None)
    images = [columns.images] if columns.images else [name for name in names if IMAGE.match(name)]
    picture = usual("images", names)
    if not images and picture is not None:
        images = [picture]
    return QuestionLayout(
        question=question,
        answer=answer,
        choices=(f"{inner}.choices",) if inner and "choices" in stem else (),  # type: ignore[operator]
        labels=columns.labels,
        id=named("id"),
        split=named("split"),
        task=named("task"),
        skills=named("skills"),
        context=named("context") if question.casefold() != "input" else columns.context,
        input=about if question.casefold() == "instruction" and about else None,
        images=tuple(images),
        answer_after=columns.answer_after,
        answer_before=columns.answer_before,
        reasons=tuple(reasons),
    )


def _choices(
    records: Sequence[Mapping[str, Any]], names: Sequence[str], layout: QuestionLayout, columns: Columns
) -> QuestionLayout:
    if columns.choices is not None:
        chosen = [name.strip() for name in columns.choices.split("|") if name.strip()]
        missing = next((name for name in chosen if all(cell(record, name) is None for record in records)), None)
        if missing is not None or not chosen:
            raise CellError("columns", f"no column {missing!r} for choices; there are {', '.join(names)[:500]}")
        if len(chosen) == 1:
            return replace(layout, choices=(chosen[0],))
        found = option_columns(chosen)
        labels = [label for _, label in found] if len(found) == len(chosen) else options.letters(len(chosen))
        return replace(layout, choices=tuple(chosen), option_labels=tuple(labels))
    if layout.choices:
        return layout
    name = usual("choices", [name for name in names if name not in (layout.question, layout.answer)])
    if name is not None:
        return replace(layout, choices=(name,))
    if layout.answer == SCORES:
        return layout
    separate = option_columns([name for name in names if name != layout.answer])
    if separate:
        evidence = f"options from columns {separate[0][0]} to {separate[-1][0]}"
        return replace(
            layout,
            choices=tuple(name for name, _ in separate),
            option_labels=tuple(label for _, label in separate),
            reasons=(*layout.reasons, evidence),
        )
    return layout


def _golds(
    records: Sequence[Mapping[str, Any]], places: Sequence[str], layout: QuestionLayout, columns: Columns
) -> QuestionLayout:
    """Settle the marks around gold answers, their kind, and how they name options."""
    own = [record.get("kind") for record in records]
    fixed = columns.kind
    raw: list[list[str]] = []
    found: list[Options | None] = []
    for record, place in zip(records, places, strict=True):
        try:
            found.append(layout.options_of(record))
            one = found[-1]
            if one is not None and one.right is not None:
                raw.append([one.labels[one.right]])
            else:
                raw.append(layout.golds_of(record))
        except CellError as error:
            raise CellError(place, str(error)) from None
    reasons = list(layout.reasons)
    with_options = [number for number, one in enumerate(found) if one is not None]
    if not with_options and fixed in (None, "choice"):
        inside = [_inside(record, layout, gold[0]) for record, gold in zip(records, raw, strict=True)]
        if all(inside):
            reasons.append("options stand in the question's text")
            return replace(layout, in_question=True, kind="choice", answer_is="label", reasons=tuple(reasons))
    if with_options:
        rest = [number for number, one in enumerate(found) if one is None]
        chosen = _answer_is([(found[n], raw[n], records[n], places[n]) for n in with_options], layout, columns, reasons)
        layout = replace(layout, answer_is=chosen, kind=None if rest else "choice")
        if not rest:
            return replace(layout, reasons=tuple(reasons))
        records, places = [records[n] for n in rest], [places[n] for n in rest]
        raw, own = [raw[n] for n in rest], [own[n] for n in rest]
    if layout.answer_after is None and all(golds.MARK in one for row in raw for one in row):
        layout = replace(layout, answer_after=golds.MARK)
        reasons.append(f"gold is what follows the last {golds.MARK}")
    elif not fixed and all(golds.last_boxed(one) for row in raw for one in row):
        layout = replace(layout, boxed=True)
        reasons.append("gold is what stands in the last \\boxed{}")
    if fixed is not None:
        return replace(layout, kind=fixed, reasons=(*reasons, f"kind {fixed}: as you say"))
    unsaid = [number for number, kind in enumerate(own) if kind is None]
    if not unsaid:
        return replace(layout, reasons=(*reasons, "kinds: each record says its own"))
    evidence, where, truths = [], [], []
    for number in unsaid:
        try:
            evidence.append(layout.golds_of(records[number]))
        except CellError as error:
            raise CellError(places[number], str(error)) from None
        where.append(places[number])
        truths.append(isinstance(cell(records[number], str(layout.answer)), bool))
    kind, why = golds.guess_kind(evidence, where, all(truths))
    return replace(layout, kind=kind, reasons=(*reasons, f"kind {kind}: {why}"))


def _inside(record: Mapping[str, Any], layout: QuestionLayout, gold: str) -> bool:
    text = cell(record, layout.question)
    if not isinstance(text, str) or len(gold) > 8:
        return False
    split = options.in_question(text)
    return split is not None and _label(gold, split[1]) is not None


def _label(gold: str, found: Options) -> str | None:
    bare = gold.strip().strip("()[].:").casefold()
    return next((label for label in found.labels if label.casefold() == bare), None)


def chosen_label(gold: str, found: Options, answer_is: str) -> str | None:
    """The label of the option that a gold answer names; None where it names none, or several."""
    if answer_is == "label":
        return _label(gold, found)
    if answer_is == "text":
        wanted = " ".join(gold.split())
        same = [label for label, text in found.mapping.items() if " ".join(text.split()) == wanted]
        return same[0] if len(same) == 1 else None
    place = int(gold) - (answer_is == "from1") if gold.lstrip("-").isdigit() else -1
    return found.labels[place] if 0 <= place < len(found.labels) else None


_Row = tuple[Options | None, list[str], Mapping[str, Any], str]


def _answer_is(rows: Sequence[_Row], layout: QuestionLayout, columns: Columns, reasons: list[str]) -> str:
    """How gold answers name options: the one way that fits all records. Raises CellError where none or several do."""
    known = [(one, gold, record, place) for one, gold, record, place in rows if one is not None and one.right is None]
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
