"""Gates of a mixture, from what its layers see of prompts that belong to one expert each.

Model-GLUE, https://arxiv.org/abs/2410.05357, section 4.4: training-free from the prompts' hidden states; and, which
the paper never released, trained on which expert is right: linear and with one hidden layer.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

States = NDArray[np.float32]
"""[layers, prompts, hidden]: what each layer's gate sees of a prompt, on one model."""


class MixtureError(ValueError):
    """Models that cannot become a mixture; the message names the folder and the key or tensor."""


@dataclass(frozen=True)
class LinearGates:
    """`rows`: [layers, experts, hidden]."""

    rows: States

    @property
    def shape(self) -> tuple[int, ...]:
        """(layers, experts, hidden)"""
        return self.rows.shape

    def scores(self, states: States) -> States:
        """[layers, prompts, experts] from [layers, prompts, hidden]."""
        return np.asarray(np.einsum("lph,leh->lpe", states, self.rows), np.float32)

    def tensors(self, layer: int | slice) -> dict[str, States]:
        """Name below a layer's gate -> values; a slice gives several layers'."""
        return {"weight": self.rows[layer]}


@dataclass(frozen=True)
class MLPGates:
    """`inner` [layers, width, hidden] and its bias [layers, width], ReLU, `outer` [layers, experts, width] and bias."""

    inner: States
    inner_bias: States
    outer: States
    outer_bias: States

    @property
    def shape(self) -> tuple[int, ...]:
        """(layers, experts, hidden)"""
        return self.inner.shape[0], self.outer.shape[1], self.inner.shape[2]

    @property
    def width(self) -> int:
        """Hidden units of each gate."""
        return int(self.inner.shape[1])

    def scores(self, states: States) -> States:
        """[layers, prompts, experts] from [layers, prompts, hidden]."""
        seen = np.maximum(np.einsum("lph,lwh->lpw", states, self.inner) + self.inner_bias[:, None], 0)
        return np.asarray(np.einsum("lpw,lew->lpe", seen, self.outer) + self.outer_bias[:, None], np.float32)

    def tensors(self, layer: int | slice) -> dict[str, States]:
        """Name below a layer's gate -> values; a slice gives several layers'."""
        return {
            "inner.weight": self.inner[layer],
            "inner.bias": self.inner_bias[layer],
            "outer.weight": self.outer[layer],
            "outer.bias": self.outer_bias[layer],
        }


Gates = LinearGates | MLPGates


def check_gates(gates: Gates, wanted: tuple[int, ...]) -> None:
    """Raises `MixtureError` unless the gates are finite and their shape is (layers, experts, hidden) as wanted."""
    if gates.shape != wanted or not all(np.isfinite(part).all() for part in gates.tensors(slice(None)).values()):
        raise MixtureError(f"gates of shape {gates.shape}: want finite [layers, experts, hidden] {wanted}")


def prompt_gates(states: States, owners: Sequence[int], experts: int) -> LinearGates:
    """Training-free: an expert's row is the mean state of its own prompts less that of the others', at length 1.

    `owners[i]` is the expert of prompt i. Raises `MixtureError` for an expert without prompts.
    """
    _check(states, owners, experts)
    own = np.asarray(owners)
    rows = [states[:, own == index].mean(1) - states[:, own != index].mean(1) for index in range(experts)]
    gates = np.stack(rows, 1)
    return LinearGates(np.asarray(gates / np.maximum(np.linalg.norm(gates, axis=-1, keepdims=True), 1e-12), np.float32))


def trained_gates(states: States, owners: Sequence[int], experts: int, *, strength: float = 0.1) -> LinearGates:
    """By logistic regression of a prompt's owner on its states, without an intercept (Mixtral has none).

    `strength`: scikit-learn's C. Raises as `prompt_gates`.
    """
    from sklearn.linear_model import LogisticRegression

    _check(states, owners, experts)
    gates = np.zeros((len(states), experts, states.shape[-1]), np.float32)
    for layer, seen in enumerate(states):
        model = LogisticRegression(C=strength, fit_intercept=False, max_iter=500).fit(seen, owners)
        gates[layer] = _both(model.coef_, experts)
    return LinearGates(gates)


def mlp_gates(
    states: States, owners: Sequence[int], experts: int, *, width: int = 32, decay: float = 1.0, seed: int = 0
) -> MLPGates:
    """With one hidden layer of `width`, trained to tell a prompt's owner by its states; `decay`: scikit-learn's alpha.

    The same seed gives the same gates. Raises as `prompt_gates`.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    _check(states, owners, experts)
    found: list[tuple[Any, ...]] = []
    for seen in states:
        model = MLPClassifier((width,), solver="lbfgs", alpha=decay, max_iter=200, random_state=seed)
        with warnings.catch_warnings():
            # Where it stops is early stopping: it has long told the few prompts apart.
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(seen.astype(np.float64), owners)
        (inner, outer), (inner_bias, outer_bias) = model.coefs_, model.intercepts_
        found.append((inner.T, inner_bias, _both(outer.T, experts), _both(outer_bias, experts)))
    return MLPGates(*(np.stack(part).astype(np.float32) for part in zip(*found, strict=True)))


def _both(rows: NDArray[Any], experts: int) -> NDArray[Any]:
    """With two classes scikit-learn keeps one row, the second's."""
    return rows if experts > 2 else np.concatenate([-rows, rows]) / 2


def _check(states: States, owners: Sequence[int], experts: int) -> None:
    if states.ndim != 3 or states.shape[1] != len(owners) or not np.isfinite(states).all():
        raise MixtureError(f"states of shape {states.shape} for {len(owners)} prompts: want [layers, prompts, hidden]")
    missing = sorted(set(range(experts)) ^ set(owners))
    if missing or experts < 2:
        raise MixtureError(f"expert {missing[0] if missing else 0} of {experts} has no prompt that sets it apart")
