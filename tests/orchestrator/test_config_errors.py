"""What is wrong with a configuration is said in words, on one line."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from orchestrator.config import Config, ServiceConfig
from orchestrator.config_errors import explain, printable


def problem(**data: object) -> str:
    with pytest.raises(ValidationError) as caught:
        Config.model_validate(data)
    return explain(caught.value, Config)


def test_an_unknown_key_is_named_with_its_nearest_neighbour() -> None:
    assert problem(service={"prot": 80}) == "service.prot: unknown key; did you mean 'port'?"
    assert problem(wrokers={}) == "wrokers: unknown key; did you mean 'workers'?"


def test_a_wrong_value_is_quoted_and_all_problems_stand_on_one_line() -> None:
    found = problem(seed=-1, service={"port": "x"})
    assert "seed: " in found
    assert "(got -1)" in found
    assert "service.port: " in found
    assert "\n" not in found


def test_a_key_that_cannot_be_printed_is_quoted() -> None:
    assert printable("a\nb") == r"'a\nb'"
    assert printable(3) == "3"


def test_experts_by_need_have_one_measure() -> None:
    with pytest.raises(ValidationError, match="spend: give either calls or spend"):
        ServiceConfig(calls=3, spend=1)
