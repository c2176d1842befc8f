"""Models by hub id: from the cache if it is whole; else the command that fetches them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestrator.errors import ExpertError
from orchestrator.experts.hub import WANTED, is_hub_id, misplaced, snapshot


@pytest.mark.parametrize(
    ("name", "hub"),
    [
        ("Qwen/Qwen2.5-7B", True),
        ("demo/base", False),
        ("folder", False),
        ("a/b/c", False),
        ("../x", False),
        ("/a/b", False),
    ],
)
def test_owner_and_name_are_a_hub_id(name: str, hub: bool) -> None:
    assert is_hub_id(name) is hub


def test_no_pickle_and_no_python_is_wanted() -> None:
    assert not [pattern for pattern in WANTED if pattern.endswith((".bin", ".pt", ".pkl", ".py")) or pattern == "*"]


def test_what_is_not_wholly_cached_is_refused_offline_with_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ExpertError, match="HF_HUB_OFFLINE is set; fetch it: hf download owner/model --revision v2"):
        snapshot("owner/model", "v2")
    asked: list[object] = []
    folder = tmp_path / "cached"
    folder.mkdir()
    monkeypatch.setattr(
        "huggingface_hub.snapshot_download", lambda name, **options: (asked.append(options), str(folder))[1]
    )
    (folder / "config.json").write_text(json.dumps({"model_type": "llama"}))
    with pytest.raises(ExpertError, match="not \\(wholly\\) in the hub's cache"):
        snapshot("owner/model")  # a download that was cut off
    (folder / "adapter_config.json").write_text("{}")
    (folder / "adapter_model.safetensors").write_bytes(b"")
    assert snapshot("owner/model") == folder
    assert all(options["local_files_only"] for options in asked)  # type: ignore[index]


def test_what_lies_near_a_checkpoint_is_named(tmp_path: Path) -> None:
    def made(*names: str) -> Path:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text("{}")
        return folder

    assert "snapshots/abc has one: name that folder" in misplaced(made("snapshots/abc/config.json", "refs/main"))
    assert "checkpoint-500 has one: name that folder" in misplaced(made("checkpoint-500/config.json"))
    assert misplaced(made("adapter_config.json", "adapter_model.safetensors")).startswith("an adapter: set it as")
    shards = ("config.json", "model-00001-of-00002.safetensors")
    assert "no model.safetensors.index.json" in misplaced(made(*shards))
    assert misplaced(made(*shards, "model.safetensors.index.json")) == ""
    assert misplaced(made("config.json", "model.safetensors", "adapter_config.json")) == ""
    assert misplaced(made("config.json") / "config.json").startswith("a file; name the folder")
    assert misplaced(made("other.txt")) == ""
    assert misplaced(tmp_path / "nowhere") == ""
