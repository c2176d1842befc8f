"""Random recipes over random small models of five architectures, against float64 references of a few lines each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from merging.plan import Merge
from merging.recipe_file import parse

Array = np.ndarray[Any, Any]
LAYERS, WIDTH, MODELS = 3, 6, 4
STYLES: dict[str, tuple[str, tuple[str, ...], str]] = {
    "llama": (
        "model.layers.",
        ("self_attn.q_proj.weight", "mlp.up_proj.weight", "input_layernorm.weight"),
        "num_hidden_layers",
    ),
    "gpt2": ("transformer.h.", ("attn.c_attn.weight", "attn.c_attn.bias", "ln_1.weight"), "n_layer"),
    "bert": ("encoder.layer.", ("attention.self.query.weight", "attention.self.query.bias"), "num_hidden_layers"),
    "mixtral": (
        "model.layers.",
        ("block_sparse_moe.experts.0.w1.weight", "block_sparse_moe.gate.weight"),
        "num_hidden_layers",
    ),
    "llava": ("language_model.model.layers.", ("self_attn.q_proj.weight", "mlp.down_proj.weight"), "num_hidden_layers"),
}


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[tuple[Path, dict[str, Array]]]]:
    made: dict[str, list[tuple[Path, dict[str, Array]]]] = {}
    for style, (head, tails, key) in STYLES.items():
        for number in range(MODELS):
            rng = np.random.default_rng(number)
            names = [f"{head}{layer}.{tail}" for layer in range(LAYERS) for tail in tails]
            tensors = {
                name: rng.normal(size=(WIDTH, WIDTH) if name.endswith("proj.weight") else WIDTH) for name in names
            }
            tensors[f"{head.rsplit('.', 2)[0]}.norm.weight" if style != "bert" else "norm.weight"] = rng.normal(
                size=WIDTH
            )
            folder = tmp_path_factory.mktemp(style)
            held = {name: array.astype("f4") for name, array in tensors.items()}
            save_file(held, folder / "model.safetensors")
            (folder / "config.json").write_text(json.dumps({"architectures": [style], key: LAYERS}))
            made.setdefault(style, []).append((folder, {name: array.astype("f8") for name, array in held.items()}))
    return made


def linear(base: Array, rows: list[Array], weights: list[float], _: float) -> Array:
    return sum(w * row for w, row in zip(weights, rows, strict=True)) / sum(weights)  # type: ignore[return-value]


def task_arithmetic(base: Array, rows: list[Array], weights: list[float], _: float) -> Array:
    return base + sum(w * (row - base) for w, row in zip(weights, rows, strict=True))


def slerp(base: Array, rows: list[Array], _: list[float], t: float) -> Array:
    x, y = base.reshape(-1), rows[0].reshape(-1)
    angle = np.arccos(np.clip(x @ y / (np.linalg.norm(x) * np.linalg.norm(y)), -1, 1))
    return (np.sin((1 - t) * angle) * base + np.sin(t * angle) * rows[0]) / np.sin(angle)


def ties(base: Array, rows: list[Array], weights: list[float], density: float) -> Array:
    taus = np.stack([row - base for row in rows])
    for tau in taus:
        keep = max(1, int(density * tau.size))
        tau[np.abs(tau) < np.sort(np.abs(tau), None)[-keep]] = 0
    weighed = taus * np.reshape(weights, (-1, *[1] * base.ndim))
    agree = weighed * np.where(weighed.sum(0) >= 0, 1, -1) > 0
    share = (agree * np.reshape(weights, (-1, *[1] * base.ndim))).sum(0)
    return base + (weighed * agree).sum(0) / np.where(share == 0, 1, share)


METHODS = {"linear": linear, "task_arithmetic": task_arithmetic, "slerp": slerp, "ties": ties}
WEIGHT = st.floats(0.1, 1).map(lambda value: round(value, 3))


@st.composite
def recipes(draw: st.DrawFn) -> tuple[str, str, list[list[float]], float, list[tuple[int, int]] | None]:
    """Architecture, method, a gradient per source, t or density, slices (first layer, one past the last) or none."""
    method = draw(st.sampled_from(sorted(METHODS)))
    count = 1 if method == "slerp" else draw(st.integers(1, MODELS - 1))
    gradients = [draw(st.lists(WEIGHT, min_size=1, max_size=3)) for _ in range(count)]
    ranges = st.tuples(st.integers(0, LAYERS - 1), st.integers(1, LAYERS)).filter(lambda ends: ends[0] < ends[1])
    slices = draw(st.none() | st.lists(ranges, min_size=1, max_size=3))
    return draw(st.sampled_from(sorted(STYLES))), method, gradients, draw(WEIGHT), slices


def at(gradient: list[float], depth: float) -> float:
    return float(np.interp(depth, np.linspace(0, 1, len(gradient)), gradient)) if len(gradient) > 1 else gradient[0]


@given(recipes())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_recipe_is_its_formula(
    zoo: dict[str, list[tuple[Path, dict[str, Array]]]],
    case: tuple[str, str, list[list[float]], float, list[tuple[int, int]] | None],
) -> None:
    style, method, gradients, value, slices = case
    head, _, _ = STYLES[style]
    (base, own), *others = zoo[style]
    others = others[: len(gradients)]
    sources: list[dict[str, Any]] = [
        {"model": str(folder), "parameters": {"weight": gradient}}
        for (folder, _), gradient in zip(others, gradients, strict=True)
    ]
    if method == "slerp":
        sources = [{"model": str(base)}, {"model": str(others[0][0])}]
    raw: dict[str, Any] = {"merge_method": method, "dtype": "float32"}
    if method != "linear":
        raw["base_model"] = str(base)
    if method in ("slerp", "ties"):
        raw["parameters"] = {"t" if method == "slerp" else "density": value}
    if slices is None:
        raw["models"] = sources
    else:
        raw["slices"] = [{"sources": [{**each, "layer_range": list(ends)} for each in sources]} for ends in slices]
    plan = Merge(parse(raw))
    places = [
        (layer, (layer - first) / (last - first - 1) if last - first > 1 else 1.0)
        for first, last in slices or [(0, LAYERS)]
        for layer in range(first, last)
    ]
    wanted = {}
    for name in own:
        if not name.startswith(head):
            wanted[name] = (name, 0.0)
        elif name.startswith(f"{head}0."):
            for place, (layer, depth) in enumerate(places):
                tail = name.removeprefix(f"{head}0.")
                wanted[f"{head}{place}.{tail}"] = (f"{head}{layer}.{tail}", depth)
    assert set(plan.names) == set(wanted)
    for name, (origin, depth) in wanted.items():
        weights = [at(gradient, depth) for gradient in gradients]
        found = METHODS[method](own[origin], [tensors[origin] for _, tensors in others], weights, value)
        np.testing.assert_allclose(plan.array(name), found, rtol=2e-5, atol=2e-6, err_msg=name)
