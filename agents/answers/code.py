"""Answers that are programs: the code itself, without its fence. Whether it is right only running it can tell."""

from __future__ import annotations

import ast
import re

LIMIT = 100_000
_FENCE = re.compile(
    r"^[ \t]{0,3}(`{3,12}(?!`)|~{3,12}(?!~))[ \t]*([\w+#.-]{0,20})[^\n]*\n(.*?)(?:^[ \t]{0,3}\1[ \t]*$|"
    r"\Z)",
    re.DOTALL | re.MULTILINE,
)


_DEFINES = re.compile(
    r"^[ \t]*(?:async def|def|class|function|fn|func|pub fn|public|private|static|#include|CREATE|SELECT)\b|"
    r"^[ \t]*(?:const|let|var)\s+\w+\s*=\s*(?:async\s*)?(?:\(|function)",
    re.MULTILINE,
)
_BEGINS = re.compile(
    r"^(?:(?:async )?def |class |import \w|from [\w.]+ import |@\w|#include|function |#!)", re.MULTILINE
)
_LOOKS = re.compile(
    r"[=(){}\[\];:]|^(?:\s|(?:return|pass|assert|import|raise|yield|print|del|break|continue)\b)", re.MULTILINE
)
_REFUSES = re.compile(
    r"\s*(?:i['’]?m sorry|i am sorry|sorry|i can(?:not|['’]t)|as an ai|unfortunately|i am unable|i['’]?m unable|"
    r"i do(?:n['’]t| not))\b",
    re.IGNORECASE,
)
_PARAGRAPHS = 6
"""Paragraphs of prose behind a program that are taken off."""


def code_in(text: str) -> str | None:
    """The program in a reply: the last block that defines something, else the last block; a reply without a fence is
    code as a whole, without the sentences around it. None for nothing, or for words that are no code."""
    text = text[-LIMIT:]
    blocks = [match.group(3) for match in _FENCE.finditer(text)]
    filled = [block for block in blocks if block.strip()]
    found = next((block for block in reversed(filled) if _DEFINES.search(block)), filled[-1] if filled else None)
    if found is None:
        found = "" if blocks else _unfenced(text)
    return found.strip("\n") or None


def _unfenced(text: str) -> str:
    """Code without a fence: from its first line of code to the last paragraph with which it is Python, if it is."""
    text = text.replace("[BEGIN]", "").replace("[PYTHON]", "").replace("[/PYTHON]", "").replace("[DONE]", "")
    begins = _BEGINS.search(text)
    if begins is None:
        return "" if _REFUSES.match(text) or _LOOKS.search(text) is None else text
    code = text[begins.start() :]
    parts = code.rstrip().split("\n\n")
    for count in range(len(parts), max(0, len(parts) - _PARAGRAPHS), -1):
        part = "\n\n".join(parts[:count])
        try:
            ast.parse(part)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
        return part
    return code


def code_key(text: str) -> str | None:
    """The key of a program: its lines without trailing space and blank lines; None for nothing."""
    code = code_in(text[:LIMIT])
    if code is None:
        return None
    lines = [line.rstrip() for line in code.expandtabs(4).splitlines()]
    return "\n".join(line for line in lines if line) or None
