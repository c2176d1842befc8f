"""A transcript as HTML for notebooks: who answered what in which round, who had read whom, and what was said."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agents.transcript import Transcript, Turn

MOST_CELLS = 400
"""Turns that are shown; of more, the first."""
COLUMN, LINE, RADIUS = 120, 34, 9
"""Of the picture, pixels."""


def transcript_html(transcript: Transcript) -> str:
    """A picture of the influence (rounds are columns, seats are lines), and a table with the replies to unfold. All
    text is escaped; there are no scripts."""
    turns = transcript.turns[:MOST_CELLS]
    question = transcript.question
    sure = "" if transcript.confidence is None else f" ({transcript.confidence:.2f})"
    head = f"<b>{html.escape(transcript.discussion)}</b>: {html.escape(question.question[:2000])}"
    verdict = f"<b>{html.escape(str(transcript.answer))}</b>{sure}, {html.escape(transcript.stopped or 'ended')}"
    rows = []
    for number, seat in enumerate(transcript.seats):
        cells = {turn.round: _cell(transcript, turn) for turn in turns if turn.seat == number}
        replies = "".join(f"<td>{cells.get(round, '')}</td>" for round in range(transcript.rounds))
        rows.append(f"<tr><th>{html.escape(seat.name)}</th>{replies}</tr>")
    titles = "".join(f"<th>round {round}</th>" for round in range(transcript.rounds))
    table = f"<table><tr><th></th>{titles}</tr>{''.join(rows)}</table>"
    cost = f"{transcript.calls} calls, {transcript.tokens} tokens"
    return f"<div><p>{head}</p>{_picture(transcript, turns)}{table}<p>{verdict}; {cost}</p></div>"


def _cell(transcript: Transcript, turn: Turn) -> str:
    right = transcript.is_right(turn.answer)
    mark = "" if right is None else "✓ " if right else "✗ "
    answer = turn.error or turn.answer
    sure = "" if turn.confidence is None else f" ({turn.confidence:.2f})"
    shown = html.escape(str(answer)[:200]) if answer else "—"
    return f"<details><summary>{mark}{shown}{sure}</summary><pre>{html.escape(turn.text)}</pre></details>"


def _picture(transcript: Transcript, turns: tuple[Turn, ...]) -> str:
    at = [(COLUMN * turn.round + COLUMN // 2, LINE * turn.seat + LINE // 2) for turn in turns]
    lines = "".join(
        f'<line x1="{at[start][0]}" y1="{at[start][1]}" x2="{at[end][0]}" y2="{at[end][1]}" stroke="#999"/>'
        for start, end in transcript.edges()
        if end < len(at)
    )
    nodes = "".join(
        f'<circle cx="{x}" cy="{y}" r="{RADIUS}" fill="{_colour(transcript, turn)}"><title>'
        f"{html.escape(f'{transcript.seats[turn.seat].name}: {turn.answer}')}</title></circle>"
        for (x, y), turn in zip(at, turns, strict=True)
    )
    width, height = COLUMN * max(1, transcript.rounds), LINE * len(transcript.seats)
    return f'<svg width="{width}" height="{height}" role="img" aria-label="who read whom">{lines}{nodes}</svg>'


def _colour(transcript: Transcript, turn: Turn) -> str:
    right = transcript.is_right(turn.answer)
    if turn.abstains or right is None:
        return "#bbb" if turn.abstains else "#4477aa"
    return "#228833" if right else "#cc3311"
