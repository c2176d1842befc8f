"""What travels with a submitted command, where its state lies, and that paths of the cluster are not printed."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from orchestrator.errors import BadInput
from orchestrator.submission_files import files_named, modules_named, paths_here, state_there


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def write(**files: str) -> None:
    for name, text in files.items():
        path = Path(name.replace("_in_", "/"))
        path.parent.mkdir(exist_ok=True, parents=True)
        path.with_suffix(".yaml" if name in ("collegium", "zoo") else ".py").write_text(text)


def test_modules_that_the_configuration_and_the_command_name_travel_with_what_they_import() -> None:
    config = {
        "experts": {"a": {"script": "acted:words"}, "b": {"url": "http://x/v1", "model": "qwen2:latest"}},
        "discussions": {"mine": "talks.panel:mine"},
        "zoo": "zoo.yaml",
    }
    write(
        collegium=yaml.safe_dump(config),
        zoo=yaml.safe_dump({"experts": {"c": {"script": "third:words", "chat_template": "t.jinja"}}}),
        acted="import helper\nimport os\nfrom deeper.still import x\n",
        helper="import acted\n",
        third="",
        talks_in___init__="",
        talks_in_panel="",
        scorer="",
        unused="",
        orchestrator_in_x="",
    )
    Path("t.jinja").write_text("{{ x }}")
    Path("q.csv").write_text("question,answer\n")
    found = files_named(["run", "--task=q.csv", "--score", "scorer:right", "--methods", "mine"])
    assert {str(path) for path in found} == {
        *("q.csv", "collegium.yaml", "zoo.yaml", "t.jinja", "acted.py", "helper.py", "third.py", "scorer.py"),
        *("talks/__init__.py", "talks/panel.py"),
    }
    assert modules_named(["orchestrator.x:y", "../up:x", "no colon"]) == []


def test_what_lies_elsewhere_or_is_too_large_stays(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "outside.csv").write_text("x")
    Path("large.csv").write_text("x" * 100)
    assert files_named(["run", "--task", "../outside.csv", str(tmp_path / "outside.csv")]) == []
    monkeypatch.setattr("orchestrator.submission_files.MAX_STAGED", 10)
    with pytest.raises(BadInput, match="more than 10 bytes"):
        files_named(["run", "--task", "large.csv"])


def test_a_relative_state_has_one_lasting_place_on_the_cluster(here: Path) -> None:
    words = ["run", "--config", "collegium.yaml"]
    assert state_there(words) is None  # the default lies in the home
    write(collegium="experts: {}\nstate: ./state\n")
    place = state_there(words)
    assert place == state_there(["run"])
    assert place is not None
    assert place.startswith("~/.local/state/collegium/states/project-")
    assert place.endswith("/state")
    other = state_there([*words, "--set", "state=./other/place"])
    assert other == place.removesuffix("state") + "other-place"
    assert state_there([*words, "--set", "state=/shared/state"]) is None
    write(collegium="experts: {}\nstate: /shared\n")
    assert state_there(words) is None


def test_paths_of_the_cluster_become_those_here_even_in_two_parts() -> None:
    heard: list[str] = []
    more, end = paths_here(heard.append, "collegium-12ab", Path("runs"))
    text = "Report: /home/ray/.local/state/collegium/submitted/collegium-12ab/run-1/report.html\n90%"
    for start in range(0, len(text), 7):
        more(text[start : start + 7])
    end()
    assert "".join(heard) == "Report: runs/run-1/report.html\n90%"
    more("/elsewhere/submitted/other/run-1\n")
    assert heard[-1] == "/elsewhere/submitted/other/run-1\n"
