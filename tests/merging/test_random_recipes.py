"""Random recipes over random small models of five architectures, against float64 references of a few lines each.

Every method that a recipe can name is drawn, with all of its parameters: numbers, gradients and filters.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from float64_methods import REFERENCES, SHARE, Array
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from merging.methods import METHODS
from merging.plan import Merge
from merging.recipe_file import parse

LAYERS, ROWS, COLUMNS, MODELS = 3, 6, 8, 4
STYLES: dict[str, tuple[str, tuple[str, ...], str]] = {
    "llama": ("model.layers.", ("self_attn.q_proj.weight", "input_layernorm.weight"), "num_hidden_layers"),
    "gpt2": ("transformer.h.", ("attn.c_attn.weight", "attn.c_attn.bias", "ln_1.weight"), "n_layer"),
    "bert": ("encoder.layer.", ("attention.self.query.weight", "attention.self.query.bias"), "num_hidden_layers"),
    "mixtral": ("model.layers.", ("block_sparse_moe.experts.0.w1.weight", "norm.weight"), "num_hidden_layers"),
    "llava": ("language_model.model.layers.", ("mlp.down_proj.weight", "norm.weight"), "num_hidden_layers"),
}
MATRICES = ("proj.weight", "c_attn.weight", "query.weight", "w1.weight")
NOT_DRAWN = {"int8_mask": "changes nothing", "eps": "keeps a division from zero"}


@dataclass(frozen=True)
class Model:
    """A checkpoint, and what it and its statistics hold, in float64."""

    folder: Path
    tensors: dict[str, Array]
    statistics: dict[str, dict[str, Array]]


Zoo = dict[str, list[Model]]


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    made: Zoo = {}
    for style, (head, tails, key) in STYLES.items():
        for number in range(MODELS):
            rng = np.random.default_rng(number)
            names = [f"{head}{layer}.{tail}" for layer in range(LAYERS) for tail in tails]
            names.append(f"{head.rsplit('.', 2)[0]}.norm.weight" if style != "bert" else "norm.weight")
            held = {
                n: rng.normal(size=(ROWS, COLUMNS) if n.endswith(MATRICES) else COLUMNS).astype("f4") for n in names
            }
            inputs = {name: rng.normal(size=(40, COLUMNS)) for name in names if name.endswith(MATRICES)}
            statistics = {
                "fisher": {name: rng.uniform(0.1, 1, size=array.shape).astype("f4") for name, array in held.items()},
                "regmean": {name: (rows.T @ rows).astype("f4") for name, rows in inputs.items()},
            }
            folder = tmp_path_factory.mktemp(style)
            save_file(held, folder / "model.safetensors")
            for kind, arrays in statistics.items():
                save_file(arrays, folder / f"{kind}.stats")
            (folder / "config.json").write_text(json.dumps({"architectures": [style], key: LAYERS}))
            wide = {kind: {n: a.astype("f8") for n, a in arrays.items()} for kind, arrays in statistics.items()}
            made.setdefault(style, []).append(Model(folder, {n: a.astype("f8") for n, a in held.items()}, wide))
    return made


def setting(values: Any) -> Any:
    """A parameter as a recipe writes it: a value; of numbers also a gradient, or one for names with `norm` in them."""
    if values is not SHARE:
        return values
    gradient = st.lists(SHARE, min_size=2, max_size=3) | SHARE
    filtered = st.tuples(SHARE, gradient).map(lambda pair: [{"filter": "norm", "value": pair[0]}, {"value": pair[1]}])
    return gradient | filtered


@dataclass(frozen=True)
class Case:
    style: str
    based: bool
    each: list[dict[str, Any]]
    """One per source."""
    shared: dict[str, Any]
    slices: list[tuple[int, int]] | None
    """First layer, one past the last."""


@st.composite
def cases(draw: st.DrawFn, method: str) -> Case:
    reference = REFERENCES[method]
    count = draw(st.integers(*reference.sources))
    drawn = {name: values for name, values in reference.each.items() if values is not None}
    ranges = st.tuples(st.integers(0, LAYERS - 1), st.integers(1, LAYERS)).filter(lambda ends: ends[0] < ends[1])
    return Case(
        draw(st.sampled_from(sorted(STYLES))),
        draw(st.booleans()) if reference.based is None else reference.based,
        [{name: draw(setting(values)) for name, values in drawn.items()} for _ in range(count)],
        {name: draw(setting(values)) for name, values in reference.shared.items()},
        draw(st.none() | st.lists(ranges, min_size=1, max_size=3)),
    )


def at(wanted: Any, name: str, depth: float) -> Any:
    """The value of a parameter for one tensor."""
    if isinstance(wanted, list) and isinstance(wanted[0], dict):
        wanted = next(item["value"] for item in wanted if item.get("filter", "") in name)
    if not isinstance(wanted, list):
        return wanted
    return float(np.interp(depth, np.linspace(0, 1, len(wanted)), wanted)) if len(wanted) > 1 else wanted[0]


def recipe(method: str, case: Case, base: Model, sources: list[Model]) -> dict[str, Any]:
    listed: list[dict[str, Any]] = []
    for model, parameters in zip(sources, case.each, strict=True):
        more = {"statistics": str(model.folder / f"{method}.stats")} if "statistics" in REFERENCES[method].each else {}
        listed.append({"model": str(model.folder), "parameters": {**parameters, **more}})
    raw: dict[str, Any] = {"merge_method": method, "dtype": "float32", "parameters": case.shared}
    if case.based:
        raw["base_model"] = str(base.folder)
    if case.slices is None:
        raw["models"] = listed
    else:
        raw["slices"] = [{"sources": [{**each, "layer_range": list(ends)} for each in listed]} for ends in case.slices]
    return raw


def origins(head: str, names: list[str], slices: list[tuple[int, int]] | None) -> dict[str, tuple[str, float]]:
    """Name in the result -> name in the sources, and how deep in its slice the layer lies."""
    places = [
        (layer, (layer - first) / (last - first - 1) if last - first > 1 else 1.0)
        for first, last in slices or [(0, LAYERS)]
        for layer in range(first, last)
    ]
    wanted = {name: (name, 0.0) for name in names if not name.startswith(head)}
    for name in names:
        if name.startswith(f"{head}0."):
            tail = name.removeprefix(f"{head}0.")
            wanted |= {f"{head}{n}.{tail}": (f"{head}{layer}.{tail}", depth) for n, (layer, depth) in enumerate(places)}
    return wanted


def test_every_method_and_every_parameter_of_it_is_drawn() -> None:
    assert set(REFERENCES) == {method.name for method in METHODS}
    for method in METHODS:
        reference = REFERENCES[method.name]
        drawn = {*reference.each, *reference.shared, *NOT_DRAWN}
        lacking = {parameter.name for parameter in method.parameters} - drawn
        assert lacking <= {"normalize"} if method.name == "sce" else not lacking, method.name


@pytest.mark.parametrize("method", sorted(REFERENCES))
def test_a_recipe_is_its_formula(zoo: Zoo, method: str) -> None:
    @given(cases(method))
    @settings(max_examples=6, deadline=None)
    def check(case: Case) -> None:
        compare(zoo, method, case)

    check()


def compare(zoo: Zoo, method: str, case: Case) -> None:
    base, *others = zoo[case.style]
    sources = others[: len(case.each)]
    plan = Merge(parse(recipe(method, case, base, sources)))
    wanted = origins(STYLES[case.style][0], list(base.tensors), case.slices)
    assert set(plan.names) == set(wanted)
    for name, (origin, depth) in wanted.items():
        rows = np.stack([model.tensors[origin] for model in sources])
        start = base.tensors[origin] if case.based else np.zeros_like(rows[0])
        # A source's own parameters go by its own name of the tensor, the merge's by the result's.
        each = {key: [at(own[key], origin, depth) for own in case.each] for key in case.each[0]}
        shared = {key: at(value, name, depth) for key, value in case.shared.items()}
        if "statistics" in REFERENCES[method].each:
            each["statistics"] = [model.statistics[method].get(origin) for model in sources]
        found = plan.array(name)
        right = REFERENCES[method].formula(start, rows, each, shared, found.astype("f8"))
        slack = REFERENCES[method].error * max(1.0, float(np.abs(right).max()))
        np.testing.assert_allclose(found, right, rtol=0, atol=slack, err_msg=f"{method}: {name}")
