"""Distillation end to end on scripted teachers: transcripts, a taught student, the command line, bad input."""

from __future__ import annotations

import json
import re
from pathlib import Path

import networkx
import pytest
import yaml

from orchestrator.config import read
from orchestrator.errors import BadInput, CollegiumError
from orchestrator.experts.zoo import resolve
from orchestrator.pipelines.distill import DistillRequest, arms, teach, with_students
from tests.scripts.distill_commands import call, generated


def test_transcripts_are_inspected_and_their_graphs_written(zoo: Path) -> None:
    path = generated()["path"]
    result = call("distill", "inspect", path, "--graphs", "graphs.jsonl", "--graphml", "xml", "--json")
    assert result.exit_code == 0, (result.output, result.exception)
    found = json.loads(result.stdout)
    assert found["replies"]["words"]["0"] == {"right": 10, "wrong": 0, "silent": 10, "unknown": 0}
    assert found["replies"]["coins"]["0"] == {"right": 10, "wrong": 10, "silent": 0, "unknown": 0}
    assert found["replies"]["words"]["1"] == {"right": 20, "wrong": 0, "silent": 0, "unknown": 0}
    assert found["convinced"] == {
        "words": {"coins": {"rightly": 10, "wrongly": 0, "unknown": 0}},
        "coins": {"words": {"rightly": 10, "wrongly": 0, "unknown": 0}},
    }
    graphs = [
        networkx.node_link_graph(json.loads(row), edges="edges")
        for row in Path("graphs.jsonl").read_text().splitlines()
    ]
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


def test_a_student_learns_from_its_own_replies(zoo: Path, tiny: Path) -> None:
    path = generated()["path"]
    flags = ["--transcripts", path, "--student", str(tiny), "--tokens", "400", "--step-tokens", "200", "--rank", "2"]
    flags += ["--encoder-width", "8", "--level", "on-policy", "--own-replies", "1", "--longest-reply", "90"]
    result = call("teach", *flags, "--json")
    assert result.exit_code == 0, (result.output, result.exception)
    student = Path(json.loads(result.stdout)["student"])
    assert re.search(r"\| Own replies \| .*`(cut|unread|wrong|right)` \d+", (student / "README.md").read_text())
    assert json.loads((student / "distillation.json").read_text())["data"]["own"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["teach", "--transcripts", "a", "--level", "on-policy", "--workers", "2"], "trains in one process"),
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
