"""Flags from a request's fields, and errors in their words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from pydantic import BaseModel, ConfigDict, Field

from orchestrator.cli.options import configuration, request_command
from orchestrator.errors import BadInput


class Request(BaseModel):
    """Try it."""

    model_config = ConfigDict(extra="forbid")

    max_tokens: int = Field(default=5, ge=1, description="Longest reply.")
    names: list[str] = Field(default_factory=list, description="Who.")
    fast: bool | None = Field(default=None, description="Hurry.")
    loud: bool = Field(default=False, description="Shout.")
    ratio: float | None = None


def run(*arguments: str) -> Any:
    seen: list[Any] = []
    command = request_command("try", Request, lambda config, request, as_json: seen.append((request, as_json)))
    done = CliRunner().invoke(command, [*arguments, "--config", "demo"], catch_exceptions=True)
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return seen[0] if seen else done.output


def test_each_field_is_a_flag_of_its_type_and_only_what_is_given_is_set() -> None:
    request, as_json = run("--max-tokens", "7", "--names", "a, b,", "--loud", "--ratio", "0.5", "--json")
    assert (request.max_tokens, request.names, request.loud, request.ratio, as_json) == (7, ["a", "b"], True, 0.5, True)
    assert run()[0].model_fields_set == set()
    assert run("--no-loud")[0].model_fields_set == {"loud"}


def test_help_has_the_fields_words_and_defaults() -> None:
    text = " ".join(run("--help").split())
    assert "Longest reply. [default: 5]" in text
    assert "--loud / --no-loud" in text


def test_an_error_names_the_flag() -> None:
    with pytest.raises(BadInput, match=r"^--max-tokens: "):
        run("--max-tokens", "0")


def test_without_a_file_the_demo_zoo_is_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert configuration(None).experts == configuration("demo").experts
    Path("collegium.yaml").write_text("experts: {one: {script: 'a:b'}}\nworkers: {engine: scripted}\n")
    assert list(configuration(None).experts) == ["one"]
    assert configuration(None, ("workers.count=3",)).workers.count == 3
    assert "one" not in configuration("demo").experts
    assert "till" in configuration("demo2").experts
    assert configuration("demo2", ("workers.count=3",)).workers.count == 3
