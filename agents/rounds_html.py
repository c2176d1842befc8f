"""The rounds of a conversation as HTML for notebooks: who answered what in which round, and who had read whom."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

MAX_CELLS = 400
"""Replies that are drawn; of more, the first."""
COLUMN, LINE, RADIUS = 120, 34, 9
"""Of the picture, pixels."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One reply in the picture and in the table."""

    round: int
    seat: int
    right: bool | None
    """None: not known."""
    answer: str | None
    """None: it abstains."""
    confidence: float | None
    text: str
    error: str | None
    """Why there is no reply."""


def rounds_html(
    head: tuple[str, str],
    verdict: tuple[str, str],
    seats: Sequence[str],
    cells: Sequence[Cell],
    edges: Sequence[tuple[int, int]],
) -> str:
    """A picture of the influence (rounds are columns, seats are lines), and a table with the replies to unfold.

    head: (discussion, question); verdict: (answer, how it came about); edges: (from, to), places in `cells`, forward
    in time. All text is escaped; there are no scripts.
    """
    drawn = cells[:MAX_CELLS]
    count = 1 + max((cell.round for cell in cells), default=-1)
    rows = []
    for number, name in enumerate(seats):
        replies = {cell.round: _details(cell) for cell in drawn if cell.seat == number}
        columns = "".join(f"<td>{replies.get(round, '')}</td>" for round in range(count))
        rows.append(f"<tr><th>{html.escape(name)}</th>{columns}</tr>")
    titles = "".join(f"<th>round {round}</th>" for round in range(count))
    table = f"<table><tr><th></th>{titles}</tr>{''.join(rows)}</table>"
    above = f"<b>{html.escape(head[0])}</b>: {html.escape(head[1][:2000])}"
    below = f"<b>{html.escape(verdict[0])}</b>{html.escape(verdict[1])}"
    return f"<div><p>{above}</p>{_picture(seats, drawn, edges, count)}{table}<p>{below}</p></div>"


def _details(cell: Cell) -> str:
    mark = "" if cell.right is None else "✓ " if cell.right else "✗ "
    answer = cell.error or cell.answer
    sure = "" if cell.confidence is None else f" ({cell.confidence:.2f})"
    label = html.escape(str(answer)[:200]) if answer else "—"
    return f"<details><summary>{mark}{label}{sure}</summary><pre>{html.escape(cell.text)}</pre></details>"


def _picture(seats: Sequence[str], cells: Sequence[Cell], edges: Sequence[tuple[int, int]], rounds: int) -> str:
    at = [(COLUMN * cell.round + COLUMN // 2, LINE * cell.seat + LINE // 2) for cell in cells]
    lines = "".join(
        f'<line x1="{at[start][0]}" y1="{at[start][1]}" x2="{at[end][0]}" y2="{at[end][1]}" stroke="#999"/>'
        for start, end in edges
        if end < len(at)
    )
    nodes = "".join(
        f'<circle cx="{x}" cy="{y}" r="{RADIUS}" fill="{_colour(cell)}"><title>'
        f"{html.escape(f'{seats[cell.seat]}: {cell.answer}')}</title></circle>"
        for (x, y), cell in zip(at, cells, strict=True)
    )
    size = f'width="{COLUMN * max(1, rounds)}" height="{LINE * len(seats)}"'
    return f'<svg {size} role="img" aria-label="who read whom">{lines}{nodes}</svg>'


def _colour(cell: Cell) -> str:
    if cell.answer is None:
        return "#bbb"
    return "#4477aa" if cell.right is None else "#228833" if cell.right else "#cc3311"
