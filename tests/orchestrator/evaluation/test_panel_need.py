"""Escalation by need: when a panel is asked on, fitted on validation replies."""

from __future__ import annotations

import numpy as np
import pytest

from agents.question import Question
from agents.reply import Reply
from agents.votes import log_odds, options_of
from orchestrator.evaluation.answering import ExpertReply
from orchestrator.evaluation.panel_need import CALLS, NOT_WORTH, fit_panel_need

PANEL = ("a", "b", "c", "d")
CHANCES = {0.9: 0.83, 0.5: 0.23}
"""Of being right, by stated confidence, where 55% are and four in five of them are sure."""


def replies(count: int, skill: float, *, copies: bool = False, silent: int = 0, seed: int = 0) -> list[ExpertReply]:
    """Each expert right with `skill`, or as the first one (`copies`); the last `silent` questions lack expert d."""
    rng = np.random.default_rng(seed)
    found = []
    for number in range(count):
        question = Question(
            id=f"q{number}",
            task="t",
            question=f"What is {number}?",
            kind="choice",
            answer="A",
            choices=dict(zip("ABCD", ("one", "two", "three", "four"), strict=True)),
        )
        first = str(rng.choice(["A", "B", "C", "D"], p=[skill, *[(1 - skill) / 3] * 3]))
        for name in PANEL:
            given = first if copies else str(rng.choice(["A", "B", "C", "D"], p=[skill, *[(1 - skill) / 3] * 3]))
            if not (name == "d" and number >= count - silent):
                sure = 0.9 if rng.random() < (0.8 if given == "A" else 0.2) else 0.5
                found.append(ExpertReply(question, name, Reply(given, "", given, sure), given == "A", None))
    return found


def asked(answered: list[ExpertReply], calls: float) -> tuple[float, float]:
    """(mean replies per question, share right) of the rule on these questions."""
    found = fit_panel_need(answered, PANEL, "stated")
    assert found is not None
    enough, by_question = found.asking(calls), {}
    for one in answered:
        by_question.setdefault(one.question.id, []).append(one)
    spent, right = [], []
    for rows in by_question.values():
        for size in range(1, len(rows) + 1):
            verdict = log_odds(
                [one.reply.answer for one in rows[:size]],
                [CHANCES[one.reply.confidence] for one in rows[:size]],
                found.odds,
                options=options_of(rows[0].question),
            )
            if size == len(rows) or enough(size, verdict, options_of(rows[0].question)) is not None:
                break
        spent.append(size)
        right.append(verdict.answer == "A")
    return float(np.mean(spent)), float(np.mean(right))


def test_as_many_are_asked_as_the_calls_allow_and_more_are_right() -> None:
    answered = replies(400, 0.55)
    two, three = asked(answered, 2.0), asked(answered, CALLS)
    assert 1.2 < two[0] < 2.3
    assert two[0] < three[0] < 3.3
    assert three[1] > np.mean([one.right for one in answered]) + 0.04


def test_copies_of_one_expert_are_worth_no_call() -> None:
    found = fit_panel_need(replies(300, 0.6, copies=True), PANEL, "stated")
    assert found is not None
    assert found.asking(3.0)(1, log_odds(["A"], [0.2], found.odds), 4.0) == NOT_WORTH


def test_questions_that_not_all_replied_to_are_left_out_and_too_few_give_no_rule() -> None:
    assert fit_panel_need(replies(40, 0.6, silent=31), PANEL, "stated") is None
    found = fit_panel_need(replies(40, 0.6, silent=5), PANEL, "stated")
    assert found is not None
    assert found.need.plain
    assert fit_panel_need([one for one in replies(40, 0.6) if one.expert == "a"], ("a",), "stated") is None


@pytest.mark.parametrize("kind", ["stated", "tokens"])
def test_the_fit_is_the_same_each_time(kind: str) -> None:
    one, other = (fit_panel_need(replies(60, 0.6), PANEL, kind) for _ in range(2))  # type: ignore[arg-type]
    assert one is not None
    assert other is not None
    assert one.odds == other.odds
    assert np.array_equal(one.need.gains, other.need.gains)
