"""One record per pipeline: the same name, request and result for the SDK, the command line and jobs."""

from __future__ import annotations

import inspect
import json
import typing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from orchestrator import Collegium
from orchestrator.cli import COMMANDS, group
from orchestrator.errors import BadInput
from orchestrator.evaluation.profile import ProfileRequest
from orchestrator.methods import PipelineMethods
from orchestrator.pipelines.registry import PIPELINES, Pipeline, named


@pytest.fixture
def zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    experts = {name: {"script": "orchestrator.inference.engines.scripted:echo"} for name in ("one", "two")}
    config = {"experts": experts, "workers": {"engine": "scripted", "in_process": True}, "state": "state"}
    Path("collegium.yaml").write_text(json.dumps(config))
    with Collegium(Path("collegium.yaml")) as made:
        yield made


@pytest.mark.parametrize("pipeline", PIPELINES.values(), ids=list(PIPELINES))
def test_each_is_a_command_and_two_methods(pipeline: Pipeline) -> None:
    command = group.get_command(None, pipeline.name)  # type: ignore[arg-type]
    assert command is not None
    flags = {parameter.name for parameter in command.params}
    assert set(pipeline.request.model_fields) <= flags
    for name in (pipeline.method, f"a{pipeline.method}"):
        assert "options" in inspect.signature(getattr(PipelineMethods, name)).parameters
    assert set(pipeline.needs) | set(pipeline.writes) | set(pipeline.paths)
    assert {*pipeline.writes, *pipeline.paths, *pipeline.texts} <= set(pipeline.request.model_fields)
    assert callable(pipeline.stored.load)
    assert inspect.iscoroutinefunction(pipeline.run)
    assert pipeline.name in COMMANDS


def test_options_are_the_requests_fields() -> None:
    from orchestrator import options

    for pipeline in PIPELINES.values():
        model = pipeline.request
        typed = getattr(options, model.__name__.removesuffix("Request") + "Options")
        hints = typing.get_type_hints(typed)
        assert {name: hints[name] for name in hints} == {
            name: field.annotation for name, field in model.model_fields.items()
        }, pipeline.name


def test_a_run_from_a_program_leaves_the_folder_that_the_command_leaves(zoo: Collegium) -> None:
    found = zoo.profile(task="coin_flip", questions=2, out="table.jsonl")
    (folder,) = Path("runs").iterdir()
    assert (folder / "finished").exists()
    assert Path("table.jsonl").read_bytes() == (folder / "table.jsonl").read_bytes()
    flags = ["profile", "--task", "coin_flip", "--questions", "2", "--json"]
    told = CliRunner().invoke(group, flags)
    assert told.exit_code == 0, told.stderr
    assert json.loads(told.stdout)["table"] == str(folder / "table.jsonl")
    assert PIPELINES["profile"].stored.load(folder).table.rows == found.table.rows


def test_old_names_work_and_say_so(zoo: Collegium) -> None:
    assert named("eval_router")[0].name == "eval-router"
    for old, new in {"answer": "run", "distill-generate": "generate", "distil": "distill"}.items():
        pipeline, note = named(old)
        assert pipeline.name == new
        assert f"is now called {new}" in note
    warned = pytest.warns(FutureWarning, match="distil is now called distill")
    with warned, pytest.raises(BadInput, match="no such file"):
        zoo.distil(transcripts=["nowhere.jsonl"])
    told = CliRunner().invoke(group, ["distill", "train", "--transcripts", "nowhere.jsonl"])
    assert "collegium distill train is now collegium teach" in told.stderr


def test_what_is_wrong_with_a_request_is_said_in_one_line(zoo: Collegium) -> None:
    with pytest.raises(BadInput, match="run: tsak: unknown key; did you mean 'task'"):
        zoo.run(tsak="coin_flip")  # type: ignore[call-arg]
    with pytest.raises(BadInput, match="profile: give a request or its fields, not both"):
        zoo.profile(ProfileRequest(), task="coin_flip")
    with pytest.raises(BadInput, match="run: the request must be RunRequest, not ProfileRequest"):
        zoo.run(ProfileRequest())  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="no pipeline 'fly'; there are profile, run"):
        zoo.execute("fly")
