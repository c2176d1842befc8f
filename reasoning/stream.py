"""What a model thinks is kept apart from what it says, delta by delta, for every engine and every remote server.

A reply that begins with a thinking mark (`<think>`, `[THINK]`, `◁think▷`, `<|START_THINKING|>` and their like) is
thought up to the closing mark; one that nobody closed is thought to its end, and nothing was said. A prompt that ends
with such a mark opens the thought, too (`opened`). gpt-oss's channels are sorted once the reply is whole. A closing
mark alone ends a thought that a server's template opened: the completion is separated, a stream has shown it before.
Marks in the middle of a reply are text: `reasoning.text` separates them where an answer is read.
"""

from __future__ import annotations

import re

from reasoning.text import separate

_MARKS = {
    "<think>": "</think>",
    "<seed:think>": "</seed:think>",
    "[think]": "[/think]",
    "◁think▷": "◁/think▷",
    "<|start_thinking|>": "<|end_thinking|>",
    "<|begin_of_thought|>": "<|end_of_thought|>",
    "<|inner_prefix|>": "<|inner_suffix|>",
}
_CHANNELS = ("<|channel|>", "<|start|>assistant<|channel|>")
_BARE = re.compile(r"(?:analysis|commentary)(?=[A-Z\s])")
_BARE_LONGEST = len("commentary") + 1
_CLOSED_ONLY = re.compile(r"(?<!`)</think>(?!`)(?=[ \t]*(?:\n|\Z))", re.IGNORECASE)
_OPENED = re.compile(rf"({'|'.join(map(re.escape, _MARKS))})\s*\Z", re.IGNORECASE)


def opened(prompt_end: str) -> str:
    """The thinking mark with which a prompt ends, so that the reply begins inside a thought; else empty."""
    found = _OPENED.search(prompt_end)
    return found.group(1) if found else ""


def is_mark(text: str) -> bool:
    """The text is a mark that opens or closes a thought."""
    return text.lower() in _MARKS or text.lower() in _MARKS.values()


class ThoughtSplitter:
    """Separates one reply while it arrives. Linear in the reply's length."""

    def __init__(self) -> None:
        self._held = ""
        self._state = "begin"
        self._close = self._mark = ""

    @property
    def thinking(self) -> bool:
        """The reply is inside a thought that a mark opened."""
        return self._state == "thought"

    @property
    def replying(self) -> bool:
        """It is clear that what comes is the reply itself."""
        return self._state == "said"

    @property
    def closing(self) -> str:
        """The mark that closes the thought, in capitals where it was opened so; empty before one was opened."""
        return self._close.upper() if self._mark.isupper() else self._close

    def feed(self, text: str, *, last: bool = False) -> tuple[str, str]:
        """(reply, thought) that `text` adds; what may be part of a mark is held back until it is clear, or `last`."""
        self._held += text
        reply, thought = "", ""
        while True:
            state = self._state
            if state in ("begin", "after"):
                self._begin(last)
            elif state == "thought":
                thought += self._think(last)
            elif state == "channels":
                if last:
                    whole = separate(self._held)
                    reply, thought, self._held = reply + whole.reply, thought + whole.thoughts, ""
            else:
                reply, self._held = reply + self._held, ""
            if self._state == state:
                return reply, thought

    def _begin(self, last: bool) -> None:
        bare = self._held.lstrip()
        if not bare and not last:
            return
        low = bare[:40].lower()
        for mark, close in _MARKS.items():
            if low.startswith(mark):
                self._mark, self._close = bare[: len(mark)], close
                self._held, self._state = bare[len(mark) :], "thought"
                return
        if bare.startswith(_CHANNELS) or _BARE.match(bare):
            self._state = "channels"
            return
        marks = (*_MARKS, *_CHANNELS, "analysis", "commentary")
        unclear = len(bare) < _BARE_LONGEST + 20 and any(mark.startswith(low) for mark in marks)
        if last or not unclear:
            # White space between a thought and what is said belongs to neither.
            self._held = bare if self._state == "after" else self._held
            self._state = "said"

    def _think(self, last: bool) -> str:
        place = self._held.lower().find(self._close)
        if place >= 0:
            thought = self._held[:place]
            self._held, self._state = self._held[place + len(self._close) :], "after"
            return thought
        keep = 0 if last else len(self._close) - 1
        cut = max(len(self._held) - keep, 0)
        thought, self._held = self._held[:cut], self._held[cut:]
        return thought


def without_opened_thought(text: str) -> tuple[str, str]:
    """(said, thought) of a whole reply whose thought was opened by its prompt: all in front of the closing mark."""
    found = _CLOSED_ONLY.search(text)
    return (text, "") if found is None else (text[found.end() :].strip(), text[: found.start()].strip())
