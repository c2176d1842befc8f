"""Lines for people: wrapped before the 100th column, without control characters; and numbers that JSON has."""

from __future__ import annotations

import math
import textwrap
from typing import Any

import click

from orchestrator.evaluation.report.formats import plain

WIDTH = 99


def wrapped(text: str, indent: str = "  ") -> str:
    """The text in lines of at most `WIDTH` columns; those behind the first are indented. Words, such as paths, stay
    whole."""
    lines = textwrap.wrap(plain(text), WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
    return "\n".join(lines)


def tell(text: str, *, err: bool = False, indent: str = "  ", dim: bool = False) -> None:
    """Print one thought, on standard output or standard error."""
    lines = wrapped(text, indent)
    click.echo(click.style(lines, dim=True) if dim else lines, err=err)


def size(count: int) -> str:
    """Bytes as a reader wants them: "269 MB", "13.5 GB"."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def finite(value: Any) -> Any:
    """JSON has no NaN: None instead."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
