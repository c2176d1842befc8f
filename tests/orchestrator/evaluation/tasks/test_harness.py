"""Tasks of lm-evaluation-harness as questions: a stand-in with the harness's interface needs no network."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from agents.question import Question
from orchestrator.errors import BadInput, SetupError
from orchestrator.evaluation.tasks import source_of


class Task:
    """The methods of the harness's ConfigurableTask that a source uses."""

    OUTPUT_TYPE = "multiple_choice"

    def __init__(self, documents: list[dict[str, Any]], choices: bool = True, kind: str = "multiple_choice") -> None:
        self.documents, self.OUTPUT_TYPE = documents, kind
        self.config = SimpleNamespace(doc_to_choice="choices" if choices else None)

    def has_training_docs(self) -> bool:
        return False

    has_validation_docs = has_training_docs

    def has_test_docs(self) -> bool:
        return True

    def test_docs(self) -> list[dict[str, Any]]:
        return self.documents

    def doc_to_text(self, document: dict[str, Any]) -> Any:
        return document["prompt"]

    def doc_to_target(self, document: dict[str, Any]) -> Any:
        return document["target"]

    def doc_to_choice(self, document: dict[str, Any]) -> list[str]:
        return list(document["choices"])


@pytest.fixture
def tasks(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    found: dict[str, Any] = {}
    module = ModuleType("lm_eval.tasks")
    vars(module)["TaskManager"] = type("TaskManager", (), {})

    def get_task_dict(names: list[str], manager: Any) -> dict[str, Any]:
        return {name: found[name] for name in names}

    vars(module)["get_task_dict"] = get_task_dict
    monkeypatch.setitem(sys.modules, "lm_eval", ModuleType("lm_eval"))
    monkeypatch.setitem(sys.modules, "lm_eval.tasks", module)
    return found


def first(name: str) -> Question:
    return next(source_of(f"lm-eval:{name}").questions())


IN_PROMPT = "Which is a colour?\nA. seven\nB. blue\nC. run\nD. x\n"
OPTIONS = {"A": "seven", "B": "blue", "C": "run", "D": "x"}


@pytest.mark.parametrize(
    ("task", "question", "choices", "answer"),
    [
        (Task([{"prompt": "Q: 2+2?\nA:", "target": "so\n#### 4"}], False), "Q: 2+2?\nA:", None, "4"),
        (
            Task([{"prompt": "Colour?", "target": 1, "choices": [" seven", " blue"]}]),
            "Colour?",
            {"A": "seven", "B": "blue"},
            "B",
        ),
        (
            Task([{"prompt": f"{IN_PROMPT}Answer:", "target": 1, "choices": list("ABCD")}]),
            "Which is a colour?",
            OPTIONS,
            "B",
        ),
        (
            Task([{"prompt": f"{IN_PROMPT}End with the letter.", "target": "B"}], False),
            "Which is a colour?\nEnd with the letter.",
            OPTIONS,
            "B",
        ),
    ],
)
def test_a_document_becomes_a_question(
    tasks: dict[str, Any], task: Task, question: str, choices: dict[str, str] | None, answer: str
) -> None:
    tasks["mine"] = {"mine_part": task}
    found = first("mine")
    assert (found.question, found.choices, found.answer, found.task) == (question, choices, answer, "mine_part")


def test_what_asks_for_no_answer_and_what_fails_is_named(tasks: dict[str, Any]) -> None:
    tasks["wiki"] = Task([], kind="loglikelihood_rolling")
    with pytest.raises(BadInput, match="lm-eval:wiki: task wiki scores the probability of a text"):
        first("wiki")
    with pytest.raises(BadInput, match="lm-eval:gone: cannot be loaded: 'gone'"):
        first("gone")
    tasks["bad"] = Task([{"prompt": "Which?", "target": "green", "choices": ["red", "blue"]}])
    with pytest.raises(BadInput, match=r"lm-eval:bad, split test, row 0: the task cannot make its prompt"):
        first("bad")


def test_the_package_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lm_eval", None)
    with pytest.raises(SetupError, match="needs one more package: pip install lm-eval"):
        source_of("lm-eval:gsm8k")


def test_a_package_that_cannot_be_imported_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "lm_eval").mkdir()
    (tmp_path / "lm_eval" / "__init__.py").write_text("raise AttributeError('transformers has no AutoModelForX')\n")
    monkeypatch.delitem(sys.modules, "lm_eval", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(SetupError, match="cannot be imported: transformers has no AutoModelForX"):
        source_of("lm-eval:gsm8k")


def test_options_that_begin_a_text_which_the_target_ends(tasks: dict[str, Task]) -> None:
    """WinoGrande's prompt is the index of the right beginning."""
    document = {"prompt": 1, "target": " is big.", "choices": ["It fits, as the cup", "It fits, as the bag"]}
    tasks["wino"] = Task([document])
    question = first("wino")
    assert question.choices == {"A": "It fits, as the cup is big.", "B": "It fits, as the bag is big."}
    assert question.answer == "B"
