"""What decides a training: bounded, closed, and with its number of steps."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from distill.specification import TrainingSpec


@pytest.mark.parametrize(("tokens", "step_tokens", "steps"), [(1_000, 100, 10), (1_001, 100, 11), (1, 100, 1)])
def test_the_last_step_may_be_a_part(tokens: int, step_tokens: int, steps: int) -> None:
    assert TrainingSpec(student="s", tokens=tokens, step_tokens=step_tokens).steps == steps


@pytest.mark.parametrize(
    "wrong",
    [
        {"rank": 0},
        {"dropout": 1.0},
        {"learning_rate": float("nan")},
        {"student": ""},
        {"ranks": 4},
        {"precision": "fp8"},
    ],
)
def test_what_makes_no_training_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        TrainingSpec.model_validate({"student": "s"} | wrong)
