"""What a chat asks of several experts, and what they cannot do together."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.chats.asking import as_question, check_wishes, content_of, conversation_text, joint_sampling
from orchestrator.chats.chat_body import ChatBody
from orchestrator.errors import RequestError

TOOL = {"type": "function", "function": {"name": "look"}}


def chat(model: str = "vote", **fields: Any) -> ChatBody:
    messages = [{"role": "user", "content": "Which word?"}]
    return ChatBody.model_validate({"model": model, "messages": messages, **fields})


def test_the_last_user_turn_is_the_question_and_lettered_options_make_it_a_choice() -> None:
    question, turns = as_question(chat(collegium={"choices": {"A": "yes", "B": "no"}}))
    assert (question.question, question.kind, turns.history) == ("Which word?", "choice", ())


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (chat(tools=[TOOL]), "tools: several experts cannot share tools"),
        (chat(n=2), "n: several experts give one answer together"),
        (chat("mixture", n=2, collegium={"kind": "text"}), "n: several experts"),
        (chat("mixture", n=2, collegium={"choices": {"A": "x", "B": "y"}}), "n: several experts"),
    ],
)
def test_what_several_experts_cannot_do_together_is_refused(body: ChatBody, named: str) -> None:
    with pytest.raises(RequestError, match=named):
        as_question(body)


@pytest.mark.parametrize(
    "field", [{"logprobs": True}, {"ignore_eos": True}, {"response_format": {"type": "json_object"}}]
)
def test_settings_of_one_reply_are_refused(field: dict[str, Any]) -> None:
    with pytest.raises(RequestError, match=next(iter(field))):
        joint_sampling(chat(**field), 100)


@pytest.mark.parametrize(
    ("wish", "knows"),
    [({"calls": 3.0}, "by_need"), ({"recruit": 2}, "recruits"), ({"preset": "budget"}, "fuses")],
)
def test_a_wish_that_a_model_does_not_know_is_refused_by_name(wish: dict[str, Any], knows: str) -> None:
    (name,) = wish
    with pytest.raises(RequestError, match=rf"collegium\.{name}: "):
        check_wishes(chat(collegium=wish))
    check_wishes(chat(collegium=wish), **{knows: True})
    check_wishes(chat(collegium={"recruit": 1, "explain": True}))


def test_the_conversation_is_its_turns_and_else_the_system_prompt() -> None:
    system = ("system", "Be brief.")
    assert conversation_text([system]) == "Be brief."
    assert conversation_text([system, ("user", "a"), ("assistant", "b")]) == "a\n\nb"
    assert content_of("x", []) == "x"
