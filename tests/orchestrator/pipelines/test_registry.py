"""One record per pipeline: the same name, request and result for the SDK, the command line and jobs."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from orchestrator import Collegium
from orchestrator.cli import group
from orchestrator.errors import BadInput
from orchestrator.pipelines.registry import named


def test_old_names_work_and_say_so(echo_zoo: Collegium) -> None:
    assert named("eval_router")[0].name == "eval-router"
    for old, new in {"answer": "run", "distill-generate": "generate", "distil": "distill"}.items():
        pipeline, note = named(old)
        assert pipeline.name == new
        assert f"is now called {new}" in note
    warned = pytest.warns(FutureWarning, match="distil is now called distill")
    with warned, pytest.raises(BadInput, match="no such file"):
        echo_zoo.distil(transcripts=["nowhere.jsonl"])
    told = CliRunner().invoke(group, ["distill", "train", "--transcripts", "nowhere.jsonl"])
    assert "collegium distill train is now collegium teach" in told.stderr
