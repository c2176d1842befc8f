"""The merge pipeline: the same merge from a program, from the command line and as a job's request."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from small_llamas import random_tensors, write_model

from orchestrator import Collegium
from orchestrator.cli import group
from orchestrator.errors import BadInput
from orchestrator.pipelines.merge import size_of

CONFIG = {"experts": {"one": {"script": "orchestrator.inference.engines.scripted:echo"}}}


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.chdir(tmp_path)
    Path("collegium.yaml").write_text(json.dumps(CONFIG))
    models = [{"model": str(write_model(tmp_path / f"m{seed}", random_tensors(seed)))} for seed in (0, 1)]
    made = {"merge_method": "linear", "models": [{**one, "parameters": {"weight": 1}} for one in models]}
    Path("config.yml").write_text(yaml.safe_dump(made))
    return made


def call(*arguments: str) -> Result:
    return CliRunner().invoke(group, ["merge", *arguments])


def test_a_program_and_the_command_line_write_the_same(recipe: dict[str, Any]) -> None:
    found = Collegium(CONFIG).merge(recipe=recipe, out="mine")
    told = call("config.yml", "theirs", "--json", "--shard-size", "1GB")
    assert told.exit_code == 0, (told.output, told.exception)
    document = json.loads(told.stdout)
    assert (document["out"], document["tensors"]) == ("theirs", found.tensors)
    assert (found.out, found.parameters) == (Path("mine"), document["parameters"])
    assert Path("mine/model.safetensors").read_bytes() == Path("theirs/model.safetensors").read_bytes()
    assert not Path("runs").exists()
    assert "million parameters" in call("config.yml", "again").stdout


def test_a_plan_writes_nothing(recipe: dict[str, Any]) -> None:
    told = call("config.yml", "out", "--plan", "--json")
    assert json.loads(told.stdout)["method"] == "linear"
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("arguments", "wrong"),
    [
        (["config.yml", "m0"], "m0"),
        (["nowhere.yml", "out"], "nowhere.yml"),
        (["config.yml", "out", "--shard-size", "many"], "--shard-size: 'many' is no size such as 5GB"),
        (["config.yml", "out", "--out-shard-size", "many"], "--out-shard-size: 'many' is no size such as 5GB"),
        (["config.yml", "out", "--threads", "0"], "--threads: "),
    ],
)
def test_bad_input_is_one_line(recipe: dict[str, Any], arguments: list[str], wrong: str) -> None:
    error = call(*arguments).exception
    assert wrong in str(error)
    assert "\n" not in str(error)
    with pytest.raises(BadInput, match="recipe"):
        Collegium(CONFIG).merge(recipe={"merge_method": "magic"}, out="out")


def test_sizes() -> None:
    assert [size_of(text) for text in ("5GB", "1.5 MB", "10k", "7")] == [5_000_000_000, 1_500_000, 20_000, 7]


@pytest.mark.parametrize(
    ("text", "dtype", "size"),
    [
        ("5GB", None, 5e9),
        ("1B", "BF16", 2e9),
        ("1B", "F32", 4e9),
        ("500M", None, 1e9),
        ("500MB", None, 5e8),
        ("1.5G", None, 1.5e9),
        ("20000", None, 2e4),
    ],
)
def test_a_size_is_bytes_or_parameters_and_never_one_byte(text: str, dtype: str | None, size: float) -> None:
    assert size_of(text, dtype) == size


@pytest.mark.parametrize("text", ["B", "0", "-1GB", "5 stones", "1BB"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no size such as"):
        size_of(text)


def test_an_interrupted_merge_leaves_nothing_and_says_so(recipe: dict[str, Any]) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    before = set(Path().iterdir())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("merging.merge.wait", interrupted)
        done = call("config.yml", "out")
    assert done.exit_code == 130
    assert "merge interrupted; nothing of it is kept, the same command starts anew" in done.output
    assert set(Path().iterdir()) == before
    assert call("config.yml", "out").exit_code == 0
