"""`collegium cluster`: what is compared with what, and what it shows."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from demo_clusters import clustered
from safetensors.numpy import save_file
from small_llamas import random_tensors, write_model

from orchestrator.cli.cluster import command
from orchestrator.errors import BadInput
from orchestrator.evaluation.report.data import Clustering
from orchestrator.inference.expert import Expert
from orchestrator.pipelines.cluster import ClusterRequest


def test_adapters_over_one_base_are_compared_by_task_vectors(by_task_vectors: Clustering) -> None:
    assert set(by_task_vectors.compared) == {"task vectors"}
    assert all(len(group) == 1 for group in by_task_vectors.clusters)
    row = dict(zip(by_task_vectors.experts, by_task_vectors.values[1], strict=True))
    assert by_task_vectors.experts[1] == "arithmetic"
    assert row["arithmetic"] == pytest.approx(1)
    assert 0 < (row["letters"] or 0) < 0.1  # skills learnt apart are nearly orthogonal
    assert row["base"] == 0
    assert row["converter"] is None  # another shape


def test_weights_alone_cannot_tell_siblings_apart(demo_experts: dict[str, Expert]) -> None:
    found = clustered(ClusterRequest(by="weights", experts=["arithmetic", "careless", "converter"]), demo_experts)
    assert found.clusters == (("arithmetic", "careless"), ("converter",))
    assert (found.values[0][1] or 0) > 0.99


def test_a_named_base_is_subtracted(demo_experts: dict[str, Expert]) -> None:
    found = clustered(ClusterRequest(base="base", experts=["arithmetic", "letters", "converter"]), demo_experts)
    assert set(found.compared) == {"task vectors"}
    assert (found.values[0][1] or 1) < 0.1


def test_the_command_writes_a_report(tmp_path: Path) -> None:
    arguments = ["--experts", "letters,logic", "--set", f"runs={tmp_path}", "--set", f"state={tmp_path}", "--json"]
    done = CliRunner().invoke(command, ["--config", "demo", *arguments], catch_exceptions=False)
    told = json.loads(done.stdout)
    assert told["clusters"] == [["letters"], ["logic"]]
    assert "Dendrogram" in Path(told["report"]).read_text()


def test_who_has_no_weights_here_is_named(demo_experts: dict[str, Expert]) -> None:
    remote = Expert("far", "f", "remote", remote=None)
    with pytest.raises(BadInput, match="expert 'far' is not here as weights"):
        clustered(ClusterRequest(experts=["far"]), {**demo_experts, "far": remote})
    with pytest.raises(BadInput, match="nothing to cluster"):
        clustered(ClusterRequest(), {"far": remote})
    with pytest.raises(BadInput, match="not a plain checkpoint"):
        clustered(ClusterRequest(base="letters"), demo_experts)


def test_weights_are_compared_without_a_chat_template_and_as_the_numbers_they_stand_for(tmp_path: Path) -> None:
    plain = random_tensors(0)
    name = "model.layers.0.mlp.up_proj.weight"
    scale = np.abs(plain[name]).max(1)
    packed = {**plain, name: np.rint(plain[name] / scale[:, None] * 127).astype("i1")}
    said = {"quantization_config": {"quant_method": "bitsandbytes", "load_in_8bit": True}}
    write_model(tmp_path / "plain", plain)
    held = {key: array.astype("f4") if array.dtype == np.float64 else array for key, array in packed.items()}
    held[name.replace(".weight", ".SCB")] = scale.astype("f4")
    (tmp_path / "packed").mkdir()
    save_file(held, tmp_path / "packed" / "model.safetensors")
    config = json.loads((tmp_path / "plain" / "config.json").read_text())
    (tmp_path / "packed" / "config.json").write_text(json.dumps({**config, **said}))
    experts = {each: {"model": str(tmp_path / each)} for each in ("plain", "packed")}
    (tmp_path / "zoo.json").write_text(json.dumps({"experts": experts}))
    arguments = ["--config", str(tmp_path / "zoo.json"), "--set", f"runs={tmp_path}", "--set", f"state={tmp_path}"]
    done = CliRunner().invoke(command, [*arguments, "--json"], catch_exceptions=False)
    told = json.loads(done.stdout)
    assert told["clusters"] == [["packed", "plain"]]
    assert min(min(row) for row in told["values"]) > 0.999
