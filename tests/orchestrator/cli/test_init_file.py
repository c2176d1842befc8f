"""The file that init writes is read as it is meant, whatever stands in a model's name or reply."""

from __future__ import annotations

from pathlib import Path

import yaml

from orchestrator.cli.init_file import TriedExpert, written
from orchestrator.config import read


def test_comments_never_become_keys_and_paths_are_relative(tmp_path: Path) -> None:
    hostile = "says: “x”\n  evil:\n    url: http://elsewhere\x1b[2J # and on"
    tried = [
        TriedExpert("one", {"model": str(tmp_path / "sub" / "one")}, hostile, True),
        TriedExpert("two", {"url": "http://127.0.0.1:1/v1", "model": "a: [b\n"}, "fine", True),
        TriedExpert("on", {"model": "/elsewhere/m", "adapter": "/elsewhere/l"}, hostile, False),
    ]
    path = tmp_path / "collegium.yaml"
    path.write_text(written(tried, {"x\ny: 1": hostile}, path, engine="auto", port=8010), "utf-8")
    data = yaml.safe_load(path.read_text())
    assert data["experts"] == {
        "one": {"model": "./sub/one"},
        "two": {"url": "http://127.0.0.1:1/v1", "model": "a: [b\n"},
    }
    assert read(path).experts["one"].model == str(tmp_path / "sub" / "one")
    assert read(path).service.port == 8010
    assert "\x1b" not in path.read_text()
    uncommented = (
        path.read_text().replace("  # 'on':\n  #   model", "  'on':\n    model").replace("  #   adapter", "    adapter")
    )
    assert yaml.safe_load(uncommented)["experts"]["on"] == {"model": "/elsewhere/m", "adapter": "/elsewhere/l"}


def test_workers_are_described_where_there_are_local_experts(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    remote = TriedExpert("far", {"provider": "openai", "model": "m"}, "fine", True)
    assert "\nworkers:" not in written([remote], {}, path, engine="auto", port=8000)
    local = TriedExpert("near", {"model": "a/b"}, "fine", True)
    assert "\nworkers:" in written([remote, local], {}, path, engine="auto", port=8000)
