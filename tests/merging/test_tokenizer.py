"""Tokenizers: in what two of them differ."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from small_llamas import TOKENS

from merging.merge import merge
from merging.recipe_file import parse

Family = Callable[[int], list[Path]]


def linear(folders: list[Path], **more: Any) -> dict[str, Any]:
    models = [{"model": str(folder), "parameters": {"weight": 1}} for folder in folders]
    return {"merge_method": "linear", "models": models, **more}


def tokenizer(folder: Path, tokens: list[str]) -> None:
    model = {
        "type": "WordLevel",
        "vocab": {token: number for number, token in enumerate(tokens)},
        "unk_token": tokens[0],
    }
    data = {"version": "1.0", "added_tokens": [], "pre_tokenizer": {"type": "Whitespace"}, "model": model}
    (folder / "tokenizer.json").write_text(json.dumps(data))


def test_tokenizers_that_differ_are_told(family: Family, tmp_path: Path) -> None:
    folders = family(1)
    tokenizer(folders[0], [f"t{n}" for n in range(TOKENS)])
    tokenizer(folders[1], ["t1", "t0", *(f"t{n}" for n in range(2, TOKENS))])
    result = merge(parse(linear(folders)), tmp_path / "out")
    assert any("token 't0' is number 0" in note and "tokenizer_source" in note for note in result.notes)
    assert "token 't0'" in (tmp_path / "out" / "README.md").read_text()
