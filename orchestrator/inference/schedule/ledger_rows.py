"""Completions as rows of the ledger, whatever database has them, and what such a database does."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Protocol, cast

from orchestrator.inference.request import Completion, FinishReason, TokenLogprob, UpstreamUsage

LedgerEntry = tuple[str, Completion]
"""(expert fingerprint, completion)."""
COLUMNS = ("key", "text", "finish_reason", "prompt_tokens", "completion_tokens", "logprobs", "seconds", "upstream")
"""What `completion` reads, in this order."""


class LedgerStorage(Protocol):
    """Where the rows are kept. `insert` and `close` are called by one thread, the others by any. Every method may raise
    `StorageError`."""

    name: str
    """As errors name it."""

    def get(self, keys: Sequence[str]) -> dict[str, Completion]:
        """The completions that are known among `keys` (hex)."""
        ...

    def insert(self, entries: Sequence[LedgerEntry]) -> dict[str, Completion]:
        """Keep what is new, durably, in one transaction; what is stored where that differs from what was given."""
        ...

    def count(self) -> int:
        """Number of stored completions."""
        ...

    def check(self) -> None:
        """Raise `StorageError` where it is damaged."""
        ...

    def close(self) -> None:
        """Give the connections back."""
        ...


def row(fingerprint: str, reply: Completion) -> dict[str, Any]:
    """A completion as it is stored."""
    tokens = [[one.token, one.logprob, one.top] for one in reply.logprobs]
    stored = {"reply": tokens, "prompt": reply.prompt} if reply.prompt else tokens
    return {
        "key": bytes.fromhex(reply.key),
        "fingerprint": fingerprint,
        "text": reply.text,
        "finish_reason": reply.finish_reason,
        "prompt_tokens": reply.prompt_tokens,
        "completion_tokens": reply.completion_tokens,
        "logprobs": json.dumps(stored) if stored else None,
        "seconds": reply.seconds,
        "created": time.time(),
        "upstream": _upstream(reply),
    }


def differing(stored: Mapping[str, Completion], given: Mapping[str, Completion]) -> dict[str, Completion]:
    """Those of the stored ones that are not what was given."""
    return {key: found for key, found in stored.items() if _differ(found, given[key])}


def _upstream(reply: Completion) -> str | None:
    """What a server elsewhere told of the reply, as JSON."""
    if reply.usage is None and not reply.reasoning:
        return None
    return json.dumps({"reasoning": reply.reasoning, **(asdict(reply.usage) if reply.usage else {})})


def completion(row: Sequence[Any]) -> Completion:
    """A stored completion (`COLUMNS`), marked `cached`."""
    key, text, finish_reason, prompt_tokens, completion_tokens, logprobs, seconds, upstream = row
    upstream_usage = json.loads(upstream or "{}")
    reasoning = upstream_usage.pop("reasoning", "")
    stored = json.loads(logprobs or "[]")
    rows, prompt = (stored["reply"], stored["prompt"]) if isinstance(stored, dict) else (stored, ())
    tokens = tuple(
        TokenLogprob(token, logprob, tuple((other, value) for other, value in top)) for token, logprob, top in rows
    )
    return Completion(
        bytes(key).hex(),
        text,
        cast("FinishReason", finish_reason),
        prompt_tokens,
        completion_tokens,
        tokens,
        seconds,
        cached=True,
        reasoning=reasoning,
        usage=UpstreamUsage(**upstream_usage) if upstream_usage else None,
        prompt=tuple(tuple((id, text, value, rank) for id, text, value, rank in place) for place in prompt),
    )


def _differ(stored: Completion, given: Completion) -> bool:
    return (stored.text, stored.finish_reason, stored.completion_tokens) != (
        given.text,
        given.finish_reason,
        given.completion_tokens,
    )
