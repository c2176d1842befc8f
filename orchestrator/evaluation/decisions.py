"""What a run decided by itself, a line each: splits that were made, fewer questions than asked for, contexts, cut
replies. The terminal and the report display the same lines."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from agents.question import Question
from orchestrator.config import Config
from orchestrator.evaluation.answering import ExpertReply
from orchestrator.evaluation.tasks import names, sources_in
from orchestrator.inference.engines.architecture import longest_context
from orchestrator.inference.expert import Expert

FEW = 30
"""Fitting questions below which what is fitted rests on too little."""


def fewer(asked: int, found: int, split: str) -> list[str]:
    """A line where a split has fewer questions than were asked for."""
    return [] if found >= asked else [f"{found} questions of split {split}: it has no more ({asked} were asked for)"]


def fitted(asked: int, found: int, split: str) -> list[str]:
    """Lines on the questions that methods were fitted on."""
    lines = [f"fitted on {one}" for one in fewer(asked, found, split)]
    if found < FEW:
        lines.append(f"methods are fitted on {found} questions: choices and probabilities that rest on them are rough")
    return lines


def of_split(task: str, questions: Sequence[Question], asked: int, split: str) -> list[str]:
    """Lines on the questions that are reported on."""
    return [*fewer(asked, len(questions), split), *tasks(task, questions)]


def tasks(task: str, questions: Sequence[Question]) -> list[str]:
    """A line where no question of a file names a task, so that all of them count as one."""
    found = {question.task for question in questions}
    try:
        sources = sources_in(task)
    except ValueError:
        return []
    known = set(names())
    if len(sources) != 1 or sources[0] in known or len(found) != 1 or sources[0].startswith("lm-eval:"):
        return []
    (one,) = found
    return [f"all questions count as one task, {one!r}: a column `task` would tell kinds of questions apart"]


def contexts(experts: Iterable[Expert], config: Config) -> list[str]:
    """A line per expert whose context is shorter than its model's without the configuration asking for it."""
    lines = []
    for expert in experts:
        weights = expert.weights
        if weights is None or config.experts[expert.name].context is not None:
            continue
        longest = _longest(weights.model)
        if longest is not None and expert.context < longest:
            lines.append(
                f"context of {expert.name}: {expert.context:,} of its model's {longest:,} tokens, as the KV cache has "
                f"room for; set experts.{expert.name}.context or workers.kv_gib"
            )
    return lines


def uncompared(reasons: Mapping[str, str]) -> list[str]:
    """A line per expert whose type of model nobody has held against transformers. `reasons`: expert -> why."""
    return [
        f"{name}: nobody has compared vLLM's answers with transformers ({why}); `collegium experts check {name}` does"
        for name, why in sorted(reasons.items())
    ]


def cut(replies: Iterable[ExpertReply], max_tokens: int) -> list[str]:
    """A line where replies were ended by the token limit."""
    completions = [one.completion for one in replies if one.completion is not None]
    number = sum(one.finish_reason == "length" for one in completions)
    if not number:
        return []
    return [f"{number} of {len(completions)} replies were cut at {max_tokens} tokens: raise --max-tokens"]


def _longest(folder: Path) -> int | None:
    try:
        config = json.loads((folder / "config.json").read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return longest_context(config) if isinstance(config, dict) else None
