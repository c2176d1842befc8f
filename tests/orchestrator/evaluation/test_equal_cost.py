"""Self-consistency at the cost of a discussion: in calls, in tokens, and in dollars where prices are known."""

from __future__ import annotations

from dataclasses import replace

from agents.question import Question
from agents.transcript import Seat, Transcript, Turn
from orchestrator.evaluation.answering import ExpertReply
from orchestrator.evaluation.equal_cost import MAX_SAMPLES, cost_points, samples_for
from orchestrator.evaluation.methods import Answer, MethodOutcome
from orchestrator.inference.expert import Expert, Prices
from orchestrator.inference.request import Completion

QUESTION = Question(id="q", kind="yesno", question="Is it so?", answer="yes", task="t")
CHEAP = Expert("cheap", "cheap", "", script="m:f", prices=Prices(input=1.0, output=1.0))
DEAR = replace(CHEAP, name="dear", prices=Prices(input=10.0, output=10.0))
EXPERTS = {"cheap": CHEAP, "dear": DEAR}


def outcome(name: str, turns: list[tuple[str, int, int]]) -> MethodOutcome:
    """A discussion of one question: (model, round, tokens) a turn."""
    seats: list[tuple[str, int]] = []
    made = []
    for place, (model, number, tokens) in enumerate(turns):
        taken = sum(turn[:2] == (model, number) for turn in turns[:place])  # one model may have several seats
        if (model, taken) not in seats:
            seats.append((model, taken))
        seat = seats.index((model, taken))
        made.append(Turn(round=number, seat=seat, prompt=0, answer="yes", text="yes", completion_tokens=tokens))
    transcript = Transcript(
        question=QUESTION,
        discussion=name,
        seats=tuple(Seat(name=f"{model} {taken}", model=model) for model, taken in seats),
        prompts=((),),
        turns=tuple(made),
        answer="yes",
    )
    replies = tuple(
        ExpertReply(QUESTION, model, None, True, Completion("k", "yes", "stop", 0, tokens, (), 0.0))  # type: ignore[arg-type]
        for model, _, tokens in turns
    )
    answer = Answer(QUESTION, "yes", True, (), beside=replies)
    return MethodOutcome(name, (answer,), transcripts=(transcript,))


TALK = outcome("talk", [("dear", 0, 10), ("cheap", 0, 10), ("dear", 1, 20), ("cheap", 1, 20)])
SAMPLES = outcome("sampling", [("cheap", 0, 10)] * 40)


def test_each_unit_has_its_own_number_of_samples() -> None:
    points = {one.name: len(one.answers[0].beside) for one in cost_points([TALK], SAMPLES, EXPERTS)}
    assert points["sampling, calls of talk"] == 4
    assert points["sampling, tokens of talk"] == 6  # 60 tokens, 10 a sample
    assert points["sampling, dollars of talk"] == 33  # 330 against 10 a sample
    assert [points[f"sampling x{n}"] for n in (1, 2, 4, 8, 16, 32)] == [1, 2, 4, 8, 16, 32]


def test_without_all_prices_nothing_is_matched_in_dollars() -> None:
    unknown = {**EXPERTS, "dear": replace(DEAR, prices=None)}
    names = {one.name for one in cost_points([TALK], SAMPLES, unknown)}
    assert "sampling, tokens of talk" in names
    assert "sampling, dollars of talk" not in names


def test_samples_suffice_for_the_unit_that_buys_most() -> None:
    assert samples_for([TALK], {**EXPERTS, "dear": replace(DEAR, prices=None)}) == 6
    many = outcome("many", [("cheap", 0, 10), ("cheap", 1, 10_000)])
    assert samples_for([many], EXPERTS) == MAX_SAMPLES
    assert samples_for([], EXPERTS) == 1


def test_a_discussion_of_one_round_has_no_points() -> None:
    single = outcome("vote", [("cheap", 0, 10), ("dear", 0, 10)])
    assert all(" of " not in one.name for one in cost_points([single], SAMPLES, EXPERTS))
