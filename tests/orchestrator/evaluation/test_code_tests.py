"""Replies of kind code run with the tests of their question, in two well-known forms, if the user asks for it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agents.question import Question
from agents.reply import parse_reply
from orchestrator.errors import BadInput
from orchestrator.evaluation import sandbox
from orchestrator.evaluation.code_tests import passes
from orchestrator.evaluation.profile import questions_of
from orchestrator.evaluation.scoring import scored

HUMANEVAL = Question(
    id="h",
    question='def add(a: int, b: int) -> int:\n    """The sum."""\n',
    kind="code",
    answer="def check(candidate):\n    assert candidate(1, 2) == 3\n    assert candidate(-1, 1) == 0\n",
)
MBPP = Question(
    id="m",
    question="Write a function to double a number.",
    kind="code",
    answer="assert double(2) == 4",
    accepted=("assert double(0) == 0",),
)


@pytest.mark.parametrize(
    ("question", "reply", "right"),
    [
        (HUMANEVAL, "```python\ndef add(a, b):\n    return a + b\n```", True),
        (HUMANEVAL, "```python\ndef add(a, b):\n    return a - b\n```", False),
        (HUMANEVAL, "    return a + b", True),
        (HUMANEVAL, "    return abs(a) + b", False),
        (MBPP, "Here it is:\n```python\ndef double(x):\n    return 2 * x\n```\nIt doubles.", True),
        (MBPP, "```python\ndef double(x):\n    return x + 2\n```", False),
        (MBPP, "```python\nimport sys\nsys.exit(0)\n```", False),
    ],
)
def test_a_reply_is_right_if_it_passes_every_test(question: Question, reply: str, right: bool) -> None:
    answer = parse_reply(reply, question).answer
    assert answer is not None
    assert passes(question, answer, "limits") is right


def test_a_gold_answer_that_tests_nothing_is_no_test() -> None:
    for gold in ("def add(a, b): return a + b", "not python"):
        with pytest.raises(ValueError, match="no test program"):
            passes(MBPP.model_copy(update={"answer": gold, "accepted": ()}), "x = 1", "limits")


def test_code_runs_only_where_the_user_asks_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "q.jsonl"
    row = {"id": "m", "question": "Double.", "test": ["assert f(1) == 2", "assert f(2) == 4"], "kind": "code"}
    file.write_text(json.dumps(row | {"split": "test"}))
    given = (str(file), "test", 1, 0, "answer=test")
    with pytest.raises(BadInput, match="--score code"):
        questions_of(*given)
    (question,) = scored(questions_of(*given, "code-limits"), "code-limits")
    assert question.function is not None
    assert question.function(question, "def f(x):\n    return 2 * x") == 1.0
    assert question.function(question, "def f(x):\n    return 2") == 0.0
    monkeypatch.setattr(sandbox, "isolation", lambda: None)
    with pytest.raises(BadInput, match="no sandbox here"):
        scored([question], "code")
    with pytest.raises(BadInput, match="of kind text, not code"):
        scored([question.model_copy(update={"kind": "text"})], "code-limits")
