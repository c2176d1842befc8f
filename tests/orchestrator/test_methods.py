"""One typed method per pipeline, in two forms."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest

from orchestrator import Collegium
from orchestrator.cli import COMMANDS, group
from orchestrator.errors import BadInput, SetupError
from orchestrator.evaluation.profile import ProfileRequest
from orchestrator.methods import PipelineMethods
from orchestrator.pipelines.registry import PIPELINES, Pipeline


@pytest.mark.parametrize("pipeline", PIPELINES.values(), ids=list(PIPELINES))
def test_each_is_a_command_and_two_methods(pipeline: Pipeline) -> None:
    command: Any = group
    for word in pipeline.command.split():
        command = command.get_command(None, word)
        assert command is not None, word
    flags = {parameter.name for parameter in command.params}
    assert set(pipeline.request.model_fields) <= flags
    for name in (pipeline.method, f"a{pipeline.method}"):
        assert "options" in inspect.signature(getattr(PipelineMethods, name)).parameters
    assert set(pipeline.needs) | set(pipeline.writes) | set(pipeline.paths)
    assert {*pipeline.writes, *pipeline.paths, *pipeline.texts} <= set(pipeline.request.model_fields)
    assert callable(pipeline.stored.load)
    assert inspect.iscoroutinefunction(pipeline.run)
    assert pipeline.command.split()[0] in COMMANDS


def test_what_is_wrong_with_a_request_is_said_in_one_line(echo_zoo: Collegium) -> None:
    with pytest.raises(BadInput, match="run: tsak: unknown key; did you mean 'task'"):
        echo_zoo.run(tsak="coin_flip")  # type: ignore[call-arg]
    with pytest.raises(BadInput, match="profile: give a request or its fields, not both"):
        echo_zoo.profile(ProfileRequest(), task="coin_flip")
    with pytest.raises(BadInput, match="run: the request must be RunRequest, not ProfileRequest"):
        echo_zoo.run(ProfileRequest())  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="no pipeline 'fly'; there are profile, run"):
        echo_zoo.execute("fly")


def test_a_missing_embedding_model_is_said_on_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = {
        "experts": {name: {"script": "orchestrator.inference.engines.scripted:echo"} for name in ("a", "b")},
        "workers": {"engine": "scripted", "in_process": True},
        "state": str(tmp_path / "state"),
        "runs": str(tmp_path / "runs"),
        "embedding": "nobody/nothing",
    }
    rows = [{"question": f"What is {n}?", "answer": str(n), "kind": "number"} for n in range(60)]
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with Collegium(config) as collegium, pytest.raises(SetupError) as refused:
        collegium.run(task=rows, methods="each,best,vote,mixture")  # type: ignore[arg-type]
    assert "embedding: the embedding model 'nobody/nothing' cannot be loaded (name a folder)" in str(refused.value)
    assert "\n" not in str(refused.value)
