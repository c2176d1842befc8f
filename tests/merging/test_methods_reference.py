"""Every method against its formula in float64: within one rounding to bfloat16."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_llamas import numbers, random_tensors, write_model

from merging.checkpoint import Checkpoint
from merging.methods import METHODS
from merging.plan import Merge
from merging.recipe_file import parse

Array = np.ndarray[Any, Any]
Family = Callable[[int], list[Path]]
WEIGHTS = (0.5, 0.3, 0.4)


def stacked(folders: list[Path], name: str) -> Array:
    return np.stack([numbers(Checkpoint(folder).array(name)) for folder in folders])


def one_rounding(found: Array, wanted: Array, slack: float) -> None:
    """bfloat16 keeps 8 bits: half of a unit of the last place, and float32's own error."""
    unit = 2.0 ** (np.floor(np.log2(np.maximum(np.abs(wanted), 1e-30))) - 7)
    assert (np.abs(found - wanted) <= 0.5001 * unit + slack).all()


def raw(
    method: str, folders: list[Path], based: bool, each: dict[str, Any] | None = None, **shared: Any
) -> dict[str, Any]:
    models = [
        {"model": str(folder), "parameters": {"weight": weight, **(each or {})}}
        for folder, weight in zip(folders[1:], WEIGHTS, strict=False)
    ]
    return {
        "merge_method": method,
        "models": models,
        "parameters": shared,
        **({"base_model": str(folders[0])} if based else {}),
    }


def merged(wanted: dict[str, Any], seed: int = 0) -> dict[str, Array]:
    return {name: numbers(bits) for name, bits in Merge(parse(wanted).seeded(seed))}


def linear(models: Array, base: Array) -> Array:
    return np.tensordot(WEIGHTS, models, 1) / sum(WEIGHTS)


def task_arithmetic(models: Array, base: Array) -> Array:
    return base + 0.7 * np.tensordot(WEIGHTS, models - base, 1)


def trimmed(taus: Array, density: float) -> Array:
    kept = []
    for tau in taus:
        rank = max(1, int(density * tau.size))
        bound = np.sort(np.abs(tau).ravel())[-rank]
        kept.append(np.where(np.abs(tau) >= bound, tau, 0))
    return np.stack(kept)


def voted(taus: Array, weights: Any, divide: bool) -> Array:
    weighed = taus * np.reshape(weights, (-1, *[1] * (taus.ndim - 1)))
    sign = np.where(weighed.sum(0) >= 0, 1, -1)
    agree = np.sign(weighed) == sign
    total = (agree * np.reshape(weights, (-1, *[1] * (taus.ndim - 1)))).sum(0)
    found: Array = (weighed * agree).sum(0)
    return found / np.where(total == 0, 1, total) if divide else found


def ties(models: Array, base: Array) -> Array:
    return base + voted(trimmed(single(models - base), 0.4), WEIGHTS, True)


def single(taus: Array) -> Array:
    """Task vectors are taken in float32: equal magnitudes there are equal."""
    return taus.astype("f4").astype("f8")


def breadcrumbs(models: Array, base: Array) -> Array:
    total = base.copy()
    for weight, tau in zip(WEIGHTS, single(models - base), strict=True):
        keep, top = int(0.5 * tau.size), int(0.1 * tau.size)
        ranked = np.sort(np.abs(tau).ravel())[::-1]
        inside = (np.abs(tau) <= ranked[top]) & (np.abs(tau) >= ranked[top + keep - 1])
        total = total + weight * np.where(inside, tau, 0)
    return total


def angle(first: Array, second: Array) -> float:
    return math.acos(np.vdot(first, second) / np.linalg.norm(first) / np.linalg.norm(second))


def slerp(models: Array, base: Array) -> Array:
    theta = angle(base, models[0])
    if abs(math.cos(theta)) > 0.9995:
        return 0.6 * base + 0.4 * models[0]
    found: Array = (math.sin(0.6 * theta) * base + math.sin(0.4 * theta) * models[0]) / math.sin(theta)
    return found


def nuslerp(models: Array, base: Array) -> Array:
    first, second = models[0] - base, models[1] - base
    theta, t = angle(first, second), WEIGHTS[1] / (WEIGHTS[0] + WEIGHTS[1])
    found: Array = base + (math.sin((1 - t) * theta) * first + math.sin(t * theta) * second) / math.sin(theta)
    return found


def multislerp(models: Array, base: Array) -> Array:
    weights = np.array(WEIGHTS) / sum(WEIGHTS)
    taus = (models - base).reshape(len(models), -1)
    norms = np.linalg.norm(taus, axis=1)
    units = taus / norms[:, None]
    mean = weights @ units
    mean /= np.linalg.norm(mean)
    tangent = weights @ (units - np.outer(units @ mean, mean))
    size = np.linalg.norm(tangent)
    result = (mean * math.cos(size) + tangent * math.sin(size) / size) * (norms @ weights)
    return base + result.reshape(base.shape)


def karcher(models: Array, base: Array) -> Array:
    flat = models.reshape(len(models), -1)
    norms = np.linalg.norm(flat, axis=1)
    units = flat / norms[:, None]
    mean = units.mean(0) / np.linalg.norm(units.mean(0))
    for _ in range(50):
        angles = np.arccos(np.clip(units @ mean, -1, 1))
        tangent = (((angles / np.sin(angles))[:, None]) * (units - np.outer(np.cos(angles), mean))).mean(0)
        size = np.linalg.norm(tangent)
        if size < 1e-12:
            break
        mean = math.cos(size) * mean + math.sin(size) * tangent / size
    return (norms.mean() * mean).reshape(base.shape)


def model_stock(models: Array, base: Array) -> Array:
    taus = (models - base).reshape(len(models), -1)
    units = taus / np.linalg.norm(taus, axis=1)[:, None]
    cosines = units @ units.T
    count = len(models)
    cosine = (cosines.sum() - count) / (count * (count - 1))
    share = count * cosine / (1 + (count - 1) * cosine)
    found: Array = share * models.mean(0) + (1 - share) * base
    return found


def inverse_norm(models: Array, base: Array) -> Array:
    taus = models - base
    inverse = np.array([1 / np.linalg.norm(tau) for tau in taus])
    return base + np.tensordot(inverse / inverse.sum(), taus, 1)


def sce(models: Array, base: Array) -> Array:
    taus = single(models - base)
    variance = taus.var(axis=0).astype("f4")
    keep = int(np.count_nonzero(variance) * 0.5)
    selected = taus * (variance >= np.sort(variance.ravel())[-keep])
    weights = (selected**2).reshape(len(taus), -1).sum(1)
    agree = np.sign(selected) == np.where(selected.sum(0) >= 0, 1, -1)
    shares = agree * np.reshape(weights, (-1, *[1] * base.ndim))
    total = shares.sum(0)
    found: Array = base + (selected * shares).sum(0) / np.where(total == 0, 1, total)
    return found


def nearswap(models: Array, base: Array) -> Array:
    share = np.clip(0.01 / np.maximum(np.abs(base - models[0]), 1e-6), 0, 1)
    return share * models[0] + (1 - share) * base


def iso_c(models: Array, base: Array) -> Array:
    total = (models - base).sum(0)
    if total.ndim < 2:
        return base + total / len(models)
    u, s, v = np.linalg.svd(total, full_matrices=False)
    found: Array = base + s.mean() * u @ v
    return found


def tsv_m(models: Array, base: Array) -> Array:
    taus = models - base
    if base.ndim < 2:
        mean: Array = base + taus.mean(0)
        return mean
    rank = min(base.shape) // len(models)
    parts = [np.linalg.svd(tau, full_matrices=False) for tau in taus]
    left = np.hstack([u[:, :rank] for u, _, _ in parts])
    right = np.vstack([v[:rank] for _, _, v in parts])
    values = np.concatenate([s[:rank] for _, s, _ in parts])

    def polar(matrix: Array) -> Array:
        u, _, v = np.linalg.svd(matrix, full_matrices=False)
        product: Array = u @ v
        return product

    found: Array = base + (polar(left) * values) @ polar(right)
    return found


CASES: list[tuple[str, int, bool, dict[str, Any], dict[str, Any], Callable[[Array, Array], Array]]] = [
    ("linear", 3, False, {}, {}, linear),
    ("task_arithmetic", 3, True, {}, {"lambda": 0.7}, task_arithmetic),
    ("ties", 3, True, {"density": 0.4}, {}, ties),
    ("breadcrumbs", 3, True, {"density": 0.5, "gamma": 0.1}, {}, breadcrumbs),
    ("slerp", 1, True, {}, {"t": 0.4}, slerp),
    ("nuslerp", 2, True, {}, {}, nuslerp),
    ("multislerp", 3, True, {}, {}, multislerp),
    ("karcher", 3, False, {}, {"max_iter": 50, "tol": 1e-12}, karcher),
    ("model_stock", 3, True, {}, {}, model_stock),
    ("nan", 3, True, {}, {}, inverse_norm),
    ("sce", 3, True, {}, {"select_topk": 0.5}, sce),
    ("nearswap", 1, True, {}, {"t": 0.01}, nearswap),
    ("iso_c", 3, True, {}, {}, iso_c),
    ("tsv_m", 3, True, {}, {}, tsv_m),
]


@pytest.mark.parametrize(
    ("method", "count", "based", "each", "shared", "formula"), CASES, ids=[case[0] for case in CASES]
)
def test_a_method_is_its_formula_within_one_rounding(
    family: Family, method: str, count: int, based: bool, each: Any, shared: Any, formula: Any
) -> None:
    folders = family(count)
    found = merged(raw(method, folders, based, each, **shared))
    assert set(found) == set(Checkpoint(folders[0]).tensors)
    for name, values in found.items():
        models = stacked(folders[1:], name)
        base = stacked(folders[:1], name)[0]
        # Singular vectors in float32 are known to some 1e-5 only.
        error = 1e-5 if method in ("tsv_m", "iso_c") else 4e-7
        one_rounding(values, formula(models, base), error * float(np.abs(models).max()))


def test_every_method_leaves_equal_sources_as_they_are(family: Family) -> None:
    """Three times the same model; a base is that model too, so that all task vectors are zero."""
    (folder,) = family(0)
    same = [folder] * 4
    for method in METHODS:
        names = {parameter.name for parameter in method.parameters}
        if "statistics" in names:
            continue
        shared = {name: value for name, value in (("t", 0.4), ("weight", 0.5), ("loss", 1.0)) if name in names}
        count = min(method.max_sources or 3, 3)
        refs = [link(folder, number) for number in range(count)]
        wanted: dict[str, Any] = {"merge_method": method.name, "models": [{"model": str(ref)} for ref in refs]}
        if method.base == "required":
            wanted["base_model"] = str(folder)
        if method.name == "multislerp":
            wanted["base_model"] = str(link(folder, 9))
        for name, values in merged({**wanted, "parameters": shared}).items():
            expected = stacked(same[:1], name)[0]
            assert np.abs(values - expected).max() <= 2.0**-7 * np.abs(expected).max(), (method.name, name)


def link(folder: Path, number: int) -> Path:
    path = folder.with_name(f"{folder.name}-{number}")
    if not path.exists():
        path.symlink_to(folder)
    return path


@pytest.mark.parametrize("method", ["linear", "ties", "karcher", "model_stock", "sce", "task_arithmetic", "iso_c"])
def test_the_order_of_sources_does_not_matter(family: Family, method: str) -> None:
    folders = family(3)
    based = method not in ("linear", "karcher")
    each = {"density": 0.4} if method == "ties" else {}
    wanted = raw(method, folders, based, each)
    turned = {**wanted, "models": wanted["models"][::-1]}
    first, second = merged(wanted), merged(turned)
    for name, values in first.items():
        assert np.abs(values - second[name]).max() <= 2.0**-7 * np.abs(values).max()


@pytest.mark.parametrize("rescale_norm", ["expected", "l1"])
@pytest.mark.parametrize("method", ["dare_linear", "dare_ties", "della", "della_linear"])
def test_random_methods_keep_the_share_and_the_size_that_they_promise(
    tmp_path: Path, method: str, rescale_norm: str
) -> None:
    folders = big_family(tmp_path)
    each = {"density": 0.4, **({"epsilon": 0.2} if "della" in method else {})}
    wanted = raw(method, folders, True, each, normalize=False, rescale_norm=rescale_norm)
    wanted["models"] = wanted["models"][:1]
    wanted["models"][0]["parameters"]["weight"] = 1.0
    base, tau = stacked(folders[:1], NAME)[0], (stacked(folders[1:2], NAME) - stacked(folders[:1], NAME))[0]
    change = Merge(parse({**wanted, "dtype": "float32"})).array(NAME).astype("f8") - base
    kept = change != 0
    assert abs(kept.sum() / np.count_nonzero(tau) - 0.4) < 0.01
    if rescale_norm == "l1":
        assert np.abs(change).sum() == pytest.approx(np.abs(tau).sum(), rel=1e-4)
    elif "della" not in method:
        np.testing.assert_allclose(change[kept], tau[kept] / 0.4, rtol=1e-3, atol=1e-6)
    else:
        # Large changes are kept more often, and grow less for it.
        large = np.abs(tau) > np.median(np.abs(tau))
        assert kept[large].mean() > kept[~large].mean() + 0.1
        assert change.sum() == pytest.approx(tau.sum(), abs=4 * np.abs(tau).max() * math.sqrt(tau.size))


def drawn(name: str, source: int, size: int) -> Array:
    """24 random bits for each element of a source's tensor: SplitMix64, written down once more."""
    key = hashlib.blake2b(f"3/{source}/{name}".encode(), digest_size=8).digest()
    with np.errstate(over="ignore"):
        state = np.frombuffer(key, "<u8") + np.arange(1, size + 1, dtype="u8") * np.uint64(0x9E3779B97F4A7C15)
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (state ^ (state >> np.uint64(31))) >> np.uint64(40)


def chances(tau: Array, density: float, epsilon: float) -> Array:
    """The probability to stay: the same for all (epsilon 0), or by the magnitude's rank in its row."""
    rows = tau.reshape(-1, tau.shape[-1])
    ranks = np.abs(rows).astype("f4").argsort(axis=1, kind="stable").argsort(axis=1)
    found: Array = density - epsilon + 2 * epsilon * ranks.reshape(tau.shape) / (tau.shape[-1] - 1)
    return found


@pytest.mark.parametrize(
    ("method", "vote", "divide"),
    [
        ("dare_linear", False, False),
        ("dare_ties", True, False),
        ("della_linear", False, False),
        ("della", True, True),
    ],
)
def test_a_random_method_is_its_formula_on_its_draws(family: Family, method: str, vote: bool, divide: bool) -> None:
    folders, density, epsilon = family(3), 0.4, 0.2 if "della" in method else 0.0
    each = {"density": density, **({"epsilon": epsilon} if epsilon else {})}
    for name, values in merged(raw(method, folders, True, each), seed=3).items():
        base = stacked(folders[:1], name)[0]
        taus = single(stacked(folders[1:], name) - base)
        kept = []
        for source, tau in enumerate(taus):
            chance = chances(tau, density, epsilon)
            stays = drawn(name, source, tau.size).reshape(tau.shape) < np.round(chance * 2**24)
            kept.append(np.where(stays, tau / chance, 0))
        total = np.tensordot(WEIGHTS, kept, 1)
        change = voted(np.stack(kept), WEIGHTS, divide) if vote else total
        # Where changes cancel out, rounding decides on the sign.
        sure = (np.abs(total) > 1e-6 * np.tensordot(WEIGHTS, np.abs(kept), 1)) | (change == 0) | (not vote)
        one_rounding(values[sure], (base + change)[sure], 1e-6 * float(np.abs(base).max()))
        assert sure.mean() > 0.8


def test_arcee_fusion_is_its_formula(family: Family) -> None:
    folders = family(1)
    for name, values in merged(raw("arcee_fusion", folders, True)).items():
        base, model = (stacked([folder], name)[0] for folder in folders)
        ours, theirs = (softmax(part.reshape(-1, part.shape[-1])) + 1e-8 for part in (model, base))
        divergence = (ours * np.log(ours / theirs)).sum(axis=1, keepdims=True)
        importance = np.maximum(np.abs(model - base).reshape(ours.shape) * divergence, 0)
        first, median, third = (
            np.sort(importance.ravel())[int(np.float32(q) * (base.size - 1))] for q in (0.25, 0.5, 0.75)
        )
        bound = median + 1.5 * (third - first)
        sure = (np.abs(importance - bound) > 1e-5 * bound).reshape(base.shape)
        wanted = np.where(importance.reshape(base.shape) >= bound, model, base)
        one_rounding(values[sure], wanted[sure], 1e-7)
        assert sure.mean() > 0.8


def softmax(rows: Array) -> Array:
    powers = np.exp(rows - rows.max(axis=1, keepdims=True))
    found: Array = powers / powers.sum(axis=1, keepdims=True)
    return found


NAME = "model.embed_tokens.weight"


def big_family(tmp_path: Path) -> list[Path]:
    return [write_model(tmp_path / f"b{seed}", random_tensors(seed, layers=1, tokens=4000)) for seed in range(2)]


def test_draws_depend_on_seed_and_tensor_and_nothing_else(family: Family) -> None:
    folders = family(3)
    wanted = raw("dare_ties", folders, True, {"density": 0.5})
    first, again, other = merged(wanted, 1), merged(wanted, 1), merged(wanted, 2)
    whole = Merge(parse(wanted).seeded(1))
    for name, values in first.items():
        np.testing.assert_array_equal(values, again[name])
        # Any piece on its own gives what the whole gives.
        size = whole.targets[name].size
        parts = [bits.copy() for _, bits in whole.blocks(name, size // 3, size)]
        np.testing.assert_array_equal(np.concatenate(parts), whole.array(name).reshape(-1)[size // 3 :])
    assert any((first[name] != other[name]).any() for name in first)
    layers = [first[f"model.layers.{layer}.self_attn.q_proj.weight"] == 0 for layer in range(2)]
    assert layers[0].shape == layers[1].shape
