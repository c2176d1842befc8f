"""Distillation end to end on scripted teachers: transcripts, a taught student, the command line, bad input."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import tiny_llama
import yaml
from click.testing import CliRunner, Result

from agents import transcript as transcripts
from orchestrator.cli import group
from orchestrator.config import read
from orchestrator.errors import BadInput, CollegiumError
from orchestrator.experts.zoo import resolve
from orchestrator.pipelines.distill import DistillRequest, arms, teach, with_students
from orchestrator.pipelines.teaching import TeachRequest

SCRIPTS = '''
"""Agents that know one thing each, and follow whoever is sure."""
ASKED = []

def words(messages, seed):
    return _reply(messages, "coin")

def coins(messages, seed):
    return _reply(messages, "word")

def _reply(messages, blind):
    ASKED.append(messages)
    text = messages[-1][1]
    right = "yes" if "coin" in text else "a"
    if blind not in text:
        return f"I know this one.\\nAnswer: {right}\\nConfidence: 0.9"
    if f\'"{right}"\' in text:
        return f"I am not sure, so I follow the most confident answer.\\nAnswer: {right}\\nConfidence: 0.5"
    return "I am not sure.\\nAnswer: nothing\\nConfidence: 0.2"
'''


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_llama.write(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "tutors.py").write_text(SCRIPTS)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "tutors", raising=False)
    monkeypatch.chdir(tmp_path)
    config = {
        "experts": {"words": {"script": "tutors:words"}, "coins": {"script": "tutors:coins"}},
        "workers": {"engine": "scripted", "in_process": True},
        "state": str(tmp_path / "state"),
        "runs": str(tmp_path / "runs"),
    }
    path = tmp_path / "collegium.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    questions: list[dict[str, Any]] = [
        {
            "id": f"q{number}",
            "task": "coins" if number % 2 else "words",
            "question": f"Is the coin up? {number}" if number % 2 else f"Which word? {number}",
            "answer": "yes" if number % 2 else "a",
            "kind": "yesno" if number % 2 else "text",
            "split": "test" if number >= 20 else "train",
        }
        for number in range(30)
    ]
    questions.append({**questions[0], "id": "held out", "split": "validation"})
    (tmp_path / "questions.jsonl").write_text("".join(json.dumps(question) + "\n" for question in questions))
    return path


def call(*arguments: str) -> Result:
    return CliRunner().invoke(group, list(arguments), catch_exceptions=True)


def generated() -> dict[str, Any]:
    result = call("generate", "--task", "questions.jsonl", "--questions", "20", "--json")
    assert result.exit_code == 0, (result.output, result.exception)
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_a_panel_discusses_the_training_split_and_a_second_run_generates_nothing(zoo: Path) -> None:
    first = generated()
    assert (first["transcripts"], first["replies"], first["right"]) == (20, 80, 20)
    import tutors  # type: ignore[import-not-found]

    asked = len(tutors.ASKED)
    second = generated()
    assert len(tutors.ASKED) == asked
    assert second["cached_replies"] == 80
    read_again = list(transcripts.read(Path(first["path"])))
    assert [one.question.id for one in read_again] == [f"q{number}" for number in range(20)]
    assert all(one.discussion == "reconcile" and one.answer == one.question.answer for one in read_again)
    provenance = json.loads((Path(first["path"]).parent / "provenance.json").read_text())
    assert set(provenance["experts"]) == {"words", "coins"}
    assert provenance["cost"]["replies"] == 80


def test_transcripts_are_inspected_and_their_graphs_written(zoo: Path) -> None:
    from distill.graph import from_json

    path = generated()["path"]
    result = call("distill", "inspect", path, "--graphs", "graphs.jsonl", "--graphml", "xml", "--json")
    assert result.exit_code == 0, (result.output, result.exception)
    found = json.loads(result.stdout)
    assert found["replies"]["words"]["0"] == {"right": 10, "wrong": 0, "silent": 10}
    assert found["replies"]["coins"]["0"] == {"right": 10, "wrong": 10, "silent": 0}
    assert found["replies"]["words"]["1"] == {"right": 20, "wrong": 0, "silent": 0}
    assert found["convinced"] == {
        "words": {"coins": {"rightly": 10, "wrongly": 0}},
        "coins": {"words": {"rightly": 10, "wrongly": 0}},
    }
    graphs = [from_json(row) for row in Path("graphs.jsonl").read_text().splitlines()]
    assert [len(graph) for graph in graphs] == [4] * 20
    assert len(list(Path("xml").glob("*.graphml"))) == 20


def test_students_are_taught_by_arms_into_ordinary_experts(zoo: Path, tiny: Path) -> None:
    path = generated()["path"]
    request = DistillRequest(
        transcripts=[path], student=str(tiny), arms=["gold", "L4-detached", "teachers"], seeds=2, tokens=600,
        step_tokens=300, precision="fp32", rank=2, encoder_width=8,
    )  # fmt: skip
    made = arms(request, ["words", "coins"])
    assert [(arm, one.name, one.level, one.teacher, one.coupling, one.seed) for arm, one in made][1:5] == [
        ("gold", "student-gold-1", "gold", None, "live", 1),
        ("L4-detached", "student-L4-detached-0", "L4", None, "detached", 0),
        ("L4-detached", "student-L4-detached-1", "L4", None, "detached", 1),
        ("teacher:words", "student-teacher-words-0", "L2", "words", "live", 0),
    ]
    arm, first = made[2]
    config = read(zoo)
    steps: list[int] = []
    taught = teach(first, Path("out"), experts=resolve(config), arm=arm, report=lambda one: steps.append(one.step))
    assert steps == [1, 2]
    assert taught.sifted.lessons == 20
    assert taught.sifted.replies_dropped["a reply without any reasoning of its own"].count == 40
    again = teach(first, Path("out"), experts=resolve(config), arm=arm, report=lambda one: steps.append(one.step))
    assert steps == [1, 2]
    assert (again.metrics, again.sifted) == (taught.metrics, taught.sifted)
    student = resolve(with_students(config, [taught]))["student-L4-detached-0"]
    assert student.weights is not None
    assert student.weights.adapter == taught.folder
    assert "`words`" in (taught.folder / "README.md").read_text()
    with pytest.raises(BadInput, match="has an expert"):
        with_students(with_students(config, [taught]), [taught])


def test_training_from_the_command_line(zoo: Path, tiny: Path) -> None:
    path = generated()["path"]
    flags = ["--transcripts", path, "--student", str(tiny), "--tokens", "400", "--step-tokens", "200", "--rank", "2"]
    result = call("teach", *flags, "--encoder-width", "8", "--merged", "--json")
    assert result.exit_code == 0, (result.output, result.exception)
    found = json.loads(result.stdout)
    assert found["steps"] == 2
    assert (Path(found["student"]) / "model.safetensors").is_file()
    assert found["expert"] == {"model": found["student"]}
    added = call("distill", "train", *flags, "--encoder-width", "8", "--name", "pupil", "--add", "other.yaml")
    assert added.exit_code == 0, (added.output, added.exception)
    entry = yaml.safe_load(Path("other.yaml").read_text())["experts"]["pupil"]
    assert entry["model"] == str(tiny)
    assert (Path(entry["adapter"]) / "adapter_model.safetensors").is_file()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_students_are_compared_on_a_real_engine_and_reported(zoo: Path, tiny: Path) -> None:
    path = generated()["path"]
    config = {
        "experts": {"pupil": {"model": str(tiny)}},
        "workers": {"engine": "transformers", "in_process": True},
        "state": str(zoo.parent / "state"),
        "runs": str(zoo.parent / "runs"),
    }
    Path("real.yaml").write_text(yaml.safe_dump(config))
    flags = ["--config", "real.yaml", "--transcripts", path, "--student", "pupil", "--arms", "gold,L4", "--seeds", "2"]
    flags += ["--tokens", "400", "--step-tokens", "200", "--rank", "2", "--encoder-width", "8", "--panel", "vote"]
    result = call("distill", *flags, "--task", "questions.jsonl", "--max-tokens", "8", "--json")
    assert result.exit_code == 0, (result.output, result.exception)
    found = json.loads(result.stdout)
    names = [method["method"] for method in found["methods"]]
    assert names == ["untaught student", "student gold", "student L4", "panel, vote"]
    assert all(method["overall"]["n"] == 10 for method in found["methods"])
    assert {one["baseline"] for one in found["comparisons"]} == {"untaught student"}
    assert [arm["student"] for arm in found["distillation"]["arms"]] == [
        "student-gold-0", "student-gold-1", "student-L4-0", "student-L4-1",
    ]  # fmt: skip
    assert found["distillation"]["transcripts"] == 20
    assert len(found["distillation"]["gallery"]) == 8
    assert "taught from 20 transcripts" in Path(found["report"]).read_text()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["generate", "--discussion", "brawl"], "no discussion 'brawl'; there are single"),
        (["generate", "--split", "test"], "must not learn from the split it is tested on"),
        (["distill", "inspect", "nowhere.jsonl"], "nowhere.jsonl: no such file"),
        (["distill", "inspect", "questions.jsonl"], r"questions.jsonl:1"),
        (["teach", "--transcripts", "nowhere.jsonl"], "nowhere.jsonl: no such file"),
        (["teach", "--transcripts", "a", "--student", "nobody"], "'nobody' is no checkpoint folder"),
        (["teach", "--transcripts", "a", "--student", "words"], "expert 'words' is no checkpoint"),
        (["teach", "--transcripts", "a", "--level", "L9"], "level: .*'L4'"),
        (["teach", "--transcripts", "a", "--tokens", "0"], "tokens"),
        (["distill", "--transcripts", "questions.jsonl", "--arms", "L7"], r"no arm 'L7' \(there are gold, L1"),
        (["teach"], "transcripts"),
    ],
)
def test_bad_input_is_one_line(zoo: Path, arguments: list[str], told: str) -> None:
    result = call(*arguments)
    assert isinstance(result.exception, CollegiumError), (result.output, result.exception)
    assert result.exception.exit_code == 2
    assert "\n" not in str(result.exception)
    with pytest.raises(CollegiumError, match=told):
        raise result.exception


def test_a_teacher_that_never_spoke_is_refused() -> None:
    request = DistillRequest(transcripts=["a"], arms=["teacher:nobody"])
    with pytest.raises(BadInput, match="no agent 'nobody' in the transcripts; there are words"):
        arms(request, ["words"])


def test_flags_are_the_fields_of_what_trains_and_what_selects() -> None:
    request = TeachRequest(transcripts=["a"], level="L3", rank=4)
    assert (request.selection.level, request.spec(Path("/x")).rank, request.spec(Path("/x")).student) == ("L3", 4, "/x")


@pytest.mark.soak
def test_two_workers_teach_what_one_does(zoo: Path, tiny: Path, ray_cluster: Any) -> None:
    import torch
    from safetensors.torch import load_file

    path = generated()["path"]
    found = []
    for workers in (1, 2):
        request = TeachRequest(
            transcripts=[path], student=str(tiny), tokens=2_000, step_tokens=500, batch_tokens=200, precision="fp32",
            rank=2, encoder_width=8, encoder_dropout=0, workers=workers,
        )  # fmt: skip
        taught = teach(request, Path(f"out{workers}"), experts={})
        found.append((taught.metrics, load_file(taught.folder / "adapter_model.safetensors")))
    (alone, first), (shared, second) = found
    assert [one.tokens for one in alone] == [one.tokens for one in shared]
    for one, two in zip(alone, shared, strict=True):
        assert one.next_token == pytest.approx(two.next_token, rel=1e-3)
        assert one.gradient == pytest.approx(two.gradient, rel=1e-2)
    assert all(torch.allclose(first[name], second[name], atol=1e-3) for name in first)
