"""A transcript for the terminal: rounds as columns, agents as rows, changes of mind marked."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from agents.transcript import Transcript, Turn
from orchestrator.evaluation.report.formats import plain, short


def transcript_table(one: Transcript, reasoning: int = 60) -> Table:
    """`reasoning`: characters of each reply's reasoning that are shown."""
    table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
    table.add_column("Agent", no_wrap=True)
    for number in range(one.rounds):
        table.add_column("First reply" if number == 0 else f"Round {number}")
    for place, seat in enumerate(one.seats):
        turns = {turn.round: turn for turn in one.turns if turn.seat == place}
        if turns:
            role = f" ({seat.role})" if seat.role else ""
            cells = [_cell(one, turns.get(number), turns.get(number - 1), reasoning) for number in range(one.rounds)]
            table.add_row(Text(plain(f"{seat.name}{role}")), *cells)
    table.add_section()
    for rule in dict.fromkeys(vote.rule for vote in one.votes):
        votes = [one.vote(rule, number) for number in range(one.rounds)]
        verdicts = [
            Text(f"{plain(one.as_written(vote.answer) or 'none')} {vote.share:.0%}" if vote else "", style="bold")
            for vote in votes
        ]
        table.add_row(Text(rule, style="dim"), *verdicts)
    return table


def _cell(one: Transcript, turn: Turn | None, before: Turn | None, reasoning: int) -> Text:
    if turn is None:
        return Text()
    if turn.error is not None:
        return Text("no reply", style="red")
    right = one.is_right(turn.answer)
    style = "" if right is None else "green" if right else "red"
    text = Text(
        short(plain(turn.displayed), 24) if turn.displayed is not None else "abstains", style=f"bold {style}".strip()
    )
    if turn.stated is not None:
        text.append(f" says {turn.stated:.0%}", style="not bold dim")
    if before is not None and None not in (before.answer, turn.answer) and before.answer != turn.answer:
        text.append(" ↻ changed", style="not bold yellow")
    if turn.reasoning:
        text.append(f"\n{short(plain(turn.reasoning), reasoning)}", style="not bold dim")
    return text
