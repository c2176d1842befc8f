"""Scripts of two experts that differ in nothing but case."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.inference.request import PromptMessage


def loud(messages: Sequence[PromptMessage], seed: int) -> str:
    return "YES INDEED"


def quiet(messages: Sequence[PromptMessage], seed: int) -> str:
    return "yes indeed"


def rambling(messages: Sequence[PromptMessage], seed: int) -> str:
    return "8 km are 8000 m. " + " ".join(f"{number} km are {number}000 m." for number in range(9, 500))
