"""Distillation's commands, run in the test's folder."""

from __future__ import annotations

import json
from typing import Any

from click.testing import CliRunner, Result

from orchestrator.cli import group


def call(*arguments: str) -> Result:
    return CliRunner().invoke(group, list(arguments), catch_exceptions=True)


def generated() -> dict[str, Any]:
    result = call("generate", "--task", "questions.jsonl", "--questions", "20", "--json")
    assert result.exit_code == 0, (result.output, result.exception)
    found: dict[str, Any] = json.loads(result.stdout)
    return found
