"""What a program or a command asks for reaches the trainer (which tests/.../test_adapter_training.py tests)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from distill.train import StepMetrics
from orchestrator import Collegium
from orchestrator.cli import group
from orchestrator.errors import BadInput
from orchestrator.pipelines import adapter_training
from orchestrator.pipelines.adapter_training import AdapterSpec
from orchestrator.pipelines.train import TrainedExpert
from tests.scripts.training_steps import STEP


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Path]]:
    calls: list[tuple[str, Path]] = []

    def train(spec: AdapterSpec, out: Path, report: Callable[[StepMetrics], None]) -> StepMetrics:
        calls.append((spec.name, out))
        report(STEP)
        return STEP

    monkeypatch.setattr(adapter_training, "train", train)
    return calls


def test_the_adapter_lies_in_the_run_folder_or_where_it_is_asked_for(
    echo_zoo: Collegium, trained: list[tuple[str, Path]], tmp_path: Path
) -> None:
    notes: list[str] = []
    found = echo_zoo.train(name="arithmetic", note=notes.append)
    assert found == TrainedExpert(trained[0][1], 3, 900, 2.0, 0.5)
    assert trained[0][0] == "arithmetic"
    assert found.folder.name == "arithmetic"
    assert tmp_path / "runs" in found.folder.parents
    assert notes == ["training arithmetic, step 3 of 3: loss 0.500, 450 tokens/s"]
    assert echo_zoo.train(name="arithmetic", out="there").folder == tmp_path / "there"


def test_a_command_makes_the_folder_where_it_is_called(echo_zoo: Collegium, trained: list[tuple[str, Path]]) -> None:
    done = CliRunner().invoke(group, ["experts", "train", "arithmetic", "--json"], catch_exceptions=False)
    assert done.exit_code == 0
    assert trained[0][1] == Path.cwd() / "arithmetic"


@pytest.mark.parametrize("name", ["../arithmetic", ".hidden", "a/b", ""])
def test_a_name_is_no_path(echo_zoo: Collegium, name: str) -> None:
    with pytest.raises(BadInput, match="name"):
        echo_zoo.train(name=name)


def test_an_unknown_specification_is_refused(echo_zoo: Collegium) -> None:
    with pytest.raises(BadInput, match=r"no specification .*; the demo zoo has .*arithmetic"):
        echo_zoo.train(name="nobody")
