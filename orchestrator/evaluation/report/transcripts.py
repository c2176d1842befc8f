"""The transcript viewer: rounds as columns, agents as rows, changes of mind marked, the influence graph drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from markupsafe import escape

from agents.figures import fate, split
from agents.transcript import Transcript, Turn
from orchestrator.evaluation.report.data import RunReport
from orchestrator.evaluation.report.formats import clipped
from orchestrator.evaluation.report.views import View

BUDGET = 600_000
"""Bytes of transcripts in one page."""
LONGEST_REASONING = 1_200
COLUMN, ROW, MARGIN, RADIUS = 120, 34, 24, 9
"""Of the influence graph, in pixels."""
MAX_NODES = 120
PALETTE = 10
FEW = 5
"""Of each outcome that a page shows in any case."""
FATES = ("rescued", "corrupted", "kept wrong", "kept right")


def discussions(report: RunReport) -> View | None:
    """Accuracy by round, minds changed, fates, calibration."""
    return {"discussions": report.discussions} if report.discussions else None


def transcripts(report: RunReport) -> View | None:
    """Cards, as many as fit, those first in which a discussion changed the outcome."""
    cards: list[View] = []
    spent = 0
    for one in by_interest(report.transcripts):
        card = _card(one)
        spent += _bytes(card)
        if spent > BUDGET and cards:
            break
        cards.append(card)
    if not cards:
        return None
    cards.sort(key=lambda card: _interest(card["one"]))
    return {
        "cards": cards,
        "left_out": len(report.transcripts) - len(cards),
        "methods": list(dict.fromkeys(card["one"].discussion for card in cards)),
    }


def by_interest(held: Sequence[Transcript]) -> list[Transcript]:
    """Those first in which a discussion changed the outcome, then the longest; before them all, a few of each outcome,
    so that whoever stops early has seen some of each."""
    ordered = sorted(held, key=_interest)
    met: dict[str | None, int] = {}
    first: list[Transcript] = []
    rest: list[Transcript] = []
    for one in ordered:
        ended = fate(one)
        met[ended] = met.get(ended, 0) + 1
        (first if met[ended] <= FEW else rest).append(one)
    return first + rest


def _interest(one: Transcript) -> tuple[int, int]:
    ended = fate(one)
    return FATES.index(ended) if ended else len(FATES), -one.rounds


def _card(one: Transcript) -> View:
    colours = _colours(one)
    ended = fate(one)
    outcomes: list[str] = [ended] if ended else []
    outcomes += ["split"] if split(one) else ["agreed"]
    rows: list[View] = [
        {"seat": seat, "cells": [_cell(one, place, number, colours) for number in range(one.rounds)]}
        for place, seat in enumerate(one.seats)
    ]
    rows = [row for row in rows if any(row["cells"])]
    votes = [[vote for vote in one.votes if vote.round == number] for number in range(one.rounds)]
    return {
        "one": one,
        "question": clipped(one.question.question, LONGEST_REASONING),
        "right": one.is_right(one.answer),
        "outcomes": outcomes,
        "rows": rows,
        "votes": votes,
        "graph": _graph(one, colours),
    }


def _cell(one: Transcript, seat: int, number: int, colours: dict[str, int]) -> View | None:
    """What a seat said in a round, and whether that was a change of mind."""
    turn = next((turn for turn in one.turns if turn.seat == seat and turn.round == number), None)
    if turn is None:
        return None
    earlier = [old for old in one.turns if old.seat == seat and old.round < number and old.answer is not None]
    before = earlier[-1] if earlier else None
    return {
        "turn": turn,
        "text": clipped(turn.reasoning or turn.text, LONGEST_REASONING),
        "right": one.is_right(turn.answer),
        "colour": _colour(turn, colours),
        "changed": before.displayed if before and turn.answer is not None and before.answer != turn.answer else None,
    }


def _colours(one: Transcript) -> dict[str, int]:
    """Answer -> its place in the palette, in order of appearance."""
    answers = dict.fromkeys(turn.answer for turn in one.turns if turn.answer is not None)
    return {answer: place % PALETTE for place, answer in enumerate(answers)}


def _colour(turn: Turn, colours: dict[str, int]) -> int | None:
    return None if turn.answer is None else colours[turn.answer]


def _graph(one: Transcript, colours: dict[str, int]) -> View | None:
    """Turns as nodes, who read whom as lines; a line is strong where the reader took the answer over."""
    if one.rounds < 2 or len(one.turns) > MAX_NODES:
        return None
    seats = list(dict.fromkeys(turn.seat for turn in one.turns))
    at = [(MARGIN + turn.round * COLUMN, MARGIN + seats.index(turn.seat) * ROW) for turn in one.turns]
    own = {(turn.round, turn.seat): turn.answer for turn in one.turns}
    lines = []
    for source, target in one.edges():
        start, end = one.turns[source], one.turns[target]
        was = own.get((end.round - 1, end.seat))
        taken = end.answer is not None and end.answer == start.answer and was is not None and was != end.answer
        lines.append((at[source], at[target], taken))
    nodes: list[dict[str, Any]] = [
        {"at": place, "colour": _colour(turn, colours), "name": one.seats[turn.seat].name, "answer": turn.displayed}
        for place, turn in zip(at, one.turns, strict=True)
    ]
    width = 2 * MARGIN + (one.rounds - 1) * COLUMN
    return {
        # One path for all that were only read: there are many.
        "read": " ".join(f"M{a} {b}L{c} {d}" for (a, b), (c, d), taken in lines if not taken),
        "taken": [(start, end) for start, end, taken in lines if taken],
        "nodes": nodes,
        "names": [(one.seats[seat].name, MARGIN + place * ROW) for place, seat in enumerate(seats)],
        "width": width + 140,
        "left": width,
        "height": 2 * MARGIN + (len(seats) - 1) * ROW,
    }


def _bytes(card: View) -> int:
    """About what a card takes in the page."""
    texts = [card["question"], *(cell["text"] for row in card["rows"] for cell in row["cells"] if cell)]
    drawn = len(card["graph"]["read"]) + 80 * len(card["graph"]["taken"]) if card["graph"] else 0
    return sum(len(escape(text).encode()) + 500 for text in texts) + drawn
