"""Different vocabularies, aligned token by token."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_decoders import Tensors, decoder, write
from small_decoders import linear as averaged
from small_llamas import HIDDEN, TOKENS, random_tensors, values_of, write_model

from merging.checkpoint import Checkpoint, CheckpointError
from merging.merge import merge
from merging.plan import Merge
from merging.recipe_file import parse
from merging.settings import RecipeError

Family = Callable[[int], list[Path]]


def linear(folders: list[Path], **more: Any) -> dict[str, Any]:
    models = [{"model": str(folder), "parameters": {"weight": 1}} for folder in folders]
    return {"merge_method": "linear", "models": models, **more}


def test_a_union_of_vocabularies_gives_each_token_its_own_row(family: Family, tmp_path: Path) -> None:
    (base,) = family(0)
    other = write_model(tmp_path / "other", random_tensors(1, tokens=TOKENS + 2))
    tokenizer(base, [f"t{n}" for n in range(TOKENS)])
    # The other model has two tokens in another order, and two of its own.
    tokenizer(other, ["t1", "t0", *(f"t{n}" for n in range(2, TOKENS)), "new", "newer"])
    with pytest.raises(CheckpointError, match=r"embed_tokens\.weight' has shape \[42, 32\].*tokenizer_source: union"):
        Merge(parse(linear([base, other])))
    wanted = linear([base, other], tokenizer={"source": "union", "pad_to_multiple_of": 8})
    merge(parse(wanted), tmp_path / "out")
    name = "model.embed_tokens.weight"
    found, mine, theirs = (values_of(folder)[name] for folder in (tmp_path / "out", base, other))
    assert found.shape == (48, HIDDEN)
    np.testing.assert_allclose(found[0], (mine[0] + theirs[1]) / 2, rtol=2**-8)
    np.testing.assert_allclose(found[5], (mine[5] + theirs[5]) / 2, rtol=2**-8)
    np.testing.assert_array_equal(found[TOKENS], theirs[TOKENS])
    assert np.abs(found[TOKENS + 2 :]).sum() > 0
    np.testing.assert_allclose(found[TOKENS + 2 :], [found[: TOKENS + 2].mean(0)] * 6, atol=1e-2)
    assert Checkpoint(tmp_path / "out").config["vocab_size"] == 48
    from tokenizers import Tokenizer

    made = Tokenizer.from_file(str(tmp_path / "out" / "tokenizer.json"))
    assert made.token_to_id("new") == TOKENS
    assert made.encode("t3 new").ids[-1] == TOKENS


def tokenizer(folder: Path, tokens: list[str], **files: str) -> None:
    model = {
        "type": "WordLevel",
        "vocab": {token: number for number, token in enumerate(tokens)},
        "unk_token": tokens[0],
    }
    data = {"version": "1.0", "added_tokens": [], "pre_tokenizer": {"type": "Whitespace"}, "model": model}
    (folder / "tokenizer.json").write_text(json.dumps(data))
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)


RNG = np.random.default_rng(0)


def test_whatever_has_the_vocabularys_length_is_aligned(tmp_path: Path) -> None:
    def model(count: int) -> Tensors:
        tensors = decoder(1)
        tensors["model.embed_tokens.weight"] = RNG.normal(size=(count, 4))
        tensors |= {"embed_out.weight": RNG.normal(size=(count, 4)), "lm_head.bias": RNG.normal(size=count)}
        return tensors | {"final_logits_bias": RNG.normal(size=(1, count)), "model.wpe.weight": RNG.normal(size=(6, 4))}

    a, b = model(6), model(8)
    folders = [write(tmp_path / name, tensors, num_hidden_layers=1) for name, tensors in (("a", a), ("b", b))]
    words = [f"t{n}" for n in range(5)]
    tokenizer(folders[0], [*words, "only_a"], tokenizer__model="old")
    tokenizer(folders[1], ["new", *words[::-1], "far", "past", "beyond"])
    merge(parse(averaged(*folders, tokenizer_source="union")), tmp_path / "out")
    made = Checkpoint(tmp_path / "out")
    for name, axis in (
        ("model.embed_tokens.weight", 0),
        ("embed_out.weight", 0),
        ("lm_head.bias", 0),
        ("final_logits_bias", 1),
    ):
        mine, theirs, found = (np.moveaxis(each, axis, 0) for each in (a[name], b[name], made.array(name)))
        assert len(found) == 9  # six of a; new, far, past of b; `beyond` is numbered past its embedding
        np.testing.assert_allclose(found[0], (mine[0] + theirs[5]) / 2, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(found[5], mine[5], rtol=1e-6)
        np.testing.assert_allclose(found[8], theirs[7], rtol=1e-6)
    np.testing.assert_allclose(
        made.array("model.wpe.weight"), (a["model.wpe.weight"] + b["model.wpe.weight"]) / 2, rtol=1e-5
    )
    kept = json.loads((tmp_path / "out" / "tokenizer.json").read_text())
    assert [entry["content"] for entry in kept["added_tokens"]] == ["new", "far", "past"]
    assert not (tmp_path / "out" / "tokenizer.model").exists()


def test_base_takes_a_model_without_a_tokenizer_of_the_same_size(tmp_path: Path) -> None:
    folders = [write(tmp_path / name, decoder(1), num_hidden_layers=1) for name in "ab"]
    tokenizer(folders[0], [f"t{n}" for n in range(6)])
    plan = Merge(parse(averaged(*folders, tokenizer_source="base")))
    assert any("no tokenizer.json: its 6 tokens are taken to be those of" in note for note in plan.notes)
    with pytest.raises(CheckpointError, match=r"no tokenizer\.json"):
        Merge(parse(averaged(*folders, tokenizer_source="union")))


@pytest.mark.parametrize("prefix", ["", "model:"])
def test_the_tokenizer_may_come_from_a_model_that_is_not_merged(tmp_path: Path, prefix: str) -> None:
    folders = [write(tmp_path / name, decoder(seed), num_hidden_layers=1) for seed, name in enumerate("ab")]
    for folder in folders:
        tokenizer(folder, [f"t{n}" for n in range(6)])
    donor = tmp_path / "donor"
    donor.mkdir()
    # The donor has no weights at all; two tokens are its own.
    tokenizer(donor, ["new", "t1", "t0", "t2", "t3", "t4", "t5", "newer"])
    merge(parse(averaged(*folders, tokenizer_source=f"{prefix}{donor}")), tmp_path / "out")
    name = "model.embed_tokens.weight"
    found, a, b = (values_of(folder)[name] for folder in (tmp_path / "out", *folders))
    np.testing.assert_allclose(found[[1, 2, 6]], ((a + b) / 2)[[1, 0, 5]], rtol=1e-6)
    np.testing.assert_array_equal(found[[0, 7]], 0)
    assert (tmp_path / "out" / "tokenizer.json").read_text() == (donor / "tokenizer.json").read_text()
    rules = {"source": "union", "tokens": {"t1": {"source": str(donor)}}}
    with pytest.raises(RecipeError, match=r"tokens\['t1'\]: .*donor is none of the merged models"):
        Merge(parse(averaged(*folders, tokenizer=rules)))


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ({"token_id": TOKENS - 1}, None),
        ({"token_id": TOKENS}, f"has no token {TOKENS} among its {TOKENS}"),
        ({"token_id": -1}, "has no token -1"),
        ({"token_id": 0, "token": "t3"}, "either token or token_id"),
        ({"token_id": True}, "either token or token_id"),
        ({"token": "nobody"}, "has no token 'nobody'$"),
    ],
)
def test_a_rules_row_is_one_of_the_models_own(
    family: Family, tmp_path: Path, row: dict[str, Any], sentence: str | None
) -> None:
    folders = family(1)
    for folder in folders:
        tokenizer(folder, [f"t{n}" for n in range(TOKENS)])
    rule = {"source": {"kind": "model_token", "model": str(folders[1]), **row}, "force": True}
    raw = linear(folders, tokenizer={"source": "union", "tokens": {"t5": rule}})
    if sentence is not None:
        with pytest.raises(RecipeError, match=sentence):
            Merge(parse(raw))
        return
    merge(parse(raw), tmp_path / "out")
    name = "model.embed_tokens.weight"
    found, theirs = (values_of(folder)[name] for folder in (tmp_path / "out", folders[1]))
    np.testing.assert_array_equal(found[5], theirs[TOKENS - 1])
