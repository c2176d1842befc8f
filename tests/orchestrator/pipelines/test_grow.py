"""Growing a skill for real: a tiny Llama learns a constant answer, is judged beside its base, and is added or not.

No letter stands twice in what it learns: it could not count.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from agents.question import Question
from orchestrator import Collegium
from orchestrator.cli import group
from orchestrator.config import read_yaml, validate
from orchestrator.errors import BadInput
from orchestrator.pipelines.grow import GrowRequest, GrowResult, lesson
from orchestrator.pipelines.growth.card import RECORD
from orchestrator.pipelines.growth.worked import Worked

SETTINGS: dict[str, Any] = {
    "questions": 24,
    "validation_questions": 10,
    "test_questions": 10,
    "batch": 4,
    "epochs": 25,
    "learning_rate": 1e-2,
    "rank": 16,
    "alpha": 32.0,
    "max_tokens": len("Answer: up"),  # its end token is its padding token, which a tied embedding cannot learn
}


def rows(path: Path, answer: str, count: int = 240) -> Path:
    questions = [{"question": f"Say {answer}, number {n}.", "kind": "text", "answer": answer} for n in range(count)]
    path.write_text("".join(json.dumps(one) + "\n" for one in questions))
    return path


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("grow")


@pytest.fixture(scope="module")
def config(tiny: Path, place: Path) -> dict[str, Any]:
    return {
        "experts": {"small": {"model": str(tiny)}},
        "workers": {"engine": "transformers", "in_process": True},
        "state": str(place / "state"),
        "runs": str(place / "runs"),
    }


@pytest.fixture(scope="module")
def grown(config: dict[str, Any], place: Path) -> GrowResult:
    skills = [f"{name}={rows(place / f'{name}.jsonl', name)}" for name in ("up", "go")]
    with Collegium(validate(config, place / "collegium.yaml")) as collegium:
        found: GrowResult = collegium.grow(skills=skills, base="small", **SETTINGS)
        again: GrowResult = collegium.grow(skills=skills, base="small", **SETTINGS)
    assert [one.training for one in again.skills] == [one.training for one in found.skills], "trained once"
    return found


def test_a_skill_that_helps_is_known_by_its_gain_on_other_questions_than_it_is_decided_on(grown: GrowResult) -> None:
    for one in grown.skills:
        assert one.helped
        assert one.figures.after.value > one.figures.before.value + 0.5
        assert one.figures.gain.value == pytest.approx(one.figures.after.value - one.figures.before.value)
        assert one.lessons.taught == 24
        assert (one.decided.difference.n, one.figures.gain.n) == (10, 10)
        assert (one.folder / RECORD).is_file()
        assert (one.folder / "README.md").is_file()
    assert set(grown.experts) == {"up", "go"}


def test_several_skills_are_also_mixed_and_merged(grown: GrowResult) -> None:
    rows = {one.method: one for one in grown.report.methods}
    assert {"best", "vote", "mixture", "merged"} <= set(rows)
    assert rows["mixture"].overall.n == 20
    pairs = [(one.method, one.baseline) for one in grown.report.comparisons]
    assert pairs[:3] == [("mixture", "best"), ("mixture", "merged"), ("merged", "best")]
    assert ("up", "base") in pairs
    assert grown.report.split == "test"
    assert grown.report.fitted_on == "validation"


def test_the_command_adds_what_helped_and_says_so(
    grown: GrowResult, config: dict[str, Any], place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    (place / "collegium.yaml").write_text(json.dumps(config))
    flags = [word for key, value in SETTINGS.items() for word in (f"--{key.replace('_', '-')}", str(value))]
    words = ["experts", "grow", f"up={place / 'up.jsonl'}", f"go={place / 'go.jsonl'}", "--base", "small", *flags]
    done = CliRunner().invoke(group, [*words, "--add", "mine.yaml"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert "up" in done.output
    assert "helps" in done.output
    assert set(read_yaml(place / "mine.yaml")["experts"]) == {"up", "go"}
    assert "Added up to" in done.output


def test_a_skill_that_does_not_help_is_not_added_and_the_command_fails(
    config: dict[str, Any], place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    (place / "collegium.yaml").write_text(json.dumps(config))
    file = rows(place / "hi.jsonl", "hi")
    few = {**SETTINGS, "questions": 4, "epochs": 1, "learning_rate": 1e-6}
    flags = [word for key, value in few.items() for word in (f"--{key.replace('_', '-')}", str(value))]
    done = CliRunner().invoke(group, ["experts", "grow", f"hi={file}", "--base", "small", *flags, "--add", "no.yaml"])
    assert done.exit_code == 1
    assert "did not help" in done.output
    assert not (place / "no.yaml").exists()


def test_what_is_taught_is_the_solution_and_the_answer_and_no_confidence() -> None:
    question = Question(id="1", question="What is 1 + 1?", kind="number", answer="2")
    made = lesson(Worked(question, "1 + 1 = 2.", "2", "source"))
    assert made.reply == (("1 + 1 = 2.\nAnswer: 2", True),)
    assert made.messages[0]["content"].startswith("What is 1 + 1?")
    assert lesson(Worked(question, "", "2", "source")).reply == (("Answer: 2", True),)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"skills": ["small=arithmetic"]}, "the zoo has an expert 'small' already"),
        ({"skills": ["base=arithmetic"]}, "'base' is a name of the report's own rows"),
        ({"base": "nobody"}, "student: 'nobody' is no checkpoint folder"),
        ({"teacher": ["nobody"]}, "no expert 'nobody'"),
        ({"write": 3}, "questions are written by a teacher"),
        ({"skills": ["x=nothing.csv"]}, "nothing.csv"),
    ],
)
def test_what_cannot_be_grown_is_refused_before_anything_is_trained(
    config: dict[str, Any], place: Path, changes: dict[str, Any], told: str
) -> None:
    request = {"skills": ["x=arithmetic"], "base": "small", **SETTINGS, **changes}
    with Collegium(validate(config, place / "collegium.yaml")) as collegium, pytest.raises(BadInput, match=told):
        collegium.grow(GrowRequest.model_validate(request))
