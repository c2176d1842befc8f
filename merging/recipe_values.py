"""The values of a recipe's YAML, checked one by one. Each error names the file and the key."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from merging.recipe import ModelRef, TokenizerChoice, TokenRule
from merging.settings import RecipeError

MAX_SOURCES = 1000
DTYPES = {
    "float32": "F32",
    "float16": "F16",
    "bfloat16": "BF16",
    "fp32": "F32",
    "fp16": "F16",
    "bf16": "BF16",
    "float64": "F64",
}


def mapping(raw: Any, where: str, keys: list[str] | None = None) -> dict[str, Any]:
    """A mapping, empty for null; with `keys`, of no other keys. Raises `RecipeError` naming the place."""
    if raw is None:
        return {}
    if not isinstance(raw, dict):
        raise RecipeError(f"{where}: wants keys and values, not {str(raw)[:80]!r}")
    for key in raw:
        if not isinstance(key, str) or (keys is not None and key not in keys):
            raise RecipeError(f"{where}: unknown key {str(key)[:80]!r}{nearest(str(key), keys or ())}")
    return dict(raw)


def listed(raw: Any, where: str) -> list[Any]:
    """A list that is neither empty nor too long. Raises `RecipeError` naming the place."""
    if not isinstance(raw, list) or not 0 < len(raw) <= MAX_SOURCES:
        raise RecipeError(f"{where}: wants a list of up to {MAX_SOURCES} entries")
    return raw


def nearest(name: str, known: Any) -> str:
    """The end of an error on an unknown name: the nearest known one, or all of them."""
    close = difflib.get_close_matches(name, sorted(known), 1)
    return f"; did you mean {close[0]}?" if close else (f"; there are {', '.join(sorted(known))}" if known else "")


def model_ref(raw: Any, where: str) -> ModelRef:
    """`name[@revision][+adapter[@revision]]`, or mergekit's mappings {model, lora} of {path, revision}. Raises
    `RecipeError` for anything else."""
    if isinstance(raw, dict):
        data = mapping(raw, where, ["model", "lora", "path", "revision", "override_architecture"])
        # override_architecture has no effect: tensors are matched by name.
        if "path" in data:
            return ModelRef(*_named(data, where))
        model, revision = _named(data.get("model"), f"{where}.model")
        lora = _named(data["lora"], f"{where}.lora") if data.get("lora") else (None, None)
        return ModelRef(model, lora[0], revision, lora[1])
    if not isinstance(raw, str) or not raw or "\0" in raw or len(raw) > 4096:
        raise RecipeError(f"{where}: wants a folder or a hub id, not {str(raw)[:80]!r}")
    # A folder or file may have + and @ in its name.
    if Path(raw).exists():
        return ModelRef(raw)
    model, _, adapter = raw.partition("+")
    base = _named(model, where)
    lora = _named(adapter, where) if adapter else (None, None)
    return ModelRef(base[0], lora[0], base[1], lora[1])


def _named(raw: Any, where: str) -> tuple[str, str | None]:
    if isinstance(raw, dict):
        data = mapping(raw, where, ["path", "revision", "model", "lora", "override_architecture"])
        raw = data.get("path")
        if isinstance(raw, str) and raw and isinstance(data.get("revision"), str | None):
            return raw, data.get("revision")
    if not isinstance(raw, str) or not raw:
        raise RecipeError(f"{where}: wants a folder or a hub id, not {str(raw)[:80]!r}")
    if Path(raw).is_dir():
        return raw, None
    name, _, revision = raw.partition("@")
    return name, revision or None


def layer_range(raw: Any, where: str) -> tuple[int, int]:
    """A half-open range; an empty one takes no layer, and what stands before or after the layers. Raises
    `RecipeError` for anything else."""
    ends = [_unquoted(end) for end in raw] if isinstance(raw, list) else []
    if len(ends) != 2 or not all(type(end) is int for end in ends) or not 0 <= ends[0] <= ends[1] <= 100_000:
        raise RecipeError(f"{where}: wants [first, one past the last], not {str(raw)[:80]}")
    return ends[0], ends[1]


def _unquoted(end: Any) -> Any:
    """mergekit takes numbers in quotes too."""
    return int(end) if isinstance(end, str) and end.isdecimal() and len(end) < 7 else end


def dtype_of(data: Mapping[str, Any], where: str) -> str | None:
    """The type that results are written in; None where the recipe does not say. Raises `RecipeError`."""
    found = []
    for key in ("out_dtype", "dtype"):
        name = data.get(key)
        if name is not None:
            if not isinstance(name, str) or name.removeprefix("torch.") not in DTYPES:
                raise RecipeError(f"{where}: {key}: {str(name)[:40]!r} is none of {', '.join(DTYPES)}")
            found.append(DTYPES[name.removeprefix("torch.")])
    return found[0] if found else None


def tokenizer_choice(data: Mapping[str, Any], where: str) -> TokenizerChoice | None:
    """What the recipe says of the tokenizer; None where it says nothing. Raises `RecipeError`."""
    if data.get("tokenizer_source") and data.get("tokenizer"):
        raise RecipeError(f"{where}: tokenizer: and tokenizer_source: exclude one another")
    if data.get("tokenizer_source"):
        return TokenizerChoice(_token_source(data["tokenizer_source"], f"{where}: tokenizer_source"))
    if data.get("tokenizer") is None:
        return None
    here = f"{where}: tokenizer"
    inner = mapping(data["tokenizer"], here, ["source", "tokens", "pad_to_multiple_of"])
    pad = inner.get("pad_to_multiple_of")
    if pad is not None and (type(pad) is not int or not 1 <= pad <= 2**20):
        raise RecipeError(f"{here}.pad_to_multiple_of: wants a whole number, not {str(pad)[:40]!r}")
    rules = {
        str(token): _rule(rule, f"{here}.tokens[{str(token)[:40]!r}]")
        for token, rule in mapping(inner.get("tokens"), f"{here}.tokens").items()
    }
    return TokenizerChoice(_token_source(inner.get("source") or "union", f"{here}.source"), rules, pad)


def _token_source(raw: Any, where: str) -> str | ModelRef:
    if isinstance(raw, str):
        # mergekit's first releases wrote `model:PATH`.
        raw = raw.removeprefix("model:")
    return raw if raw in ("union", "base") else model_ref(raw, where)


def _rule(raw: Any, where: str) -> TokenRule:
    data = mapping(raw, where, ["source", "force"])
    source, force = data.get("source"), data.get("force", False)
    if not isinstance(force, bool):
        raise RecipeError(f"{where}.force: wants true or false")
    if isinstance(source, dict) and "kind" in source:
        kind = mapping(source, f"{where}.source", ["kind", "model", "token", "token_id"])
        if kind["kind"] == "zero":
            return TokenRule(None, None, force)
        given = [kind[key] for key in ("token", "token_id") if kind.get(key) is not None]
        token = given[0] if len(given) == 1 else None
        if kind["kind"] != "model_token" or isinstance(token, bool) or not isinstance(token, str | int):
            raise RecipeError(
                f"{where}.source: wants kind zero, or model_token with model and either token or token_id"
            )
        return TokenRule(model_ref(kind.get("model"), f"{where}.source.model"), token, force)
    return TokenRule(model_ref(source, f"{where}.source"), None, force)


def text_of(data: Mapping[str, Any], key: str, where: str) -> str | None:
    """A text, None where it is missing or empty. Raises `RecipeError`."""
    text = data.get(key)
    if text is not None and not isinstance(text, str):
        raise RecipeError(f"{where}: {key}: wants text")
    return text or None
