"""Options that stand in a text: lettered lines or runs, lists as Python, NumPy and JSON write them, marks between."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Sequence
from typing import Any

from orchestrator.evaluation.tasks.cells import CellError

MAX_TEXT = 200_000
"""Characters of a list that stands in a text cell."""
_ON_LINES = re.compile(r"^[ \t]*[(\[]?([A-Z])[)\].:][ \t]*(\S[^\n]*)$", re.MULTILINE)
_INLINE = re.compile(r"\(([A-Z])\)\s*")
_RUN = re.compile(r"(?:^|[,;\n])\s*[(\[]?([A-Za-z])\s*[)\]][ \t]*")
"""`a ) 38 , b ) 27 , c ) 30`, as MathQA has it."""
_STRING = r"(?:'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")"
_WITHOUT_COMMAS = re.compile(rf"\[\s*{_STRING}(?:\s+{_STRING})+\s*\]")
"""NumPy's print of an array of texts; Python would join them into one."""
_ARRAY = re.compile(r"\barray\(|,\s*dtype=object\)")


def lettered(text: str) -> tuple[str, list[str], list[str]] | None:
    """(what stands in front, labels, texts) of a text that ends in options lettered from A; None where it does not."""
    for pattern in (_ON_LINES, _INLINE):
        found = list(pattern.finditer(text))
        starts = [place for place, match in enumerate(found) if match.group(1) == "A"]
        if not starts:
            continue
        run = found[starts[-1] :]
        labels = [match.group(1) for match in run]
        if len(run) < 2 or labels != _letters(len(run)):
            continue
        lines = pattern is _ON_LINES
        ends = [match.start() for match in run[1:]] + [len(text)]
        texts = [
            (match.group(2) if lines else text[match.end() : end]).strip() for match, end in zip(run, ends, strict=True)
        ]
        stem = text[: run[0].start()].strip()
        if lines and text[run[-1].end() :].strip():
            continue  # something follows the options: leave the text as it is
        if stem and all(texts):
            return stem, labels, texts
    return None


def lettered_within(text: str) -> tuple[str, dict[str, str]] | None:
    """(the text without them, options) of options lettered from A on lines that follow each other, wherever they stand;
    None where there are none, or several such runs."""
    found = list(_ON_LINES.finditer(text))
    starts = [place for place, match in enumerate(found) if match.group(1) == "A"]
    if len(starts) != 1:
        return None
    run = [found[starts[0]]]
    for match in found[starts[0] + 1 :]:
        if text[run[-1].end() : match.start()].strip() or match.group(1) != chr(65 + len(run)):
            break
        run.append(match)
    if len(run) < 2 or starts[0] + len(run) < len(found):
        return None
    rest = f"{text[: run[0].start()].rstrip()}\n{text[run[-1].end() :].lstrip()}"
    return rest.strip(), {match.group(1): match.group(2).strip() for match in run}


def from_text(text: str, key: str) -> Any:
    """The list or mapping of options that a text cell holds. Raises CellError for a text that is none."""
    bare = text.strip()
    if len(bare) > MAX_TEXT:
        raise CellError(key, f"longer than {MAX_TEXT:,} characters")
    if bare[0] in "[{(":
        found = _literal(bare)
        if found is not None:
            return found
    named = lettered("?\n" + bare) or lettered("? " + bare)
    if named:
        return dict(zip(named[1], named[2], strict=True))
    run = _run(bare)
    if run is not None:
        return run
    lines = [line.strip() for line in bare.splitlines() if line.strip()]
    if len(lines) > 1:
        return lines
    for mark in (" | ", "|", ";"):
        if mark in bare:
            return [part.strip() for part in bare.split(mark)]
    raise CellError(key, f"{bare[:80]!r} is no list of options")


def _literal(bare: str) -> Any:
    """JSON, or what pandas and NumPy write into CSV; values only, no calls. None where it is neither."""
    try:
        return json.loads(bare)
    except ValueError:
        pass
    if "array(" in bare:
        bare = _ARRAY.sub("", bare)
    try:
        # Neighbours without a comma would become one text.
        bare = _WITHOUT_COMMAS.sub(lambda match: _with_commas(match.group()), bare)
        found = ast.literal_eval(bare)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None
    return list(found) if isinstance(found, tuple) else found


def _with_commas(printed: str) -> str:
    return "[" + ", ".join(re.findall(_STRING, printed)) + "]"


def _run(text: str) -> dict[str, str] | None:
    found = list(_RUN.finditer(text))
    labels = [match.group(1) for match in found]
    if len(found) < 2 or found[0].start() or [label.upper() for label in labels] != _letters(len(labels)):
        return None
    ends = [match.start() for match in found[1:]] + [len(text)]
    texts = [text[match.end() : end].strip() for match, end in zip(found, ends, strict=True)]
    return dict(zip(labels, texts, strict=True)) if all(texts) else None


def _letters(count: int) -> Sequence[str]:
    return [chr(65 + place) for place in range(count)]
