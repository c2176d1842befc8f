"""config.json of a merge: the first model's, with the result's layers, vocabulary, ties and type."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from merging.checkpoint import ties
from merging.naming import HEAD
from merging.plan import Merge
from merging.settings import RecipeError
from merging.source_model import SourceModel
from merging.towers import COUNT_KEYS, Tower, count_keys, section_of, sliceable

TYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}
NOT_PER_LAYER = ("token_id", "token_ids", "architectures", "suppress_tokens", "mrope_section", "languages", "labels")
"""Ends of the names of lists that may be as long as there are layers by chance."""
PLACES = (
    "idxs",
    "indexes",
    "indices",
    "_index",
    "moe_layers",
    "only_layers",
    "attn_layers",
    "dense_layers",
    "_layer_ids",
)
"""Ends of the names of lists of layers."""
ALTERNATING = {"gemma2": 2, "cohere2": 4, "gemma3_text": 6}
"""Model types that attend to a window in all but every n-th layer, whether config.json says so or not."""
PATTERNS = ("full_attention_interval", "no_rope_layer_interval", "attn_layer_period")
"""What a layer is follows from its number by these, where no list says it."""
LEADING = "first_k_dense_replace"
FURTHER = ("mtp_", "nextn_")
"""What the names of lists begin with that are about layers which predict further tokens."""
Origin = tuple[SourceModel, int]
"""A layer of a model."""


def result_config(plan: Merge) -> dict[str, Any]:
    """Raises `RecipeError` where the number of layers changes and config.json cannot say so."""
    config: dict[str, Any] = copy.deepcopy(dict(plan.template.config))
    kinds = {target.dtype for target in plan.targets.values() if target.copied is None}
    if plan.recipe.dtype or len(kinds) == 1:
        named = TYPES[plan.recipe.dtype or kinds.pop()]
        for section in (config, *(value for key, value in config.items() if key.endswith("_config"))):
            if isinstance(section, dict):
                for key in ("dtype", "torch_dtype"):
                    if key in section:
                        section[key] = named
        if "dtype" not in config:
            config["torch_dtype"] = named
    config.pop("quantization_config", None)
    if isinstance(config.get("text_config"), dict):
        config["text_config"].pop("quantization_config", None)
    head = any(place.name == HEAD for place in plan.layout.places)
    if head and (ties(plan.template.config) or not plan.template.own_head):
        config["tie_word_embeddings"] = False
        if isinstance(config.get("text_config"), dict) and "tie_word_embeddings" in config["text_config"]:
            config["text_config"]["tie_word_embeddings"] = False
    _vocabulary(plan, config)
    for tower in sliceable(plan.template.towers.values()):
        _layers(plan, config, tower.head, tower)
    return config


def _vocabulary(plan: Merge, config: dict[str, Any]) -> None:
    """Where embeddings have other rows than before: after an alignment, or through an adapter that resizes them."""
    name = plan.template.embedding
    place = next((place for place in plan.layout.places if place.name == name), None)
    if place is None:
        return
    rows = plan.targets[place.stored].shape[0]
    _check_rows(plan, rows)
    inner: Any = config.get("text_config")
    stated = [section for section in (config, inner) if isinstance(section, dict) and "vocab_size" in section]
    for section in stated or [config]:
        if section.get("vocab_size") != rows:
            section["vocab_size"] = rows
    if plan.vocabulary is not None:
        for key, number in _special_tokens(plan).items():
            for section in (config, inner):
                if isinstance(section, dict) and (section is config or key in section):
                    section[key] = number


def _check_rows(plan: Merge, rows: int) -> None:
    """Embedding and output layer must be as long as each other where they were in the first model."""
    head = next((plan.targets[place.stored] for place in plan.layout.places if place.name == HEAD), None)
    own = plan.template.weights.get(HEAD)
    differed = own is not None and own.shape[0] != plan.template.vocabulary_size
    if head is not None and head.shape[0] != rows and not differed:
        raise RecipeError(
            f"the embedding of the result has {rows} tokens, its output layer {head.shape[0]}: they come from slices "
            "of models with different vocabularies; `tokenizer_source: union` (or base) aligns them"
        )


def _special_tokens(plan: Merge) -> dict[str, Any]:
    """Where the tokenizer is another model's, so are the numbers of the tokens that begin and end a text."""
    assert plan.vocabulary is not None
    keys = ("bos_token_id", "eos_token_id", "pad_token_id")
    for model in plan.models.values():
        if model.folder == plan.vocabulary.tokenizer.folder and model is not plan.template:
            inner = model.config.get("text_config")
            sections = (model.config, inner if isinstance(inner, dict) else {})
            return {key: section[key] for key in keys for section in sections if key in section}
    return {}


def _layers(plan: Merge, config: dict[str, Any], head: str, tower: Tower) -> None:
    """The number of layers, and what config.json lists for each of them."""
    made = plan.layout.layers[head]
    origins = [(plan.models[layer.part.sources[0].model], layer.number(layer.part.sources[0])) for layer in made]
    before = tower.layers
    if origins == [(plan.template, number) for number in range(before)]:
        return
    keys = count_keys(tower, plan.template.config)
    section = section_of(tower, config)
    inner = config[section] if section else config
    stated = any(value == before for _, _, value in keys) or _counts_by_kinds(inner, before)
    if len(origins) != before and not stated:
        raise RecipeError(
            f"{plan.template.label}: config.json does not say under a known key that {tower.name} has {before} layers, "
            "so the new number cannot be written"
        )
    for section, key, value in keys:
        if value == before:
            (config[section] if section else config)[key] = len(origins)
    _check_shapes(plan, head, inner, origins)
    inner.update(_spelled_out(inner, before))
    explained = _explained(inner, _kinds(plan.template, head), before)
    listed = _follow(inner, tower, origins)
    _check_kinds(plan, head, inner, origins, listed and explained)


def _follow(section: dict[str, Any], tower: Tower, origins: Sequence[Origin]) -> bool:
    """Reorder every list (or string) that has an entry for each layer; True if there was one."""
    found = False
    before = tower.layers
    for name, held in list(section.items()):
        if isinstance(held, list) and name.endswith(PLACES) and _are_places(held, before):
            section[name] = [place for place, origin in enumerate(origins) if origin[1] in _listed(name, tower, origin)]
            found = True
        elif isinstance(held, list) and _is_per_layer(name, held, before):
            section[name] = [_entry(name, tower, origin) for origin in origins]
            found = True
        elif isinstance(held, str) and name.endswith("_pattern") and len(held) == before:
            section[name] = "".join(_entry(name, tower, origin) for origin in origins)
            found = True
        elif isinstance(held, dict) and "layer" in name and _are_numbered(held, before):
            entries = [(place, _listed(name, tower, origin), str(origin[1])) for place, origin in enumerate(origins)]
            section[name] = {str(place): listed[number] for place, listed, number in entries if number in listed}
            found = True
    return found


def _is_per_layer(name: str, held: Sequence[Any], before: int) -> bool:
    """A list with an entry for each layer."""
    return len(held) == before > 1 and not name.endswith(NOT_PER_LAYER) and not name.startswith(FURTHER)


def _counts_by_kinds(section: Mapping[str, Any], before: int) -> bool:
    """The number of layers stands nowhere but in the list of their kinds (Nemotron-H)."""
    return not any(key in section for key in COUNT_KEYS) and any(
        isinstance(held, list) and _is_per_layer(name, held, before) and all(isinstance(kind, str) for kind in held)
        for name, held in section.items()
    )


def _explained(section: Mapping[str, Any], kinds: Mapping[int, frozenset[str]], before: int) -> bool:
    """Layers of which config.json lists the same have the same tensors: not so where some use those of another layer
    (Zamba 2), or where something else than the lists says what a layer is."""
    known: dict[tuple[Any, ...], frozenset[str] | None] = {}
    for number in range(before):
        said: list[Any] = []
        for name, held in section.items():
            if isinstance(held, list) and name.endswith(PLACES) and _are_places(held, before):
                said.append(number in held)
            elif isinstance(held, list) and _is_per_layer(name, held, before):
                said.append(str(held[number]))
            elif isinstance(held, str) and name.endswith("_pattern") and len(held) == before:
                said.append(held[number])
        if known.setdefault(tuple(said), kinds.get(number)) != kinds.get(number):
            return False
    return True


def _listed(name: str, tower: Tower, origin: Origin) -> Any:
    """What the configuration of the model that a layer comes from says under `name`."""
    model = origin[0]
    section = section_of(tower, model.config)
    held = model.config[section] if section else model.config
    return {**held, **_spelled_out(held, model.towers[tower.head].layers)}.get(name, ())


def _spelled_out(section: Mapping[str, Any], layers: int) -> dict[str, Any]:
    """`layer_types` where the configuration leaves them to a layer's number: every n-th layer attends to everything;
    `block_types` where it repeats a short list.

    As transformers' configurations of these types count (Gemma2Config, Gemma3TextConfig, Cohere2Config).
    """
    turn = section.get("block_types")
    if isinstance(turn, list) and 0 < len(turn) < layers:
        # RecurrentGemma repeats a short list; one as long as the model is read as it is.
        return {"block_types": [turn[number % len(turn)] for number in range(layers)]}
    every = section.get("sliding_window_pattern", ALTERNATING.get(str(section.get("model_type"))))
    if "layer_types" in section or type(every) is not int or every < 1:
        return {}
    kinds = ("full_attention", "sliding_attention")
    return {"layer_types": [kinds[bool((number + 1) % every)] for number in range(layers)]}


def _entry(name: str, tower: Tower, origin: Origin) -> Any:
    held = _listed(name, tower, origin)
    if origin[1] >= len(held):
        raise RecipeError(f"{origin[0].label}: config.json says nothing about layer {origin[1]} under {name}")
    return held[origin[1]]


def _are_places(held: Sequence[Any], before: int) -> bool:
    return all(type(item) is int and 0 <= item < before for item in held) and sorted(set(held)) == list(held)


def _are_numbered(held: Mapping[Any, Any], before: int) -> bool:
    """A mapping from a layer's number to what is its own."""
    return bool(held) and all(isinstance(key, str) and key.isdigit() and int(key) < before for key in held)


def _check_kinds(plan: Merge, head: str, section: dict[str, Any], origins: Sequence[Origin], listed: bool) -> None:
    """A layer that moved must still be what config.json makes of its new place."""
    kinds = _kinds(plan.template, head)
    held = {id(model): _kinds(model, head) for model, _ in origins}
    new = [held[id(model)].get(number) for model, number in origins]
    if type(section.get(LEADING)) is int:
        dense = kinds.get(0)
        leading = next((place for place, kind in enumerate(new) if kind != dense), len(new)) if section[LEADING] else 0
        if any(kind == dense for kind in new[leading:]) and section[LEADING]:
            raise RecipeError(
                f"{plan.template.label}: {LEADING} can only say that the first layers are dense: no such layer may "
                "follow others in the slices"
            )
        section[LEADING] = leading
        return
    continued = _continued(kinds, len(new))
    moved = [place for place, kind in enumerate(new) if continued[place] != kind]
    if moved and not listed:
        raise RecipeError(
            f"{plan.template.label}: layer {origins[moved[0]][1]} has other tensors than what belongs in place "
            f"{moved[0]}, which it takes, and no list in config.json says which layers are of which kind (or it uses "
            "tensors of another layer)"
        )
    pattern = next((name for name in PATTERNS if isinstance(section.get(name), int)), None)
    if pattern and not listed:
        plan.notes.append(
            f"config.json: {pattern} {section[pattern]} goes by a layer's number: a moved layer may change its kind"
        )


def _check_shapes(plan: Merge, head: str, section: Mapping[str, Any], origins: Sequence[Origin]) -> None:
    """A layer of another model is as wide as the first model's, unless config.json has sizes for each layer."""
    before = plan.template.towers[head].layers
    if any(
        isinstance(held, list) and len(held) == before and isinstance(held[0], int | dict) for held in section.values()
    ):
        return
    known: dict[str, set[tuple[int, ...]]] = {}
    for name, weight in plan.template.weights.items():
        if name.startswith(head):
            known.setdefault(name[len(head) :].partition(".")[2], set()).add(weight.shape)
    for model, number in dict.fromkeys((id(model), number) for model, number in origins):
        source = next(other for other, _ in origins if id(other) == model)
        prefix = f"{head}{number}."
        for name, weight in source.weights.items():
            tail = name.removeprefix(prefix)
            if name.startswith(prefix) and weight.shape not in known.get(tail, {weight.shape}):
                raise RecipeError(
                    f"{source.label}: tensor {source.names[name]!r} has shape {list(weight.shape)}, in "
                    f"{plan.template.label} {list(min(known[tail]))}: config.json has one size for all layers"
                )


def _continued(kinds: Mapping[int, frozenset[str]], count: int) -> list[frozenset[str] | None]:
    """The kind that a configuration without a list gives each place: the model's own; beyond its last layer what its
    layers go on with, after perhaps some of another kind in front; None: nobody knows."""
    held = [kinds[number] for number in sorted(kinds)]
    turn = _turn(held)
    beyond = [turn[(place - len(held)) % len(turn)] if turn else None for place in range(len(held), count)]
    return [*held, *beyond][:count]


def _turn(held: Sequence[frozenset[str]]) -> Sequence[frozenset[str]]:
    """The shortest run that repeats up to the end, and begins anew there; empty where none does."""
    if len(held) == 1:
        return held
    for start in range(len(held)):
        tail = held[start:]
        for size in range(1, len(tail)):
            if all(a == b for a, b in zip(tail, tail[size:], strict=False)):
                return [tail[(len(tail) + place) % size] for place in range(size)]
    return ()


def _kinds(model: SourceModel, head: str) -> Mapping[int, frozenset[str]]:
    """Which tensors each layer of a model has; experts count once."""
    found: dict[int, set[str]] = {}
    for name in model.weights:
        if name.startswith(head):
            number, _, tail = name[len(head) :].partition(".")
            found.setdefault(int(number), set()).add(
                ".".join("N" if part.isdigit() else part for part in tail.split("."))
            )
    return {number: frozenset(tails) for number, tails in found.items()}
