"""Chat messages as a question: what was said, in order, as one text; images apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.evaluation.tasks.cells import CellError, kind_in_words

_ROLES = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "model": "assistant",
}
_NAMES = {"user": "User", "assistant": "Assistant"}


@dataclass(frozen=True, slots=True)
class Chat:
    """A conversation up to the reply that is asked for."""

    text: str
    """One user message is that message, a system message stands in front of it; longer chats name the speakers."""
    images: tuple[Any, ...]
    reply: str | None
    """The assistant's last message, where the chat ends with one: what was answered."""


def is_chat(value: Any) -> bool:
    """Whether a cell holds messages: `{"role", "content"}`, or `{"from", "value"}` as ShareGPT has it."""
    return (
        not isinstance(value, str)
        and isinstance(value, Sequence)
        and bool(value)
        and all(isinstance(one, Mapping) and ("role" in one or "from" in one) for one in value)
    )


def read(value: Sequence[Mapping[str, Any]], key: str) -> Chat:
    """Read messages. Raises CellError naming the message."""
    history: list[tuple[str, str]] = []
    images: list[Any] = []
    for number, message in enumerate(value):
        where = f"{key}[{number}]"
        role = _ROLES.get(str(message.get("role", message.get("from"))).lower())
        if role is None:
            raise CellError(where, f"role {message.get('role', message.get('from'))!r} is none of {', '.join(_ROLES)}")
        text, seen = _content(message.get("content", message.get("value")), where)
        images += seen
        history.append((role, text))
    reply = history.pop()[1] if history[-1][0] == "assistant" else None
    if not any(role == "user" for role, _ in history):
        raise CellError(key, "no message of the user in it")
    system = [text for role, text in history if role == "system"]
    turns = [(role, text) for role, text in history if role != "system"]
    lines = [turns[0][1]] if len(turns) == 1 else [f"{_NAMES[role]}: {text}" for role, text in turns]
    return Chat("\n\n".join([*system, *lines]), tuple(images), reply)


def ends_with_reply(value: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the last message is one of the assistant."""
    return _ROLES.get(str(value[-1].get("role", value[-1].get("from"))).lower()) == "assistant"


def last_reply(value: Sequence[Mapping[str, Any]], key: str) -> str:
    """The reply of the assistant with which messages end. Raises CellError where they end otherwise."""
    if not ends_with_reply(value):
        raise CellError(key, f"{len(value)} messages that do not end with a reply of the assistant")
    text, images = _content(value[-1].get("content", value[-1].get("value")), key)
    if images or not text.strip():
        raise CellError(key, "the assistant's reply must be text that is not empty")
    return text


def _content(content: Any, where: str) -> tuple[str, list[Any]]:
    if isinstance(content, str):
        return content, []
    if not isinstance(content, list):
        raise CellError(where, f"content must be text or a list of parts, is {kind_in_words(content)}")
    texts, images = [], []
    for part in content:
        kind = part.get("type") if isinstance(part, Mapping) else None
        if isinstance(part, str):
            texts.append(part)
        elif kind in ("text", "input_text"):
            texts.append(str(part.get("text", "")))
        elif kind in ("image_url", "input_image"):
            url = part.get("image_url")
            images.append(url.get("url") if isinstance(url, Mapping) else url)
        else:
            raise CellError(where, f"a part of type {kind!r} is not read: there are text and image_url")
    return "\n".join(texts), images
