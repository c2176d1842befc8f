"""Answers that are programs: the code itself, without its fence. Whether it is right only running it can tell."""

from __future__ import annotations

import re

LIMIT = 100_000
_FENCE = re.compile(
    r"^[ \t]{0,3}(`{3,12}(?!`)|~{3,12}(?!~))[ \t]*([\w+#.-]{0,20})[^\n]*\n(.*?)(?:^[ \t]{0,3}\1[ \t]*$|"
    r"\Z)",
    re.DOTALL | re.MULTILINE,
)


def code_in(text: str) -> str | None:
    """The last block of code in a reply; a reply without a fence is code as a whole; None for nothing."""
    blocks = [match.group(3) for match in _FENCE.finditer(text[-LIMIT:])]
    found = next((block for block in reversed(blocks) if block.strip()), None)
    if found is None:
        found = text if not blocks else ""
    return found.strip("\n") or None


def code_key(text: str) -> str | None:
    """The key of a program: its lines without trailing space and blank lines; None for nothing."""
    code = code_in(text[:LIMIT])
    if code is None:
        return None
    lines = [line.rstrip() for line in code.expandtabs(4).splitlines()]
    return "\n".join(line for line in lines if line) or None
