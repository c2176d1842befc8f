"""A conversation with `mixture`, as OpenAI's client has it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import openai
import pytest

SCRIPTS = """
RECIPE = (
    " Chop the onions and fry them in butter until they are golden. Add flour, stir, and pour in hot broth. Simmer the"
    " soup for twenty minutes, season it with nutmeg and pepper, and serve it with toasted bread and grated cheese."
)

def _reply(name, messages):
    text = messages[-1][1]
    if "tool_response" in text or messages[-1][0] == "tool":
        return f"{name} read it"
    if any("<tools>" in content for _, content in messages) and "look" in text:
        return '<tool_call>{"name": "look", "arguments": {}}</tool_call>'
    return f"{name} says so." + RECIPE

def words(messages, seed):
    return _reply("words", messages)

def coins(messages, seed):
    return _reply("coins", messages)
"""
COIN, WORD = "Is the coin up?", "Which word?"
LOOK = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}


class Conversation:
    """Turns of one chat with the model `mixture`, each with who answered and why."""

    def __init__(self, client: openai.AsyncOpenAI, *turns: dict[str, Any]) -> None:
        self.client = client
        self.messages: list[dict[str, Any]] = list(turns)

    async def say(self, text: str, *, stream: bool = False, **options: Any) -> tuple[str, dict[str, Any]]:
        """(whose reply it is, the explanation)"""
        self.messages.append({"role": "user", "content": text})
        return await self.go_on(stream=stream, **options)

    async def go_on(self, *, stream: bool = False, **options: Any) -> tuple[str, dict[str, Any]]:
        asked: Any = {"model": "mixture", "messages": self.messages, **options}
        if stream:
            parts = [part async for part in await self.client.chat.completions.create(stream=True, **asked)]
            text = "".join(part.choices[0].delta.content or "" for part in parts if part.choices)
            told = next(extra for part in reversed(parts) if (extra := (part.model_extra or {}).get("collegium")))
            self.messages.append({"role": "assistant", "content": text})
        else:
            reply = await self.client.chat.completions.create(**asked)
            told = (reply.model_extra or {})["collegium"]
            self.messages.append(reply.choices[0].message.model_dump(exclude_none=True))
        (expert,) = told["experts"]
        return expert, told


@pytest.fixture
def talking(profiled: dict[str, Any], tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "talking.py").write_text(SCRIPTS)
    profiled["experts"] = {name: {"script": f"talking:{name}"} for name in ("words", "coins")}
    profiled["service"]["default"] = "words"
    return profiled


def spoken(client: Any) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url="http://localhost/v1", api_key="none", http_client=client, max_retries=0)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_conversation_stays_with_its_expert_until_another_is_clearly_better(
    talking: dict[str, Any], serving: Any, stream: bool
) -> None:
    async with serving(talking) as client:
        chat = Conversation(spoken(client))
        assert (await chat.say(COIN, stream=stream))[0] == "coins"
        expert, told = await chat.say("Thanks! Please say it in a friendlier tone.", stream=stream)
        assert expert == "coins"
        assert told["evidence"][0]["kind"] == "conversation"
        assert "coins answered this conversation before" in told["evidence"][0]["label"]
        assert (await chat.say(WORD, stream=stream))[0] == "words"
        assert (await chat.say("Thanks! Please say it in a friendlier tone.", stream=stream))[0] == "words"
        # Nothing of it reaches another conversation.
        assert (await Conversation(spoken(client)).say("Thanks! Say it in a friendlier tone."))[0] == "words"


async def test_a_turn_unlike_the_profile_is_ranked_by_the_turns_before_it(
    talking: dict[str, Any], serving: Any
) -> None:
    elsewhere = [{"role": "user", "content": COIN}, {"role": "assistant", "content": "Yes, it is up."}]
    thanks = "Wonderful, cheers mate."
    async with serving(talking) as client:
        assert (await Conversation(spoken(client)).say(thanks))[0] == "words"
        expert, told = await Conversation(spoken(client), *elsewhere).say(thanks)
        assert expert == "coins"
        assert "ranked by the turns before" in told["evidence"][0]["label"]


async def test_results_of_tools_go_to_the_expert_that_called_them(talking: dict[str, Any], serving: Any) -> None:
    async with serving(talking) as client:
        chat = Conversation(spoken(client))
        expert, _ = await chat.say(f"{COIN} You may look.", tools=[LOOK])
        assert expert == "coins"
        (call,) = chat.messages[-1]["tool_calls"]
        chat.messages.append({"role": "tool", "tool_call_id": call["id"], "content": "Which word? " * 40})
        expert, _ = await chat.go_on(tools=[LOOK])
        assert expert == "coins"
        assert chat.messages[-1]["content"].startswith("coins read")


async def test_two_hundred_turns_stay_with_one_expert(talking: dict[str, Any], serving: Any) -> None:
    async with serving(talking) as client:
        chat = Conversation(spoken(client))
        await chat.say(COIN)
        for n in range(98):
            chat.messages += [{"role": "user", "content": f"Tell me more, part {n}."}]
            chat.messages += [{"role": "assistant", "content": f"part {n} it is"}]
        assert (await chat.say("Tell me more, the last part."))[0] == "coins"


async def test_several_choices_of_a_counted_answer_are_refused(talking: dict[str, Any], serving: Any) -> None:
    async with serving(talking) as client:
        asked: Any = {"n": 2, "extra_body": {"collegium": {"choices": {"A": "yes", "B": "no"}}}}
        with pytest.raises(openai.BadRequestError, match="several experts give one answer together"):
            await spoken(client).chat.completions.create(
                model="mixture", messages=[{"role": "user", "content": COIN}], **asked
            )
