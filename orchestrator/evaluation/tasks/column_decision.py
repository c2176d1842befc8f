"""Which columns of a source hold what, decided on its first records, with the reasons that `collegium task` prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from orchestrator.evaluation.tasks import messages, options
from orchestrator.evaluation.tasks.cells import CellError, cell
from orchestrator.evaluation.tasks.columns import IMAGE, Columns, names_of, option_columns, usual
from orchestrator.evaluation.tasks.gold_decision import decide_golds
from orchestrator.evaluation.tasks.layout import EMPTY, SCORES, QuestionLayout
from orchestrator.evaluation.tasks.presets import PRESETS, preset_of

SAMPLE = 1_000
"""Records by which a layout is decided. A later one that does not fit is an error that names it."""


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
    if {"message_id", "parent_id", "role"} <= set(names):
        raise CellError("columns", "messages of chats, one per record: write each chat as one record {messages: [...]}")
    if {"chosen", "rejected"} <= set(names) and columns.answer is None:
        raise CellError(
            "columns", "chosen and rejected: pairs of replies, and no gold answers (--columns answer=chosen, if it is)"
        )
    columns, known = _known_columns(names, columns)
    layout = _columns(records, names, columns)
    layout = _choices(records, names, layout, columns)
    if known:
        layout = replace(layout, reasons=(known, *layout.reasons))
    if layout.answer is None and _replies(records, layout.question):
        return decide_golds(records, places, replace(layout, answer=layout.question), columns)
    if layout.answer is None:
        return _without_gold(records, places, layout, columns)
    return decide_golds(records, places, layout, columns)


def _known_columns(names: Sequence[str], columns: Columns) -> tuple[Columns, str | None]:
    """The columns of a well-known data set where a file has them, and the usual names do not find them."""
    if columns.question or columns.answer or columns.choices:
        return columns, None
    name = preset_of(names)
    if name is None:
        return columns, None
    # Copies of a data set may count options otherwise: the answers themselves tell.
    known = PRESETS[name].columns
    if PRESETS[name].counts_vary:
        known = known.model_copy(update={"answer_is": None})
    absent = [what for what in ("id", "skills", "task", "split") if getattr(known, what) not in (None, *names)]
    known = known.model_copy(update=dict.fromkeys(absent))
    return known.model_copy(update=columns.model_dump(exclude_none=True)), f"columns as in {name}"


def _replies(records: Sequence[Mapping[str, Any]], question: str) -> bool:
    """Every question is a chat that ends with a reply of the assistant: the gold answer."""
    chats = [cell(record, question) for record in records]
    return all(messages.is_chat(chat) and messages.ends_with_reply(chat) for chat in chats)


def _without_gold(
    records: Sequence[Mapping[str, Any]], places: Sequence[str], layout: QuestionLayout, columns: Columns
) -> QuestionLayout:
    """No column of gold answers: the options themselves may say which is right."""
    marked = True
    for record, place in zip(records, places, strict=True):
        try:
            found = layout.options_of(record)
        except CellError as error:
            raise CellError(place, str(error)) from None
        marked = marked and found is not None and found.right is not None
    if marked:
        layout = replace(layout, reasons=(*layout.reasons, "the options themselves say which is right"))
        return decide_golds(records, places, layout, columns)
    return replace(layout, reasons=(*layout.reasons, "no column of gold answers: nothing can be scored"))


def _columns(records: Sequence[Mapping[str, Any]], names: Sequence[str], columns: Columns) -> QuestionLayout:
    reasons: list[str] = []

    def named(what: str) -> str | None:
        given: str | None = getattr(columns, what)
        if given is not None:
            parts = given.split("|") if what == "answer" and columns.kind == "code" else [given]
            if any(all(cell(record, part) is None for record in records) for part in parts):
                raise CellError("columns", f"no column {given!r} for {what}; there are {', '.join(names)[:500]}")
            return given
        filled = [name for name in names if any(record.get(name) not in EMPTY for record in records)]
        found = usual(what, filled) or usual(what, names)
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
        if answer is None and "a" in names and "b" not in names and question == "q":
            answer = "a"
        if answer == question:
            answer = None
        if answer is not None:
            others = [name for name in names if name != answer and usual("answer", [name]) and name != question]
            reasons += [f"gold from column {answer!r}, not {', '.join(map(repr, others))}"] if others else []
    solution = columns.solution and named("solution")
    if columns.solution is None:
        solution = usual("solution", [name for name in names if name not in (answer, question)])
    context = _passage(records, question, named("context")) if columns.context is None else named("context")
    about = next((name for name in names if name.casefold() == "input"), None)
    images = [columns.images] if columns.images else [name for name in names if IMAGE.match(name)]
    picture = usual("images", names)
    if not images and picture is not None:
        images = [picture]
    return QuestionLayout(
        question=question,
        answer=answer,
        solution=solution,
        choices=(f"{inner}.choices",) if inner and "choices" in stem else (),  # type: ignore[operator]
        labels=columns.labels,
        id=named("id"),
        split=named("split"),
        task=named("task"),
        skills=named("skills"),
        context=context,
        input=named("input") if columns.input else about if question.casefold() == "instruction" and about else None,
        ask=columns.ask,
        images=tuple(images),
        answer_after=columns.answer_after,
        answer_before=columns.answer_before,
        reasons=tuple(reasons),
    )


def _passage(records: Sequence[Mapping[str, Any]], question: str, found: str | None) -> str | None:
    """The column of passages, if it is none that repeats the question: a whole prompt may hold the gold answer too."""
    if found is None or found == question or question.casefold() == "input":
        return None
    whole = any(
        isinstance(asked := cell(record, question), str)
        and isinstance(passage := cell(record, found), str)
        and asked in passage
        for record in records
    )
    return None if whole else found


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
    other = usual("answer", [name for name in names if name not in (layout.question, layout.answer)])
    listed = [cell(record, str(layout.answer)) for record in records]
    if columns.answer is None and other and all(isinstance(one, list) and len(one) > 1 for one in listed):
        # ReClor: {"answers": ["...", "..."], "label": 2}
        evidence = f"options from column {layout.answer!r}, gold from column {other!r}"
        return replace(layout, choices=(str(layout.answer),), answer=other, reasons=(*layout.reasons, evidence))
    wrong = usual("wrong", [name for name in names if name not in (layout.question, layout.answer)])
    if wrong is not None and layout.answer is not None and all(_is_list(cell(record, wrong)) for record in records):
        evidence = f"options from columns {layout.answer!r} and {wrong!r}"
        return replace(
            layout, choices=(layout.answer, wrong), wrong=wrong, reordered=True, reasons=(*layout.reasons, evidence)
        )
    separate = option_columns([name for name in names if name not in (layout.answer, layout.question)])
    if separate:
        evidence = f"options from columns {separate[0][0]} to {separate[-1][0]}"
        return replace(
            layout,
            choices=tuple(name for name, _ in separate),
            option_labels=tuple(label for _, label in separate),
            reasons=(*layout.reasons, evidence),
        )
    return layout


def _is_list(value: Any) -> bool:
    """Whether a cell holds a list, as such or as its text."""
    return isinstance(value, list | tuple) or (isinstance(value, str) and value.lstrip().startswith("["))
