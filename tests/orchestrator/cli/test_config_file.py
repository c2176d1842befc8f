"""Experts are added to a configuration's text, and everything else stays (`experts add`: test_experts.py)."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.cli.config_file import add_entry
from orchestrator.config import read_yaml
from orchestrator.errors import BadInput, ConfigError

ECHO = {"script": "orchestrator.inference.engines.scripted:echo"}


def test_comments_and_order_stay(tmp_path: Path) -> None:
    path = tmp_path / "collegium.yaml"
    path.write_text("# mine\nseed: 3\nexperts:  # all\n    one:  # first\n        script: a:b\n\nstate: here\n")
    add_entry(path, "two", ECHO)
    text = path.read_text()
    assert "# mine" in text
    assert "# first" in text
    assert text.endswith("state: here\n")
    assert read_yaml(path)["experts"] == {"one": {"script": "a:b"}, "two": ECHO}


def test_a_file_is_made_where_there_is_none(tmp_path: Path) -> None:
    assert add_entry(tmp_path / "new.yaml", "one", ECHO).name == "one"
    assert read_yaml(tmp_path / "new.yaml") == {"experts": {"one": ECHO}}


def test_a_name_that_is_taken_and_a_layout_that_cannot_be_added_to_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "collegium.yaml"
    path.write_text("experts: {one: {script: 'a:b'}}\n")
    with pytest.raises(BadInput, match=r"experts\.one: there is one already"):
        add_entry(path, "one", ECHO)
    with pytest.raises(ConfigError, match=r"by hand: experts\.two"):
        add_entry(path, "two", ECHO)
    assert path.read_text() == "experts: {one: {script: 'a:b'}}\n"
