"""Lines for people: wrapped before the 100th column, without control characters."""

from __future__ import annotations

import textwrap

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
