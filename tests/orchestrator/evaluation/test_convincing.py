"""Explanations that changed a mind, and their files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestrator import Collegium
from orchestrator.errors import BadInput
from orchestrator.evaluation.convincing import ConvincingRequest, ConvincingRow, convincing, read_samples, write_samples
from orchestrator.evaluation.tasks import coin_flip


async def test_convincing_samples_are_explanations_that_changed_a_mind(zoo: Collegium, tmp_path: Path) -> None:
    request = ConvincingRequest(task="coin_flip", questions=12, keep=2)
    experts = list(zoo.experts.values())
    found = await convincing(request, zoo.context())
    assert found
    assert all(one.before != one.answer and one.answer == "yes" and one.explanation for one in found)
    assert max(sum(one.expert == expert.name for one in found) for expert in experts) <= 2
    write_samples(tmp_path / "convincing.jsonl", found)
    samples = read_samples(str(tmp_path / "convincing.jsonl"), ["words", "blind"])
    assert {name: len(rows) for name, rows in samples.items()} == {
        name: sum(one.expert == name for one in found) for name in samples
    }


async def test_explanations_of_ones_own_questions(zoo: Collegium, tmp_path: Path) -> None:
    (problem,) = coin_flip.TASK.problems("train", 1, 5)
    file = tmp_path / "own.jsonl"
    row = {"question": problem.question.question, "answer": "yes", "split": "train", "reason": "It is yes."}
    rows = [{**row, "question": f"{row['question']} ({number})"} for number in range(6)]
    file.write_text("".join(json.dumps(each) + "\n" for each in rows))
    with pytest.raises(BadInput, match="training questions has a worked solution"):
        await convincing(ConvincingRequest(task=str(file)), zoo.context())
    asked = ConvincingRequest(task=str(file), columns="solution=reason", keep=2)
    found = await convincing(asked, zoo.context())
    assert found
    assert {(one.explanation, one.answer) for one in found} == {("It is yes.", "yes")}
    assert all(one.question.startswith(problem.question.question) and one.before != "yes" for one in found)


def test_a_bad_file_of_convincing_samples_is_named(tmp_path: Path) -> None:
    good = ConvincingRow(expert="a", task="t", question="?", explanation="!", answer="1", before=None, utility=0.5)
    (tmp_path / "c.jsonl").write_text(good.model_dump_json() + "\n{\n")
    with pytest.raises(BadInput, match=r"c\.jsonl:2: not JSON"):
        read_samples(str(tmp_path / "c.jsonl"), ["a"])
