"""What a run decides by itself is said, a line each; where nothing was decided there is no line."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from agents.question import Question
from agents.reply import Reply
from orchestrator.config import validate
from orchestrator.evaluation import decisions
from orchestrator.evaluation.answering import ExpertReply
from orchestrator.inference.expert import Expert, Weights
from orchestrator.inference.request import Completion


def question(task: str) -> Question:
    return Question(id="q", task=task, question="?", kind="number", answer="1")


def test_fewer_questions_than_asked_for() -> None:
    assert decisions.fewer(30, 8, "test") == ["8 questions of split test: it has no more (30 were asked for)"]
    assert decisions.fewer(8, 8, "test") == []


def test_what_rests_on_few_fitting_questions_is_rough() -> None:
    assert len(decisions.fitted(200, 8, "validation")) == 2
    assert "fitted on 8 questions: " in decisions.fitted(8, 8, "validation")[0]
    assert decisions.fitted(200, 200, "validation") == []


def test_who_was_not_compared_with_transformers_is_said() -> None:
    (line,) = decisions.uncompared({"mine": "no such class"})
    assert line.startswith("mine: nobody has compared vLLM's answers with transformers (no such class); `collegium ")
    assert decisions.uncompared({}) == []


def test_a_file_without_tasks_counts_as_one() -> None:
    assert "one task, 'mine'" in decisions.tasks("mine.csv", [question("mine")] * 2)[0]
    assert decisions.tasks("mine.csv", [question("a"), question("b")]) == []
    assert decisions.tasks("coin_flip", [question("coin_flip")]) == []
    assert decisions.tasks("mixed", [question("coin_flip")]) == []


@pytest.mark.parametrize(("given", "context", "lines"), [(None, 2048, 1), (2048, 2048, 0), (None, 32768, 0)])
def test_a_context_shorter_than_the_models_is_said(tmp_path: Path, given: int | None, context: int, lines: int) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"max_position_embeddings": 32768}))
    entry = {"model": str(tmp_path), **({"context": given} if given else {})}
    config = validate({"experts": {"base": entry}}, tmp_path / "c.yaml")
    expert = Expert("base", "f", "s", weights=Weights(tmp_path), context=context)
    found = decisions.contexts([expert, replace(expert, weights=None)], config)
    assert len(found) == lines
    assert not lines or "context of base: 2,048 of its model's 32,768 tokens" in found[0]


def test_cut_replies_are_counted() -> None:
    def reply(reason: str) -> ExpertReply:
        completion = Completion("k", "1", reason, 1, 1)  # type: ignore[arg-type]
        return ExpertReply(question("a"), "base", Reply("1", "1", None, None), True, completion)

    replies = [reply("length"), reply("stop"), replace(reply("stop"), completion=None)]
    assert decisions.cut(replies, 160) == ["1 of 2 replies were cut at 160 tokens: raise --max-tokens"]
    assert decisions.cut(replies[1:], 160) == []
