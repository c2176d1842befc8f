"""Prompts that are no chats, and replies that begin with them (`Sampling.echo`)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

from orchestrator.errors import RequestError
from orchestrator.inference.request import PROMPT, PROMPT_IDS, Delta, PromptMessage, Request, TokenLogprob


def is_plain(messages: Sequence[PromptMessage]) -> bool:
    """Whether a request is no chat but a prompt as it is."""
    return bool(messages) and messages[0][0] in (PROMPT, PROMPT_IDS)


def refuse_plain(request: Request, why: str) -> None:
    """For engines that only hold chats, and know no prompt's tokens. Raises `RequestError`."""
    if request.sampling.prompt_logprobs is not None:
        raise RequestError(f"prompt_logprobs: {why}, and tells nothing of a prompt's tokens")
    if is_plain(request.messages) or request.sampling.echo:
        raise RequestError(f"prompt: {why}; send messages to /v1/chat/completions")


def token_ids(content: str) -> list[int]:
    """The ids of a message with the role `prompt_ids`."""
    return [int(token) for token in json.loads(content)]


def check_ids(ids: Sequence[int], vocabulary: int) -> None:
    """Raises `RequestError` for a prompt without tokens, or with one that the model does not have."""
    if not ids:
        raise RequestError("prompt: it has no tokens; send at least one")
    if not 0 <= min(ids) <= max(ids) < vocabulary:
        wrong = next(token for token in ids if not 0 <= token < vocabulary)
        raise RequestError(f"prompt: token {wrong} is not in the vocabulary of {vocabulary}")


@dataclass(slots=True)
class Echo:
    """What a reply begins with. Give it to the reply's first delta."""

    text: str
    logprobs: tuple[TokenLogprob, ...] = ()
    alone: bool = False
    """Nothing follows: what the engine generated, since it must generate something, is left out."""

    def before(self, delta: Delta) -> Delta:
        """The reply's first delta, with the prompt before it."""
        if delta.error is not None:
            return delta
        if self.alone:
            return replace(delta, text=self.text, tokens=0, logprobs=self.logprobs, finish_reason="length")
        return replace(delta, text=self.text + delta.text, logprobs=self.logprobs + delta.logprobs)
