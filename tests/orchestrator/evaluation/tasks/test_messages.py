"""Chat messages as a question: one text, images apart, and the reply that ends it."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.evaluation.tasks.cells import CellError
from orchestrator.evaluation.tasks.messages import Chat, is_chat, read


def test_a_chat_is_one_text_and_its_last_reply_is_set_apart() -> None:
    alone = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi?"}]
    assert read(alone, "m") == Chat("Be kind.\n\nHi?", (), None)
    shared = [{"from": "human", "value": "1?"}, {"from": "gpt", "value": "2"}, {"from": "human", "value": "3?"}]
    assert read(shared, "m").text == "User: 1?\n\nAssistant: 2\n\nUser: 3?"
    assert read([*shared, {"from": "gpt", "value": "4"}], "m") == Chat(read(shared, "m").text, (), "4")


def test_images_are_kept_apart() -> None:
    parts = [{"type": "text", "text": "See"}, {"type": "image_url", "image_url": {"url": "u"}}]
    assert read([{"role": "user", "content": parts}], "m") == Chat("See", ("u",), None)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([{"role": "robot", "content": "x"}], r"m\[0\]: role 'robot' is none of"),
        ([{"role": "system", "content": "x"}], "m: no message of the user"),
        ([{"role": "user", "content": 7}], r"m\[0\]: content must be text"),
        ([{"role": "user", "content": [{"type": "audio"}]}], r"a part of type 'audio' is not read"),
    ],
)
def test_what_is_no_chat_is_named(value: Any, message: str) -> None:
    with pytest.raises(CellError, match=message):
        read(value, "m")


def test_only_messages_are_a_chat() -> None:
    assert is_chat([{"role": "user"}])
    assert not any(is_chat(value) for value in ("text", [], [{"text": "x"}], None))
