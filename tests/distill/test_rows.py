"""Lessons in tokens: which of them carry loss, and how rows are batched."""

from __future__ import annotations

from pathlib import Path

from distill.pairs import Lesson
from distill.rows import TokenRow, batched, cut
from tests.scripts.small_students import Discuss, network, rows, taught


def test_prompt_tokens_carry_loss_only_on_request(tiny: Path, discuss: Discuss) -> None:
    from distill.rows import batched

    made = network(tiny)
    (row,) = rows(made, taught(discuss()))
    assert len(batched([row]).targets) == row.targets() == sum(len(row.replies[place]) for place in row.lesson.taught)
    assert len(batched([row], True).targets) == row.targets(True) == row.targets() + len(row.prompt) - 1


def row(name: str, prompt: int, *replies: int) -> TokenRow:
    lesson = Lesson(id=name, task="", messages=[], texts=("",) * len(replies), taught=tuple(range(len(replies))))
    return TokenRow(lesson, [1] * prompt, [[2] * size for size in replies], [[True] * size for size in replies])


def test_batches_hold_rows_of_like_length_within_the_limit() -> None:
    batches = cut([row("a", 2, 8), row("b", 1, 1), row("c", 1, 1), row("d", 2, 38)], 20)
    assert [[one.lesson.id for one in batch] for batch in batches] == [["b", "c"], ["a"], ["d"]]


def test_replies_of_a_row_do_not_attend_to_one_another_and_count_from_the_prompt() -> None:
    batch = batched([row("a", 2, 2, 1)])
    assert batch.packed
    assert batch.positions.tolist() == [[0, 1, 2, 3, 2]]
    mask = batch.mask[0, 0]
    assert mask[4].tolist() == [True, True, False, False, True]  # the second reply: the prompt and itself
    assert mask[3].tolist() == [True, True, True, True, False]
    assert batch.sources.tolist() == [1, 2, 1]  # the first token of each reply is predicted by the prompt's last
