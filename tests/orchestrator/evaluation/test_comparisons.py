"""A report compares what its methods' traits say, whatever they are called."""

from __future__ import annotations

import pytest

from agents.question import Question
from orchestrator.evaluation.comparisons import comparisons
from orchestrator.evaluation.methods import METHODS, Answer, MethodOutcome
from orchestrator.evaluation.methods.discussion import own_method

KNOWN = {method.name: method for method in METHODS}
QUESTIONS = [Question(id=str(number), question="?", kind="text", answer="x") for number in range(4)]


def outcome(name: str, role: str = "method", equals: str = "") -> MethodOutcome:
    answers = tuple(Answer(question, "x", True, ()) for question in QUESTIONS)
    return MethodOutcome(name, answers, role=role, equals=equals)  # type: ignore[arg-type]


def pairs(*names: str) -> list[tuple[str, str]]:
    found = comparisons([outcome(name) for name in names], [KNOWN[name] for name in KNOWN if name in names], 0)
    return [(one.method, one.baseline) for one in found]


def test_every_method_is_compared_with_the_best_expert_and_the_headline_comes_first() -> None:
    assert pairs("vote", "best", "mixture", "single") == [("mixture", "best"), ("vote", "best")]
    assert pairs("moa", "reconcile", "weighted-vote", "best")[:3] == [
        ("reconcile", "best"),
        ("weighted-vote", "best"),
        ("moa", "best"),
    ]


def test_without_the_best_expert_the_lead_alone_is_the_reference() -> None:
    assert pairs("single", "mixture") == [("mixture", "single")]
    assert pairs("mixture", "vote") == []


@pytest.mark.parametrize(
    ("talk", "votes"), [("reconcile", ["vote", "weighted-vote", "reconcile-same-model"]), ("self-refine", [])]
)
def test_talk_must_beat_its_panels_votes_and_samples_at_its_own_cost(talk: str, votes: list[str]) -> None:
    names = [talk, "vote", "weighted-vote", "reconcile-same-model", "self-consistency"]
    point = outcome(f"self-consistency for {talk}", role="point", equals=talk)
    spoke = MethodOutcome(talk, outcome(talk).answers, transcripts=(_Talk(),))  # type: ignore[arg-type]
    others = [outcome(name) for name in names[1:]]
    found = comparisons([spoke, *others, point], [KNOWN[name] for name in KNOWN if name in names], 0)
    assert [one.baseline for one in found if one.method == talk] == [*votes, "self-consistency", point.name]


def test_a_discussion_of_ones_own_is_compared_too() -> None:
    mine = own_method("mine", None)  # type: ignore[arg-type]
    found = comparisons([outcome("best"), outcome("mine")], [KNOWN["best"], mine], 0)
    assert [(one.method, one.baseline) for one in found] == [("mine", "best")]


class _Talk:
    rounds = 2
