"""Recipes of several documents."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from small_decoders import decoder, write

from merging.merge import merge
from merging.nested import planned
from merging.plan import Merge
from merging.recipe_file import load
from merging.settings import RecipeError


def test_several_documents_are_the_same_as_writing_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("base", "a", "b", "c"):
        write(tmp_path / name, decoder(2), num_hidden_layers=2, torch_dtype="float32")
    first = "merge_method: linear\nmodels: [{model: a, parameters: {weight: 1}}, {model: b, parameters: {weight: 3}}]\n"
    second = (
        "merge_method: ties\nbase_model: base\ndtype: float32\n"
        "parameters: {weight: 1, density: 0.5}\nmodels: [{model: one}, {model: c}]\n"
    )
    dtype = "dtype: bfloat16\n"
    (tmp_path / "both.yml").write_text(f"name: one\n{first}{dtype}---\n{second}")
    (tmp_path / "first.yml").write_text(first + dtype)
    (tmp_path / "second.yml").write_text(second)
    found = planned(load(tmp_path / "both.yml"))
    merge(load(tmp_path / "first.yml"), tmp_path / "one")
    wanted = Merge(load(tmp_path / "second.yml"))
    assert found.names == wanted.names
    for name in wanted.names:
        np.testing.assert_array_equal(found.array(name), wanted.array(name))
    assert not load(tmp_path / "first.yml").notes
    assert "'one' is there on disk too: the document of that name is meant" in load(tmp_path / "both.yml").notes[-1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{first}---\nname: x\n{first}", "is a model of no other"),
        ("name: x\n{first}---\nname: x\n{first}", "occurs twice"),
        (
            "name: x\nmerge_method: linear\nmodels: [{{model: y}}]\n---\n"
            "name: y\nmerge_method: linear\nmodels: [{{model: x}}]",
            "itself",
        ),
        ("base_model: a\ngate_mode: random\nexperts: []\n", "mergekit-moe file"),
    ],
)
def test_documents_that_do_not_chain_are_refused(tmp_path: Path, text: str, message: str) -> None:
    first = "merge_method: linear\nmodels: [{model: a, parameters: {weight: 1}}]\n"
    (tmp_path / "r.yml").write_text(text.format(first=first))
    with pytest.raises(RecipeError, match=message):
        load(tmp_path / "r.yml")


def test_a_document_is_taken_by_its_out_path_as_old_files_write_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = "merge_method: linear\nmodels: [{model: a}, {model: b}]\nparameters: {weight: 1}\nout_path: ./models/one\n"
    second = "merge_method: linear\nmodels: [{model: ./models/one}, {model: c}]\nparameters: {weight: 1}\nout_path: x\n"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "old.yml").write_text(f"{first}---\n{second}")
    recipe = load(tmp_path / "old.yml")
    (inner,) = recipe.inner.values()
    assert [str(ref) for ref in inner.models] == ["a", "b"]
