"""RegMean and Fisher: from gathered statistics to the merge."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file
from small_llamas import HIDDEN, random_tensors, values_of, write_model

from merging.checkpoint import CheckpointError
from merging.plan import Merge
from merging.recipe_file import parse

Q = "model.layers.1.self_attn.q_proj.weight"
NORM = "model.norm.weight"


def models(tmp_path: Path) -> list[Path]:
    return [write_model(tmp_path / f"m{seed}", random_tensors(seed)) for seed in (1, 2)]


def merge(method: str, folders: list[Path], files: list[Path], **shared: Any) -> Merge:
    listed = [
        {"model": str(folder), "parameters": {"statistics": str(file)}}
        for folder, file in zip(folders, files, strict=True)
    ]
    return Merge(parse({"merge_method": method, "models": listed, "parameters": shared, "dtype": "float32"}))


def statistics(tmp_path: Path, arrays: list[np.ndarray[Any, Any]], name: str = Q) -> list[Path]:
    files = [tmp_path / f"{number}.safetensors" for number in range(len(arrays))]
    for file, array in zip(files, arrays, strict=True):
        save_file({name: array.astype("f4")}, file)
    return files


def test_regmean_reproduces_each_models_answers_best(tmp_path: Path) -> None:
    folders = models(tmp_path)
    inputs = [np.random.default_rng(k).normal(0, 1 + k, (200, HIDDEN)) for k in range(2)]
    files = statistics(tmp_path, [x.T @ x for x in inputs])
    found = merge("regmean", folders, files, shrink=1.0).array(Q).astype("f8")
    weights = [values_of(folder)[Q] for folder in folders]

    def misfit(weight: np.ndarray[Any, Any]) -> float:
        return sum(float(((x @ (weight - own).T) ** 2).sum()) for x, own in zip(inputs, weights, strict=True))

    grams = [x.T @ x for x in inputs]
    exact = np.linalg.solve(sum(grams), sum(g @ w.T for g, w in zip(grams, weights, strict=True))).T
    np.testing.assert_allclose(found, exact, rtol=1e-4, atol=1e-5)
    assert misfit(found) < misfit((weights[0] + weights[1]) / 2)
    # What has no Gram matrix is averaged.
    plain = merge("regmean", folders, files).array(NORM)
    np.testing.assert_allclose(plain, sum(values_of(folder)[NORM] for folder in folders) / 2, rtol=1e-6)


def test_fisher_weighs_each_number_by_its_importance(tmp_path: Path) -> None:
    folders = models(tmp_path)
    importance = [np.random.default_rng(k).uniform(0, 1, (HIDDEN, HIDDEN)) for k in range(2)]
    found = merge("fisher", folders, statistics(tmp_path, importance)).array(Q)
    weights = [values_of(folder)[Q] for folder in folders]
    exact = sum(f * w for f, w in zip(importance, weights, strict=True)) / sum(importance)
    np.testing.assert_allclose(found, exact, rtol=1e-4, atol=1e-5)


def test_statistics_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    folders = models(tmp_path)
    files = statistics(tmp_path, [np.full((HIDDEN, HIDDEN), np.nan)] * 2)
    with pytest.raises(CheckpointError, match=r"0\.safetensors.*not all finite"):
        merge("fisher", folders, files).array(Q)
