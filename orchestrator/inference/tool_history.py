"""What a conversation with tools has besides its texts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class ToolHistory:
    """The tools that are offered, and the calls and results among the messages so far."""

    definitions: Sequence[Mapping[str, Any]] = ()
    """In OpenAI's form: {"type": "function", "function": {"name", "description", "parameters"}}."""
    choice: str | Mapping[str, Any] | None = None
    """OpenAI's tool_choice, for servers that know it; local engines are held to `Sampling.structured`."""
    parallel: bool | None = None
    turns: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)
    """Number of a message -> its further fields: tool_calls, tool_call_id, name."""

    def __hash__(self) -> int:
        return hash(self.canonical())

    @property
    def names(self) -> frozenset[str]:
        """The names of the tools."""
        return frozenset(definition["function"]["name"] for definition in self.definitions)

    def canonical(self) -> str:
        """Canonical JSON, as ledger keys contain it: equal for equal records."""
        turns = {str(number): fields for number, fields in self.turns.items()}
        body = {"tools": self.definitions, "choice": self.choice, "parallel": self.parallel, "turns": turns}
        return json.dumps(body, sort_keys=True, ensure_ascii=False)
