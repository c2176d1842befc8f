"""One reply made of many."""

from __future__ import annotations

from typing import Any

from agents.conversation import DiscussionTerms

Stage = Any


async def test_answers_to_an_open_question_are_grouped_by_meaning_else_an_aggregator_writes(
    stage: Stage, run: Any
) -> None:
    question = stage.question("open", None)
    meaning = {"a dog": 0, "a hound": 0, "a cat": 1}
    agents = stage.agents(["Answer: a cat"], ["Barks.\nAnswer: A dog.\nConfidence: 0.9"], ["Answer: a hound"])
    terms = DiscussionTerms(same=lambda answers: [meaning.get(answer, 2) for answer in answers])
    one = await run(stage, "vote", agents, question, terms)
    assert (one.answer, one.reply) == ("a dog", "Barks.\nAnswer: A dog")
    scattered = stage.agents(["Answer: a cat", "All of them.\nAnswer: pets"], ["Answer: a dog"])
    one = await run(stage, "vote", scattered, question, terms)
    assert (one.answer, one.reply, one.seats[-1].role) == ("pets", "All of them.\nAnswer: pets", "aggregator")
