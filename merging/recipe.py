"""A merge as data: mergekit's YAML, read as it is, checked before any weights are.

    merge_method: ties
    base_model: ./base
    models:                        # or `slices`, layer by layer
      - {model: ./a, parameters: {weight: 0.5, density: [0.3, 0.6]}}
      - {model: ./b+./lora, parameters: {weight: {filter: mlp, value: 0.5}}}
    parameters: {normalize: true}
    dtype: bfloat16

Format: https://github.com/arcee-ai/mergekit#merge-configuration. What mergekit ignores is an error here if no method
knows it, a note if another one does. Not read: `modules` of models with more than one part, `residual_weight`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from merging import extensions
from merging.methods import METHODS
from merging.methods.method import MergeMethod
from merging.settings import RecipeError, Settings, setting

MAX_BYTES = 2**20
MAX_NODES = 200_000
MAX_SOURCES = 1000
DTYPES = {"float32": "F32", "float16": "F16", "bfloat16": "BF16", "fp32": "F32", "fp16": "F16", "bf16": "BF16"}


@dataclass(frozen=True, slots=True)
class ModelRef:
    """A checkpoint folder or hub id, with a LoRA adapter (folder or hub id) over it if there is one."""

    model: str
    adapter: str | None = None
    revision: str | None = None
    adapter_revision: str | None = None

    def __str__(self) -> str:
        parts = ((self.model, self.revision), (self.adapter, self.adapter_revision))
        return "+".join(f"{name}@{revision}" if revision else name for name, revision in parts if name)


@dataclass(frozen=True, slots=True)
class Source:
    """One model of a merge, with its own parameters. `layers`: the half-open range that a slice takes, or all."""

    model: ModelRef
    parameters: Settings = field(default_factory=dict)
    layers: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Slice:
    """Consecutive layers of the result. A merge of whole models is one slice."""

    sources: tuple[Source, ...]
    base: ModelRef | None = None
    parameters: Settings = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TokenRule:
    """Where a token's embedding comes from: a model's same token, another token of it, or zeros (model None)."""

    model: ModelRef | None
    token: str | int | None = None
    force: bool = False
    """Also where a source has the token itself."""


@dataclass(frozen=True, slots=True)
class TokenizerChoice:
    """`source`: union, base, or a model. Models are aligned token by token."""

    source: str | ModelRef = "union"
    tokens: Mapping[str, TokenRule] = field(default_factory=dict)
    pad_to_multiple_of: int | None = None


@dataclass(frozen=True, slots=True)
class Recipe:
    """A checked merge. `text` is the YAML it was read from, if it was."""

    method: str
    slices: tuple[Slice, ...]
    base: ModelRef | None = None
    parameters: Settings = field(default_factory=dict)
    dtype: str | None = None
    """safetensors' name of the type that is written; None: that of each tensor in the first model."""
    tokenizer: TokenizerChoice | None = None
    chat_template: str | None = None
    seed: int = 0
    """Of the methods that draw at random."""
    notes: tuple[str, ...] = ()
    """What the reader should know: parameters that this method does not use."""
    text: str | None = None

    @property
    def rule(self) -> MergeMethod:
        """The recipe's merge method."""
        return _method(self.method, "recipe")

    @property
    def models(self) -> tuple[ModelRef, ...]:
        """Every model that takes part, once; first the one whose config and tokenizer the result has."""
        named = [self.base] if self.base else []
        for part in self.slices:
            named += [part.base] if part.base else []
            named += [source.model for source in part.sources]
        return tuple(dict.fromkeys(named))

    def seeded(self, seed: int) -> Recipe:
        """The same recipe with another seed for its random draws."""
        return replace(self, seed=seed)


def load(path: Path) -> Recipe:
    """Read a YAML file. Raises `RecipeError` naming file and key."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise RecipeError(f"{path}: larger than {MAX_BYTES} bytes")
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: cannot be read: {error}") from error
    try:
        raw = yaml.load(text, _Loader)
    except (yaml.YAMLError, RecursionError) as error:
        raise RecipeError(f"{path}: no valid YAML: {' '.join(str(error).split())[:200]}") from error
    return replace(parse(raw, str(path)), text=text)


def parse(raw: Any, where: str = "recipe") -> Recipe:
    """The recipe of a plain dictionary with mergekit's keys: how recipes are made in Python. Raises `RecipeError`."""
    _bounded(raw, where)
    keys = "merge_method base_model models slices modules parameters dtype out_dtype tokenizer_source tokenizer "
    data = _mapping(raw, where, (keys + "chat_template").split())
    method = _method(data.get("merge_method"), where)
    data = _one_module(data, where)
    notes: list[str] = []

    def settings(raw: Any, where: str) -> Settings:
        return _settings(raw, where, method, notes)

    base = _model(data["base_model"], f"{where}: base_model") if data.get("base_model") else None
    slices = tuple(_slices(data, where, settings))
    recipe = Recipe(
        method.name,
        slices,
        base,
        settings(data.get("parameters"), f"{where}: parameters"),
        _dtype(data, where),
        _tokenizer(data, where),
        _text(data, "chat_template", where),
        notes=tuple(dict.fromkeys(notes)),
    )
    for number, part in enumerate(slices):
        _check_sources(recipe, part, f"{where}: slices[{number}]" if data.get("slices") else where)
    return recipe


def _slices(data: Mapping[str, Any], where: str, settings: Any) -> Iterator[Slice]:
    given = [key for key in ("models", "slices") if data.get(key)]
    if len(given) != 1:
        raise RecipeError(f"{where}: wants exactly one of models and slices, not {' and '.join(given) or 'none'}")
    if given == ["models"]:
        yield Slice(tuple(_sources(data["models"], f"{where}: models", settings, sliced=False)))
        return
    for number, raw in enumerate(_list(data["slices"], f"{where}: slices")):
        here = f"{where}: slices[{number}]"
        part = _mapping(raw, here, ["sources", "base_model", "parameters", "residual_weight"])
        if part.get("residual_weight") is not None:
            raise RecipeError(f"{here}.residual_weight: not supported (mergekit 0.1.5 reads and ignores it)")
        sources = tuple(_sources(part.get("sources"), f"{here}.sources", settings, sliced=True))
        counts = {source.layers[1] - source.layers[0] for source in sources if source.layers}
        if len(counts) > 1:
            raise RecipeError(f"{here}: its sources have different numbers of layers: {sorted(counts)}")
        base = _model(part["base_model"], f"{here}.base_model") if part.get("base_model") else None
        yield Slice(sources, base, settings(part.get("parameters"), f"{here}.parameters"))


def _sources(raw: Any, where: str, settings: Any, sliced: bool) -> Iterator[Source]:
    seen = set()
    for number, item in enumerate(_list(raw, where)):
        here = f"{where}[{number}]"
        data = _mapping(item, here, ["model", "parameters", *(["layer_range"] if sliced else [])])
        model = _model(data.get("model"), f"{here}.model")
        if model in seen and not sliced:
            raise RecipeError(f"{here}.model: {model} is listed twice")
        seen.add(model)
        layers = _range(data.get("layer_range"), f"{here}.layer_range") if sliced else None
        yield Source(model, settings(data.get("parameters"), f"{here}.parameters"), layers)


def _settings(raw: Any, where: str, method: MergeMethod, notes: list[str]) -> Settings:
    known = {parameter.name for parameter in method.parameters}
    elsewhere = {parameter.name for other in METHODS for parameter in other.parameters}
    found = {}
    for name, given in _mapping(raw, where).items():
        if name in known:
            found[name] = setting(given, f"{where}.{name}")
        elif name in elsewhere:
            notes.append(f"{where}.{name}: not a parameter of {method.name}, ignored")
        else:
            raise RecipeError(f"{where}.{name}: no such parameter of {method.name}{_nearest(name, known)}")
    return found


def _check_sources(recipe: Recipe, part: Slice, where: str) -> None:
    method, base = recipe.rule, part.base or recipe.base
    if method.base == "required" and base is None:
        raise RecipeError(f"{where}: {method.name} needs base_model")
    takes_base_apart = method.base in ("required", "optional")
    count = sum(not (takes_base_apart and source.model == base) for source in part.sources)
    count += method.base == "source" and base is not None and all(source.model != base for source in part.sources)
    most = method.max_sources or MAX_SOURCES
    if not method.min_sources <= count <= most:
        wanted = str(method.min_sources) if method.min_sources == most else f"{method.min_sources} to {most}"
        beside = " beside the base" if takes_base_apart else ""
        raise RecipeError(f"{where}: {method.name} merges {wanted} models{beside}, not {count}")


def _method(name: Any, where: str) -> MergeMethod:
    for method in METHODS:
        if method.name == name:
            return method
    try:
        own = extensions.found(name) if isinstance(name, str) else None
    except ValueError as error:
        raise RecipeError(f"{where}: merge_method: {error}") from error
    if isinstance(own, MergeMethod):
        return own
    known = [method.name for method in METHODS]
    raise RecipeError(f"{where}: merge_method: {str(name)[:80]!r} is none of {', '.join(known)}")


def _one_module(data: dict[str, Any], where: str) -> dict[str, Any]:
    modules = data.pop("modules", None)
    if not modules:
        return data
    modules = _mapping(modules, f"{where}: modules")
    if len(modules) != 1 or data.get("models") or data.get("slices"):
        raise RecipeError(f"{where}: modules: models of several parts are not supported; there are {list(modules)[:8]}")
    ((name, module),) = modules.items()
    inner = _mapping(module, f"{where}: modules.{name}", ["models", "slices", "parameters"])
    parameters = {**(data.get("parameters") or {}), **(inner.pop("parameters", None) or {})}
    return {**data, **inner, "parameters": parameters}


def _model(raw: Any, where: str) -> ModelRef:
    """`name[@revision][+adapter[@revision]]`, or mergekit's mappings {model, lora} of {path, revision}."""
    if isinstance(raw, dict):
        data = _mapping(raw, where, ["model", "lora", "path", "revision", "override_architecture"])
        if data.get("override_architecture"):
            raise RecipeError(f"{where}.override_architecture: not needed here: tensors are matched by name")
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
        data = _mapping(raw, where, ["path", "revision", "model", "lora", "override_architecture"])
        raw = data.get("path")
        if isinstance(raw, str) and raw and isinstance(data.get("revision"), str | None):
            return raw, data.get("revision")
    if not isinstance(raw, str) or not raw:
        raise RecipeError(f"{where}: wants a folder or a hub id, not {str(raw)[:80]!r}")
    if Path(raw).is_dir():
        return raw, None
    name, _, revision = raw.partition("@")
    return name, revision or None


def _range(raw: Any, where: str) -> tuple[int, int]:
    ends = raw if isinstance(raw, list) else []
    if len(ends) != 2 or not all(type(end) is int for end in ends) or not 0 <= ends[0] < ends[1] <= 100_000:
        raise RecipeError(f"{where}: wants [first, one past the last], not {str(raw)[:80]}")
    return ends[0], ends[1]


def _dtype(data: Mapping[str, Any], where: str) -> str | None:
    found = []
    for key in ("out_dtype", "dtype"):
        name = data.get(key)
        if name is not None:
            if not isinstance(name, str) or name.removeprefix("torch.") not in DTYPES:
                raise RecipeError(f"{where}: {key}: {str(name)[:40]!r} is none of {', '.join(DTYPES)}")
            found.append(DTYPES[name.removeprefix("torch.")])
    return found[0] if found else None


def _tokenizer(data: Mapping[str, Any], where: str) -> TokenizerChoice | None:
    if data.get("tokenizer_source") and data.get("tokenizer"):
        raise RecipeError(f"{where}: tokenizer: and tokenizer_source: exclude one another")
    if data.get("tokenizer_source"):
        return TokenizerChoice(_token_source(data["tokenizer_source"], f"{where}: tokenizer_source"))
    if data.get("tokenizer") is None:
        return None
    here = f"{where}: tokenizer"
    inner = _mapping(data["tokenizer"], here, ["source", "tokens", "pad_to_multiple_of"])
    pad = inner.get("pad_to_multiple_of")
    if pad is not None and (type(pad) is not int or not 1 <= pad <= 2**20):
        raise RecipeError(f"{here}.pad_to_multiple_of: wants a whole number, not {str(pad)[:40]!r}")
    rules = {
        str(token): _rule(rule, f"{here}.tokens[{str(token)[:40]!r}]")
        for token, rule in _mapping(inner.get("tokens"), f"{here}.tokens").items()
    }
    return TokenizerChoice(_token_source(inner.get("source") or "union", f"{here}.source"), rules, pad)


def _token_source(raw: Any, where: str) -> str | ModelRef:
    return raw if raw in ("union", "base") else _model(raw, where)


def _rule(raw: Any, where: str) -> TokenRule:
    data = _mapping(raw, where, ["source", "force"])
    source, force = data.get("source"), data.get("force", False)
    if not isinstance(force, bool):
        raise RecipeError(f"{where}.force: wants true or false")
    if isinstance(source, dict) and "kind" in source:
        kind = _mapping(source, f"{where}.source", ["kind", "model", "token", "token_id"])
        if kind["kind"] == "zero":
            return TokenRule(None, None, force)
        token = kind.get("token_id") if kind.get("token") is None else kind["token"]
        if kind["kind"] != "model_token" or not isinstance(token, str | int):
            raise RecipeError(f"{where}.source: wants kind zero, or model_token with model and token or token_id")
        return TokenRule(_model(kind.get("model"), f"{where}.source.model"), token, force)
    return TokenRule(_model(source, f"{where}.source"), None, force)


def _text(data: Mapping[str, Any], key: str, where: str) -> str | None:
    text = data.get(key)
    if text is not None and not isinstance(text, str):
        raise RecipeError(f"{where}: {key}: wants text")
    return text or None


def _mapping(raw: Any, where: str, keys: list[str] | None = None) -> dict[str, Any]:
    if raw is None:
        return {}
    if not isinstance(raw, dict):
        raise RecipeError(f"{where}: wants keys and values, not {str(raw)[:80]!r}")
    for key in raw:
        if not isinstance(key, str) or (keys is not None and key not in keys):
            raise RecipeError(f"{where}: unknown key {str(key)[:80]!r}{_nearest(str(key), keys or ())}")
    return dict(raw)


def _list(raw: Any, where: str) -> list[Any]:
    if not isinstance(raw, list) or not 0 < len(raw) <= MAX_SOURCES:
        raise RecipeError(f"{where}: wants a list of up to {MAX_SOURCES} entries")
    return raw


def _nearest(name: str, known: Any) -> str:
    close = difflib.get_close_matches(name, sorted(known), 1)
    return f"; did you mean {close[0]}?" if close else (f"; there are {', '.join(sorted(known))}" if known else "")


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
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        for key in keys:
            if isinstance(key, str) and keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} occurs twice", node.start_mark)
        return dict(super().construct_mapping(node, deep))
