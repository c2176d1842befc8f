"""Recipes as files write them: mergekit's own, or what is wrong with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from merging.recipe import ModelRef, TokenRule
from merging.recipe_file import load, parse
from merging.settings import RecipeError, value

TWO = [{"model": "a", "parameters": {"weight": 1}}, {"model": "b", "parameters": {"weight": 1}}]


def recipe(**changes: Any) -> dict[str, Any]:
    return {"merge_method": "linear", "models": TWO, **changes}


def test_a_file_from_mergekits_own_pages_is_read(tmp_path: Path) -> None:
    file = tmp_path / "ties.yml"
    file.write_text("""
models:
  - model: psmathur/orca_mini_v3_13b
    parameters:
      density: [1, 0.7, 0.1] # density gradient
      weight: 1.0
  - model: garage-bAInd/Platypus2-13B@main+me/lora
    parameters:
      density: 0.5
      weight: [0, 0.3, 0.7, 1]
  - model: WizardLM/WizardMath-13B-V1.0
    parameters:
      density: 0.33
      weight:
        - filter: mlp
          value: 0.5
        - value: 0
merge_method: ties
base_model: TheBloke/Llama-2-13B-fp16
parameters:
  normalize: true
  int8_mask: true
dtype: float16
""")
    found = load(file)
    assert (found.method, found.dtype, len(found.models)) == ("ties", "F16", 4)
    assert found.models[2] == ModelRef("garage-bAInd/Platypus2-13B", "me/lora", "main")
    assert found.text == file.read_text()
    third = found.slices[0].sources[2].parameters["weight"]
    assert [value(third, name, 0.0) for name in ("x.mlp.y", "x.attn")] == [0.5, 0]
    gradient = found.slices[0].sources[0].parameters["density"]
    assert [value(gradient, "", depth) for depth in (0, 0.25, 0.5, 1)] == pytest.approx([1, 0.85, 0.7, 0.1])


def test_slices_and_tokenizer_settings_are_read() -> None:
    sources = [{"model": "a", "layer_range": [0, "2"]}, {"model": "b", "layer_range": ["1", 3]}]
    found = parse(
        {
            "merge_method": "slerp",
            "base_model": "a",
            "slices": [{"sources": sources, "parameters": {"t": "5e-1"}}],
            "tokenizer": {
                "source": "union",
                "pad_to_multiple_of": 8,
                "tokens": {
                    "<x>": {"source": "b", "force": True},
                    "<y>": {"source": {"kind": "model_token", "model": "a", "token": "z"}},
                    "<z>": {"source": {"kind": "zero"}},
                },
            },
        }
    )
    assert [source.layers for source in found.slices[0].sources] == [(0, 2), (1, 3)]
    assert value(found.slices[0].parameters["t"], "", 0) == 0.5
    assert found.tokenizer is not None
    assert found.tokenizer.tokens == {
        "<x>": TokenRule(ModelRef("b"), None, True),
        "<y>": TokenRule(ModelRef("a"), "z"),
        "<z>": TokenRule(None),
    }


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "unknown key": (recipe(dtyp="float16"), "unknown key 'dtyp'; did you mean dtype"),
    "unknown method": (recipe(merge_method="tulip"), "'tulip' is none of linear"),
    "unknown parameter": (recipe(parameters={"wieght": 1}), r"parameters\.wieght: no such parameter.*weight"),
    "neither": (recipe(models=None), "exactly one of models and slices"),
    "both": (recipe(slices=[{}]), "exactly one of models and slices"),
    "no list": (recipe(models={"model": "a"}), "models: wants a list"),
    "no model": (recipe(models=[{}]), r"models\[0\]\.model: wants a folder"),
    "twice": (recipe(models=[TWO[0], TWO[0]]), "models: a is listed twice"),
    "no base": (recipe(merge_method="ties"), "ties needs base_model"),
    "too many": (recipe(merge_method="slerp", base_model="c"), "slerp merges 1 models beside the base, not 2"),
    "too few": (recipe(merge_method="model_stock", base_model="a"), "model_stock merges 2 to"),
    "type": (recipe(dtype="int4"), "dtype: 'int4' is none of"),
    "mixed gradient": (recipe(parameters={"weight": [1, "x"]}), "either all numbers or none"),
    "not finite": (recipe(parameters={"weight": float("nan")}), "is no number"),
    "bad filter": (recipe(parameters={"weight": [{"filtre": "x"}]}), r"weight\[0\]: wants `value`"),
    "layers": (recipe(models=None, slices=[{"sources": [{"model": "a", "layer_range": [2, 1]}]}]), "layer_range"),
    "layer counts": (
        recipe(models=None, slices=[{"sources": [{"model": m, "layer_range": [0, n]} for m, n in ("a1", "b2")]}]),
        "layer_range|different numbers",
    ),
    "whose layers": (
        recipe(
            models=None,
            merge_method="karcher",
            base_model="c",
            slices=[{"sources": [{"model": m, "layer_range": [n, n + 2]} for m, n in (("a", 0), ("b", 1))]}],
        ),
        r"slices\[0\]: its sources take different layers: list base_model c with its layer_range too",
    ),
    "layers of text": (
        recipe(models=None, slices=[{"sources": [{"model": "a", "layer_range": ["0", "two"]}]}]),
        "layer_range",
    ),
    "two tokenizers": (recipe(tokenizer_source="base", tokenizer={}), "exclude one another|tokenizer"),
    "modules and models": (recipe(modules={"a": {}, "b": {}}), "modules: excludes models and slices"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_wrong_is_named(case: str) -> None:
    given_, message = REFUSED[case]
    if case == "two tokenizers":
        given_ = {**given_, "tokenizer": {"source": "union"}}
    with pytest.raises(RecipeError, match=message):
        parse(given_, "x.yml")


def test_a_key_that_only_holds_an_anchor_is_no_key(tmp_path: Path) -> None:
    text = """
defaults: &half {weight: 0.5}
merge_method: linear
models:
  - model: a
    parameters: *half
  - model: b
    parameters: {<<: *half}
"""
    (tmp_path / "r.yml").write_text(text)
    assert all(
        value(source.parameters["weight"], "x", 0) == 0.5 for source in load(tmp_path / "r.yml").slices[0].sources
    )
    (tmp_path / "r.yml").write_text(
        text.replace("*half", "{weight: 0.5}").replace("{<<: {weight: 0.5}}", "{weight: 1}")
    )
    with pytest.raises(RecipeError, match="unknown key 'defaults'"):
        load(tmp_path / "r.yml")


def test_a_parameter_of_another_method_is_noted_not_refused() -> None:
    found = parse(recipe(parameters={"int8_mask": True}))
    assert found.notes == ("recipe: parameters.int8_mask: not a parameter of linear, ignored",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "no valid YAML"),
        ("merge_method: linear\nmerge_method: ties", "occurs twice"),
        (
            "a: &a [1,1]\nb: &b [*a,*a]\n" + "".join(f"c{i}: &c{i} [{','.join(['*b'] * 99)}]\n" for i in range(900)),
            "more than",
        ),
        ("!!python/object/apply:os.system ['true']", "no valid YAML"),
        ("- 1", "wants keys and values"),
    ],
)
def test_a_hostile_file_is_refused_with_its_name(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "evil.yml"
    file.write_text(text)
    with pytest.raises(RecipeError, match=message) as caught:
        load(file)
    assert "evil.yml" in str(caught.value)


TREES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=True) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["model", "models", "parameters", "weight", "value", "filter", "merge_method", "sources"])
            | st.text(max_size=3),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(TREES)
def test_any_tree_is_read_or_refused_in_words(tree: Any) -> None:
    try:
        parse(tree)
    except RecipeError as error:
        assert str(error)  # noqa: PT017


def test_a_folder_that_is_written_in_several_ways_is_one_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("base", "a", "b"):
        (tmp_path / name).mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "base")
    monkeypatch.chdir(tmp_path)
    for spelling in ("base/", "./base", str(tmp_path / "base"), "link", {"model": {"path": "./base"}}):
        models = [{"model": "base"}, {"model": "a"}, {"model": "b"}]
        recipe = parse({"merge_method": "model_stock", "base_model": spelling, "models": models})
        assert len(recipe.models) == 3
        assert recipe.base == recipe.slices[0].sources[0].model
        with pytest.raises(RecipeError, match=r"models: .*base.* is listed twice"):
            parse({"merge_method": "ties", "base_model": "a", "models": [*models, {"model": spelling}]})
    # A hub id is no folder, and stays as it is written.
    other = parse({"merge_method": "linear", "models": [{"model": "lab/base"}, {"model": "base"}]})
    assert len(other.models) == 2
