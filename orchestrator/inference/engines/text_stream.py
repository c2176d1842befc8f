"""Token ids in, text out: whole characters only, and nothing that might yet turn out to be a stop string."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

CONTEXT = 5
"""Tokens decoded again with each new one: a token's text depends on its neighbours (spaces, split characters)."""


class TextStream:
    """The text of one reply as its tokens arrive."""

    def __init__(self, tokenizer: Any, stop: Sequence[str] = (), kept: frozenset[int] = frozenset()) -> None:
        """`kept`: special tokens whose text is shown; the others' is left out."""
        self._dropped = frozenset(tokenizer.all_special_ids) - kept if kept else frozenset()
        self._tokenizer = tokenizer
        self._stop = tuple(stop)
        self._hold = max((len(text) for text in stop), default=1) - 1
        self._ids: list[int] = []
        self._from = self._shown = 0
        self._held = ""
        self.stopped = False

    def ids_of(self, text: str) -> list[int]:
        """The tokens of a text that is put into the reply."""
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def push(self, token: int) -> str:
        """What may be shown now. Sets `stopped` when a stop string is complete; it and what follows stay hidden."""
        self._ids.append(token)
        before = self._decode(self._from, self._shown)
        now = self._decode(self._from, len(self._ids))
        if now.endswith("�"):  # in the middle of a character
            return ""
        self._shown = len(self._ids)
        self._from = max(0, self._shown - CONTEXT)
        self._held += now[len(before) :]
        return self._release()

    def flush(self) -> str:
        """The rest, when no more tokens come."""
        before = self._decode(self._from, self._shown)
        self._held += self._decode(self._from, len(self._ids))[len(before) :]
        self._shown = len(self._ids)
        self._hold = 0
        return "" if self.stopped else self._release()

    def _release(self) -> str:
        found = [position for text in self._stop if (position := self._held.find(text)) >= 0]
        if found:
            self.stopped = True
            text, self._held = self._held[: min(found)], ""
            return text
        keep = len(self._held) - self._hold if self._hold else len(self._held)
        text, self._held = self._held[: max(keep, 0)], self._held[max(keep, 0) :]
        return text

    def _decode(self, start: int, stop: int) -> str:
        ids = self._ids[start:stop]
        if self._dropped:
            ids = [token for token in ids if token not in self._dropped]
        text: str = self._tokenizer.decode(
            ids, skip_special_tokens=not self._dropped, clean_up_tokenization_spaces=False
        )
        return text
