"""The aggregator that writes: thoughts stripped, replies bounded, the vote where it fails."""

from __future__ import annotations

import pytest

from agents.aggregate import prompt, synthesise
from agents.prompts import Messages
from agents.question import Question
from agents.votes import OPTIONS, majority, options_of

SUM = Question(id="q", question="What is 2 + 2?", kind="number", answer="4")
REPLIES = ("Two and two.\nAnswer: 5", "<think>hmm, 4?</think>Counting.\nAnswer: 4", "Fives.\nAnswer: 5")
VOTE = majority(["5", "4", "5"])


class Model:
    """Answers with one text, and remembers what it was asked."""

    def __init__(self, text: str | None) -> None:
        self.text = text
        self.asked: list[str] = []

    async def __call__(self, messages: Messages) -> str | None:
        self.asked.append(messages[-1]["content"])
        return self.text


async def test_the_model_may_overrule_the_vote() -> None:
    model = Model("The second is right.\nAnswer: 4.0")
    found = await synthesise(model, SUM, REPLIES, VOTE)
    assert (found.answer, found.by_vote) == ("4", False)
    assert "Counting." in model.asked[0]
    assert "hmm" not in model.asked[0]
    assert model.asked[0] == prompt(SUM, REPLIES)[-1]["content"]


@pytest.mark.parametrize("text", [None, "", "I cannot say.", "<think>Answer: 4", "<think>4</think>"])
async def test_where_it_gives_no_answer_the_vote_stands(text: str | None) -> None:
    found = await synthesise(Model(text), SUM, REPLIES, VOTE)
    assert (found.answer, found.by_vote) == ("5", True)


@pytest.mark.parametrize("given", [["4", "4", None], [None, None, None]])
async def test_nobody_is_asked_where_there_is_nothing_to_weigh(given: list[str | None]) -> None:
    model = Model("Answer: 9")
    found = await synthesise(model, SUM, REPLIES, majority(given))
    assert (found.answer, found.by_vote, model.asked) == (given[0], True, [])


def test_the_prompt_is_bounded_however_long_and_many_the_replies() -> None:
    assert len(prompt(SUM, ["word " * 200_000] * 1_000)[-1]["content"]) < 20_000


@pytest.mark.parametrize(
    ("text", "reply"),
    [
        ("plainly", "plainly"),
        ("<think>secret</think> plainly", "plainly"),
        ("secret</think>plainly", "plainly"),
        ("plainly\n<think>secret", "plainly"),
        ("<|channel|>analysis<|message|>secret<|end|><|channel|>final<|message|>plainly", "plainly"),
        ("<think>secret", ""),
    ],
)
def test_the_prompt_holds_replies_without_their_thoughts(text: str, reply: str) -> None:
    (*_, message) = prompt(SUM, [text, "Fives."])
    assert "secret" not in message["content"]
    assert ("plainly" in message["content"]) is bool(reply)
    assert message == prompt(SUM, [reply, "Fives."] if reply else ["Fives."])[-1]


def test_how_many_answers_a_question_allows() -> None:
    letters = {letter: letter.lower() for letter in "ABCD"}
    assert options_of(Question(id="q", question="?", kind="choice", choices=letters)) == 4
    assert options_of(Question(id="q", question="?", kind="choice", choices={"A": "a"})) == 2
    assert options_of(Question(id="q", question="?", kind="yesno")) == 2
    assert options_of(SUM) == OPTIONS
