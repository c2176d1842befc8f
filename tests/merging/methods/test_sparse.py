"""Methods that draw at random: their share, their size, their formula, their seed."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path

import numpy as np
import pytest
from small_llamas import random_tensors, write_model

from merging.plan import Merge
from merging.recipe_file import parse
from tests.scripts.method_stacks import WEIGHTS, Array, Family, merged, one_rounding, raw, single, stacked, voted


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
