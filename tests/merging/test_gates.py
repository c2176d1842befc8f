"""Gates learn from states whose owners are known, and say the same every time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from merging.gates import (
    Gates,
    LinearGates,
    MixtureError,
    MLPGates,
    check_gates,
    mlp_gates,
    prompt_gates,
    trained_gates,
)

LAYERS, HIDDEN = 2, 24
LEARN: tuple[Callable[..., Gates], ...] = (prompt_gates, trained_gates, mlp_gates)


def drawn(experts: int, prompts: int, noise: float = 0.3) -> tuple[Any, list[int]]:
    """States around a centre an expert, and whose they are."""
    random = np.random.default_rng(0)
    centres = random.standard_normal((LAYERS, experts, HIDDEN))
    owners = [index % experts for index in range(prompts)]
    states = [centres[:, owner] + noise * random.standard_normal((LAYERS, HIDDEN)) for owner in owners]
    return np.stack(states, 1).astype(np.float32), owners


@pytest.mark.parametrize("learn", LEARN)
@pytest.mark.parametrize("experts", [2, 3])
def test_prompts_go_to_their_owners(learn: Callable[..., Gates], experts: int) -> None:
    states, owners = drawn(experts, 60)
    found = learn(states[:, :30], owners[:30], experts)
    check_gates(found, (LAYERS, experts, HIDDEN))
    assert (found.scores(states[:, 30:]).argmax(-1) == owners[30:]).mean() > 0.95


@pytest.mark.parametrize("learn", LEARN)
def test_the_same_states_give_the_same_gates(learn: Callable[..., Gates]) -> None:
    states, owners = drawn(3, 18)
    one, other = (learn(states, owners, 3).tensors(slice(None)) for _ in range(2))
    assert all(np.array_equal(one[name], other[name]) for name in one)


def test_an_mlp_tells_what_no_line_can() -> None:
    random = np.random.default_rng(0)
    states = random.standard_normal((1, 200, 2)).astype(np.float32)
    owners = [int(a * b > 0) for a, b in states[0]]

    def right(found: Gates) -> float:
        return float((found.scores(states).argmax(-1) == owners).mean())

    assert right(trained_gates(states, owners, 2)) < 0.7
    assert right(mlp_gates(states, owners, 2, width=16, decay=0.01)) > 0.95


@given(st.permutations(range(12)))
@settings(max_examples=20, deadline=None)
def test_the_order_of_prompts_decides_nothing(order: Sequence[int]) -> None:
    states, owners = drawn(3, 12)
    one = prompt_gates(states, owners, 3)
    other = prompt_gates(states[:, list(order)], [owners[place] for place in order], 3)
    assert np.allclose(one.rows, other.rows, atol=1e-6)
    assert np.allclose(np.linalg.norm(one.rows, axis=-1), 1, atol=1e-5)


@pytest.mark.parametrize("learn", LEARN)
def test_every_expert_needs_prompts_of_its_own(learn: Callable[..., Gates]) -> None:
    states = np.zeros((LAYERS, 2, HIDDEN), np.float32)
    with pytest.raises(MixtureError, match="expert 2 of 3"):
        learn(states, [0, 1], 3)
    with pytest.raises(MixtureError, match="for 3 prompts"):
        learn(states, [0, 1, 0], 2)
    with pytest.raises(MixtureError, match="for 2 prompts"):
        learn(states * np.nan, [0, 1], 2)


def test_gates_that_are_not_finite_or_of_another_shape_are_refused() -> None:
    good = np.ones((LAYERS, 3, HIDDEN), np.float32)
    with pytest.raises(MixtureError, match=r"want finite \[layers, experts, hidden\]"):
        check_gates(LinearGates(good), (LAYERS, 2, HIDDEN))
    bias = np.full((LAYERS, 3), np.inf, np.float32)
    mlp = MLPGates(good[:, :1], good[:, :1, 0], good[:, :, :1], bias)
    with pytest.raises(MixtureError, match="want finite"):
        check_gates(mlp, (LAYERS, 3, HIDDEN))
