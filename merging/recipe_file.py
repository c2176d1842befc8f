"""Read mergekit's YAML as it is; checked before any weights are.

    merge_method: ties
    base_model: ./base
    models:                        # or `slices`, layer by layer; or `modules`, tower by tower
      - {model: ./a, parameters: {weight: 0.5, density: [0.3, 0.6]}}
      - {model: ./b+./lora, parameters: {weight: {filter: mlp, value: 0.5}}}
    parameters: {normalize: true}
    dtype: bfloat16

Format: https://github.com/arcee-ai/mergekit#merge-configuration. What mergekit ignores is a note where its meaning is
known (a parameter of another method, `name`, `residual_weight`), else an error. Several documents in one file are one
pipeline: a document takes another's result for a model by its `name` (in old files its `out_path`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from merging.methods import METHODS
from merging.methods.method import MergeMethod
from merging.recipe import ModelRef, Recipe, Slice, Source, method_named, one_spelling
from merging.recipe_values import (
    MAX_SOURCES,
    dtype_of,
    layer_range,
    listed,
    mapping,
    model_ref,
    nearest,
    text_of,
    tokenizer_choice,
)
from merging.settings import RecipeError, Settings, setting
from merging.templates import check_template

MAX_BYTES = 2**20
MAX_NODES = 200_000
MAX_DOCUMENTS = 64
KEYS = (
    *("merge_method", "base_model", "models", "slices", "modules", "parameters", "dtype", "out_dtype"),
    *("tokenizer_source", "tokenizer", "chat_template", "name", "out_path"),
)
WITHOUT_EFFECT = ("embed_slerp", "residual_weight", "random_seed", "tie_word_embeddings")
"""Keys of old recipes that change nothing in mergekit, nor here."""


class MixtureRecipe(RecipeError):
    """The file is a mergekit-moe file: no merge, but a mixture of experts."""


def read_yaml(path: Path, known: Collection[str]) -> tuple[list[Any], str]:
    """The documents of a YAML file, and its text; without keys that are not `known` and only hold what an alias
    elsewhere refers to. Raises `RecipeError`."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise RecipeError(f"{path}: larger than {MAX_BYTES} bytes")
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: cannot be read: {error}") from error
    try:
        documents = [raw for raw in yaml.load_all(text, partial(_Loader, known=known)) if raw is not None]
    except (yaml.YAMLError, RecursionError) as error:
        raise RecipeError(f"{path}: no valid YAML: {' '.join(str(error).split())[:200]}") from error
    _bounded(documents, str(path))
    return documents, text


def load(path: Path) -> Recipe:
    """Read a YAML file. Raises `RecipeError` naming file and key; `MixtureRecipe` for one of mergekit-moe's."""
    documents, text = read_yaml(path, (*KEYS, "experts", "gate_mode"))
    if len(documents) == 1:
        return replace(parse(documents[0], str(path)), text=text)
    if not 1 < len(documents) <= MAX_DOCUMENTS:
        raise RecipeError(f"{path}: wants 1 to {MAX_DOCUMENTS} documents, not {len(documents)}")
    return replace(
        _chained([parse(raw, f"{path}: document {n}") for n, raw in enumerate(documents, 1)], path), text=text
    )


def _chained(recipes: list[Recipe], path: Path) -> Recipe:
    """The last recipe of a file, with those before it that it takes for models."""
    ends = [recipe for recipe in recipes if not recipe.name] or recipes[-1:]
    if len(ends) > 1:
        raise RecipeError(
            f"{path}: {len(ends)} of {len(recipes)} documents have no `name`: only the result may lack one"
        )
    named: dict[str, Recipe] = {}
    done: dict[str, Recipe] = {}
    for recipe in recipes:
        if recipe.name and recipe.name in named:
            raise RecipeError(f"{path}: name {recipe.name!r} occurs twice")
        if recipe.name:
            named[recipe.name] = recipe
    used: set[str] = set()
    notes: list[str] = []

    def resolved(recipe: Recipe, above: tuple[str, ...]) -> Recipe:
        inner = {}
        for ref in recipe.models:
            if ref.model not in named or named[ref.model] is recipe:
                continue
            if ref.model in above:
                raise RecipeError(f"{path}: {' -> '.join([*above, ref.model])}: a merge cannot be a source of itself")
            if ref.adapter or ref.revision:
                raise RecipeError(f"{path}: {ref}: a merge of this file has no revision, and takes no adapter")
            used.add(ref.model)
            if Path(ref.model).exists():
                notes.append(f"{path}: {ref.model!r} is there on disk too: the document of that name is meant")
            if ref.model not in done:
                done[ref.model] = resolved(named[ref.model], (*above, ref.model))
            inner[ref] = done[ref.model]
        return replace(recipe, inner=inner)

    end = resolved(ends[0], (ends[0].name,) if ends[0].name else ())
    over = [name for name in named if name not in used and named[name] is not ends[0]]
    if over:
        raise RecipeError(f"{path}: the document {over[0]!r} is a model of no other; the result is the last one")
    return replace(end, notes=tuple(dict.fromkeys([*end.notes, *notes])))


def parse(raw: Any, where: str = "recipe") -> Recipe:
    """The recipe of a plain dictionary with mergekit's keys: how recipes are made in Python. Raises `RecipeError`."""
    _bounded(raw, where)
    if isinstance(raw, dict) and "merge_method" not in raw and ("experts" in raw or "gate_mode" in raw):
        raise MixtureRecipe(f"{where}: a mergekit-moe file: `collegium merge` makes a mixture of it, no merge")
    notes: list[str] = []
    data = _known(raw, where, notes)
    method = method_named(data.get("merge_method"), where)

    def settings(raw: Any, where: str) -> Settings:
        return _settings(raw, where, method, notes)

    base = model_ref(data["base_model"], f"{where}: base_model") if data.get("base_model") else None
    slices = tuple(_all_slices(data, where, settings))
    recipe = Recipe(
        str(data["merge_method"]),
        slices,
        base,
        settings(data.get("parameters"), f"{where}: parameters"),
        dtype_of(data, where),
        tokenizer_choice(data, where),
        check_template(text_of(data, "chat_template", where), where),
        notes=tuple(dict.fromkeys(notes)),
        name=text_of(data, "name", where) or text_of(data, "out_path", where),
    )
    recipe = one_spelling(recipe)
    for number, part in enumerate(recipe.slices):
        _check_sources(recipe, part, f"{where}: slices[{number}]" if data.get("slices") else where)
    return recipe


def _known(raw: Any, where: str, notes: list[str]) -> dict[str, Any]:
    """The keys that mean something; a method's parameter beside `parameters` means nothing to mergekit either."""
    parameters = {parameter.name for method in METHODS for parameter in method.parameters}
    kept = {}
    for key, value in mapping(raw, where).items():
        if key in parameters or key in WITHOUT_EFFECT:
            notes.append(f"{where}: {key}: has no effect beside merge_method; parameters stand under `parameters`")
        else:
            kept[key] = value
    return mapping(kept, where, list(KEYS))


def _all_slices(data: Mapping[str, Any], where: str, settings: Any) -> Iterator[Slice]:
    """The slices of the whole recipe, or of each of its modules with the module's own parameters."""
    modules = mapping(data.get("modules"), f"{where}: modules")
    if not modules:
        yield from _slices(data, where, settings)
        return
    if data.get("models") or data.get("slices"):
        raise RecipeError(f"{where}: modules: excludes models and slices beside it")
    for name, module in modules.items():
        here = f"{where}: modules.{name}"
        inner = mapping(module, here, ["name", "models", "slices", "parameters"])
        shared = settings(inner.get("parameters"), f"{here}.parameters")
        for part in _slices(inner, here, settings):
            yield replace(part, module=name, parameters={**shared, **part.parameters})


def _slices(data: Mapping[str, Any], where: str, settings: Any) -> Iterator[Slice]:
    given = [key for key in ("models", "slices") if data.get(key)]
    if len(given) != 1:
        raise RecipeError(f"{where}: wants exactly one of models and slices, not {' and '.join(given) or 'none'}")
    if given == ["models"]:
        yield Slice(tuple(_sources(data["models"], f"{where}: models", settings, sliced=False)))
        return
    for number, raw in enumerate(listed(data["slices"], f"{where}: slices")):
        here = f"{where}: slices[{number}]"
        part = mapping(raw, here, ["sources", "base_model", "parameters", "residual_weight"])
        sources = tuple(_sources(part.get("sources"), f"{here}.sources", settings, sliced=True))
        counts = {source.layers[1] - source.layers[0] for source in sources if source.layers}
        if len(counts) > 1:
            raise RecipeError(f"{here}: its sources have different numbers of layers: {sorted(counts)}")
        base = model_ref(part["base_model"], f"{here}.base_model") if part.get("base_model") else None
        yield Slice(sources, base, settings(part.get("parameters"), f"{here}.parameters"))


def _sources(raw: Any, where: str, settings: Any, sliced: bool) -> Iterator[Source]:
    for number, item in enumerate(listed(raw, where)):
        here = f"{where}[{number}]"
        data = mapping(item, here, ["model", "parameters", "layer_range", "revision"])
        model = model_ref(data.get("model"), f"{here}.model")
        if data.get("revision") is not None:
            model = _revised(model, data["revision"], here)
        layers = None
        if sliced or data.get("layer_range") is not None:
            layers = layer_range(data.get("layer_range"), f"{here}.layer_range")
        parameters = settings(data.get("parameters"), f"{here}.parameters")
        yield Source(model, parameters, layers if sliced else None, None if sliced else layers)


def _revised(model: ModelRef, revision: Any, where: str) -> ModelRef:
    """Old recipes name a revision beside the model."""
    if not isinstance(revision, str) or not revision or model.revision not in (None, revision):
        raise RecipeError(f"{where}.revision: wants one revision of {model}, not {str(revision)[:40]!r}")
    return replace(model, revision=revision)


def _settings(raw: Any, where: str, method: MergeMethod, notes: list[str]) -> Settings:
    known = {parameter.name for parameter in method.parameters}
    elsewhere = {parameter.name for other in METHODS for parameter in other.parameters}
    found = {}
    for name, given in mapping(raw, where).items():
        if name in known:
            found[name] = setting(given, f"{where}.{name}")
        elif name in WITHOUT_EFFECT:
            notes.append(f"{where}.{name}: has no effect, ignored")
        elif name in elsewhere:
            notes.append(f"{where}.{name}: not a parameter of {method.name}, ignored")
        else:
            raise RecipeError(f"{where}.{name}: no such parameter of {method.name}{nearest(name, known)}")
    return found


def _check_sources(recipe: Recipe, part: Slice, where: str) -> None:
    method, base = recipe.rule, part.base or recipe.base
    listed_twice = [source.model for source in part.sources if source.layers is None]
    for model in dict.fromkeys(listed_twice):
        listed_twice.remove(model)
    if listed_twice:
        raise RecipeError(f"{where}: models: {listed_twice[0]} is listed twice")
    if method.base == "required" and base is None:
        raise RecipeError(f"{where}: {method.name} needs base_model")
    takes_base_apart = method.base in ("required", "optional")
    implied = base is not None and method.base != "unused" and all(source.model != base for source in part.sources)
    if implied and len({source.layers for source in part.sources}) > 1:
        raise RecipeError(
            f"{where}: its sources take different layers: list base_model {base} with its layer_range too"
        )
    count = sum(not (takes_base_apart and source.model == base) for source in part.sources)
    count += method.base == "source" and implied
    limit = method.max_sources or MAX_SOURCES
    if not method.min_sources <= count <= limit:
        wanted = str(method.min_sources) if method.min_sources == limit else f"{method.min_sources} to {limit}"
        beside = " beside the base" if takes_base_apart else ""
        raise RecipeError(f"{where}: {method.name} merges {wanted} models{beside}, not {count}")


def _bounded(raw: Any, where: str) -> None:
    """Refuse trees that aliases blow up (each alias is walked as often as it stands there)."""
    left, todo = MAX_NODES, [raw]
    while todo:
        node = todo.pop()
        left -= 1
        if left < 0:
            raise RecipeError(f"{where}: more than {MAX_NODES} values")
        if isinstance(node, dict):
            todo += node.values()
        elif isinstance(node, list):
            todo += node


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    def __init__(self, stream: str, known: Collection[str]) -> None:
        super().__init__(stream)
        self._known = known
        self._anchors: dict[int, str] = {}
        """By a node's id, in the document at hand."""
        self._used: set[str] = set()

    def compose_node(self, parent: Any, index: Any) -> Any:
        anchor, alias = self.peek_event().anchor, self.check_event(yaml.AliasEvent)
        node = super().compose_node(parent, index)
        if anchor and alias:
            self._used.add(anchor)
        elif anchor:
            self._anchors[id(node)] = anchor
        return node

    def compose_document(self) -> Any:
        self._anchors, self._used = {}, set()
        root = super().compose_document()
        if isinstance(root, yaml.MappingNode):
            held = {id(value) for _, value in root.value if self._anchors.get(id(value)) in self._used}
            root.value = [
                (key, value) for key, value in root.value if key.value in self._known or id(value) not in held
            ]
        return root

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        for key in keys:
            if isinstance(key, str) and keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} occurs twice", node.start_mark)
        return dict(super().construct_mapping(node, deep))
