"""`collegium doctor`: a line per finding, exit code 1 if something is broken."""

from __future__ import annotations

import json
from pathlib import Path

import yaml
from click.testing import CliRunner, Result

from orchestrator.cli import group


def call(*arguments: str) -> Result:
    return CliRunner().invoke(group, ["doctor", *arguments], catch_exceptions=True)


def test_a_healthy_configuration_ends_with_0(zoo: Path) -> None:
    done = call("--json")
    found = json.loads(done.stdout)
    broken = [one for one in found["findings"] if one["state"] == "broken"]
    assert (done.exit_code, found["broken"]) == (bool(broken), len(broken))
    by_topic = {one["topic"]: one for one in found["findings"]}
    assert by_topic["configuration"]["words"] == "collegium.yaml: 2 experts"
    assert by_topic["expert words"]["state"] == by_topic["expert coins"]["state"] == "ok"


def test_what_is_broken_is_marked_with_its_remedy_and_ends_with_1(zoo: Path) -> None:
    config = yaml.safe_load(zoo.read_text())
    config["experts"]["far"] = {"url": "http://127.0.0.1:9/v1", "model": "x", "api_key_env": "NOT_SET_ANYWHERE"}
    zoo.write_text(yaml.safe_dump(config))
    done = call()
    assert done.exit_code == 1
    lines = " ".join(done.output.split())
    assert "✗ expert far: NOT_SET_ANYWHERE is not set" in lines
    assert "→ export NOT_SET_ANYWHERE=..." in lines
    assert "findings are broken" in lines
    assert not [line for line in done.output.splitlines() if len(line) > 99 and "/" not in line]


def test_a_file_that_cannot_be_read_is_a_finding(zoo: Path) -> None:
    zoo.write_text("experts: {words: {scirpt: 'a:b'}}\n")
    done = call()
    assert done.exit_code == 1
    assert "did you mean 'script'?" in " ".join(done.output.split())
