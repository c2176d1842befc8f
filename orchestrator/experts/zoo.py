"""From a configuration to checked experts: every file is looked at, nothing is loaded.

What is checked: the checkpoint's header and size, an adapter's shapes against its base, a chat template, the recipe's
sources against one another. What is not: whether the weights are any good (`collegium experts check` asks the model).
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from merging.adapter import Adapter
from merging.checkpoint import Checkpoint, CheckpointError
from merging.decoded import decoded
from merging.stream import compare
from orchestrator.config import Config, ExpertConfig, RecipeConfig
from orchestrator.errors import ExpertError
from orchestrator.experts.context import default_context
from orchestrator.experts.demo import locate
from orchestrator.experts.file_hashes import FileHashes
from orchestrator.experts.generation_defaults import check_ends, sampling_defaults
from orchestrator.experts.hub import is_hub_id, misplaced, snapshot
from orchestrator.inference.engines.architecture import check_config, check_folder, check_generates, forward_config
from orchestrator.inference.engines.chat_template import TemplateError, compile_template
from orchestrator.inference.engines.stored_template import stored_templates, template_text
from orchestrator.inference.engines.tokenizer_files import check_tokenizer, mapping_digest, tokenizer_files
from orchestrator.inference.expert import (
    Expert,
    ExpertRecipe,
    Prices,
    RemoteModel,
    Weights,
)
from orchestrator.providers import known_model

_log = logging.getLogger("collegium")
SCRIPT_CONTEXT = 2048
UNKNOWN_CONTEXT = 2**20
CONFIG_FILES = (
    "config.json",
    "adapter_config.json",
    "generation_config.json",
    "chat_template.jinja",
    "chat_template.json",
)


def resolve(config: Config, *, asked: bool = True) -> dict[str, Expert]:
    """Check every expert of the configuration, in its order. Raises `ExpertError` naming the expert and the file.

    `asked`: False where only weights are read, so that none needs a chat template.
    """
    hashes = FileHashes(Path(config.state).expanduser() / "file_hashes.json")
    opened: dict[Path, Checkpoint] = {}
    found = {}
    for name, expert in config.experts.items():
        try:
            found[name] = _Resolved(name, expert, opened)
        except (CheckpointError, ExpertError, OSError) as error:
            raise ExpertError(f"expert {name!r}: {error}") from error
    hashes.prepare(file for one in found.values() for file in one.files)
    experts = {}
    for name, one in found.items():
        try:
            experts[name] = one.expert(hashes, config.workers.kv_gib, asked)
        except (CheckpointError, ExpertError, OSError) as error:
            raise ExpertError(f"expert {name!r}: {error}") from error
    hashes.save()
    for expert_found in experts.values():
        if missing := missing_variable(expert_found):
            _log.warning("expert %r is unavailable: the environment variable %s is not set", expert_found.name, missing)
    return experts


def missing_variable(expert: Expert) -> str | None:
    """The environment variable that a remote expert needs and that is not set: it cannot be asked, and the others
    can."""
    if expert.remote is None:
        return None
    named = [expert.remote.api_key_env] if expert.remote.api_key_env else []
    named += [value[1:] for _, value in expert.remote.headers if value.startswith("$")]
    return next((name for name in named if not os.environ.get(name, "").strip()), None)


class _Resolved:
    """One expert whose files were opened, and not yet hashed."""

    def __init__(self, name: str, config: ExpertConfig, opened: dict[Path, Checkpoint]) -> None:
        self.name, self.config, self.opened = name, config, opened
        self.recipe: ExpertRecipe | None = None
        self.sources: tuple[Weights, ...] = ()
        if config.url or config.script:
            return
        if config.recipe:
            self.recipe = _recipe(config.recipe, opened)
            self.sources = (*self.recipe.sources, *((self.recipe.base,) if self.recipe.base else ()))
        else:
            self.sources = (_weights(config, opened),)
        first = (self.recipe.base or self.recipe.sources[0]) if self.recipe else self.sources[0]
        self.base = opened[first.model]

    @property
    def files(self) -> list[Path]:
        return [file for source in self.sources for file in _files_of(source)]

    def expert(self, hashes: FileHashes, kv_gib: float | None, asked: bool = True) -> Expert:
        config = self.config
        prices = Prices(**config.prices.model_dump()) if config.prices else None
        if config.url:
            remote = _remote(config)
            known = known_model(remote.url, remote.model)
            if prices is None and known.input is not None and known.output is not None:
                prices = Prices(known.input, known.cached, known.output)
            return Expert(
                self.name,
                _remote_identity(remote),
                "remote",
                remote=remote,
                context=config.context or known.context or UNKNOWN_CONTEXT,
                prices=prices,
                longest_reply=known.reply,
            )
        if config.script:
            context = config.context or SCRIPT_CONTEXT
            identity: Any = _digest(config.script)
            return Expert(self.name, identity, "script", script=config.script, context=context, prices=prices)
        template = template_text(Path(config.chat_template)) if config.chat_template else None
        if asked:
            check_generates(self.base)
            if not config.trust_remote_code:
                check_tokenizer(self.base.folder)
            _check_template(self.base.folder, template)
        if config.reasoning_tokens and self.base.config.get("model_type") == "gpt_oss":
            raise ExpertError("reasoning_tokens: gpt-oss speaks in channels, which no mark closes; leave it out")
        context = default_context(self.base.config, config.context, kv_gib)
        own = _own_settings(config)
        identity = [[hashes(file) for file in _files_of(source)] for source in self.sources]
        if recipe := self.recipe:
            settings = [recipe.parameters, recipe.each, recipe.seed] if recipe.parameters or any(recipe.each) else []
            identity = [recipe.method, recipe.coefficients, *settings, identity]
        return Expert(
            self.name,
            _digest([identity, template, context, *([own] if own else [])]),
            _shape(self.base, hashes, config),
            weights=None if recipe else self.sources[0],
            recipe=recipe,
            chat_template=template,
            context=context,
            file_bytes=sum(_bytes(source, self.opened) for source in self.sources),
            dtype=config.dtype,
            quantization=config.quantization,
            defaults=sampling_defaults(self.base.folder, config),
            system=config.system,
            template_variables=json.dumps(config.chat_template_kwargs, sort_keys=True)
            if config.chat_template_kwargs
            else None,
            stop=tuple(config.stop),
            reasoning_tokens=config.reasoning_tokens,
            trust_remote_code=config.trust_remote_code,
            prices=prices,
        )


def _remote(config: ExpertConfig) -> RemoteModel:
    return RemoteModel(
        config.url or "",
        config.model or "",
        config.api_key_env,
        config.concurrency,
        config.timeout,
        config.tries,
        tuple(sorted(config.headers.items())),
        config.extra_body,
        tuple(config.leave_out),
        config.max_completion_tokens,
    )


def _remote_identity(remote: RemoteModel) -> str:
    """What decides its answers. Settings that an old ledger does not know leave its keys as they are."""
    identity: dict[str, Any] = {
        "url": remote.url,
        "model": remote.model,
        "api_key_env": remote.api_key_env,
        "concurrency": 8,
    }
    further = {"extra_body": remote.extra_body, "leave_out": sorted(remote.leave_out)}
    return _digest(identity | {name: value for name, value in further.items() if value})


def _own_settings(config: ExpertConfig) -> dict[str, Any]:
    """What of the configuration changes the replies, apart from the weights; empty: nothing."""
    plain = ExpertConfig(model="x")
    names = ("dtype", "quantization", "system", "chat_template_kwargs", "stop", "reasoning_tokens", "trust_remote_code")
    return {name: getattr(config, name) for name in names if getattr(config, name) != getattr(plain, name)}


def _check_template(folder: Path, template: str | None) -> None:
    if template is None:
        template = stored_templates(folder).get("default")
    if template is None:
        raise ExpertError(f"{folder}: no chat template; give one with `chat_template:`")
    try:
        compile_template(template)
    except TemplateError as error:
        raise ExpertError(f"{folder}: {error}") from error


def _folder(name: str, revision: str | None, code: bool = False) -> Path:
    if name.startswith("demo/"):
        return locate(name)
    return snapshot(name, revision, code) if is_hub_id(name) else Path(name)


def _opened(folder: Path, opened: dict[Path, Checkpoint]) -> Path:
    if folder not in opened:
        check_folder(folder)
        if hint := misplaced(folder):
            raise ExpertError(f"{folder}: {hint}")
        checkpoint = Checkpoint(folder)
        check_config(checkpoint)
        check_ends(folder)
        opened[folder] = checkpoint
    return folder


def _weights(config: Any, opened: dict[Path, Checkpoint]) -> Weights:
    """Open and check a checkpoint, and its adapter against it. `config`: of an expert or a recipe's source."""
    code = getattr(config, "trust_remote_code", False)
    folder = _opened(_folder(config.model or "", getattr(config, "revision", None), code), opened)
    if config.adapter is None:
        return Weights(folder)
    adapter = _folder(config.adapter, getattr(config, "adapter_revision", None))
    if named := Adapter(adapter, decoded(opened[folder])).other_base(config.model, folder):
        _log.warning(
            "%s was trained over %s, as its adapter_config.json says, not over %s", adapter, named, config.model
        )
    return Weights(folder, adapter)


def _recipe(config: RecipeConfig, opened: dict[Path, Checkpoint]) -> ExpertRecipe:
    sources = tuple(_weights(source, opened) for source in config.sources)
    base = Weights(_opened(_folder(config.base, None), opened)) if config.base else None
    first = (base or sources[0]).model
    for source in sources:
        if source.model != first:
            compare(opened[first], opened[source.model])
    return ExpertRecipe(
        config.method,
        sources,
        tuple(source.weight for source in config.sources),
        base,
        config.parameters,
        tuple(source.parameters for source in config.sources),
        config.seed,
    )


def _bytes(source: Weights, opened: Mapping[Path, Checkpoint]) -> int:
    adapter = (source.adapter / "adapter_model.safetensors").stat().st_size if source.adapter else 0
    return opened[source.model].bytes + adapter


# Identity ---------------------------------------------------------------------------------------------------


def _files_of(weights: Weights) -> list[Path]:
    """All files that decide the expert's answers, and thus its fingerprint."""
    folders = [weights.model, *([weights.adapter] if weights.adapter else [])]
    return [file for folder in folders for file in _files(folder)]


def _files(folder: Path) -> list[Path]:
    weights = sorted(folder.glob("*.safetensors"))
    named = [folder / name for name in CONFIG_FILES if (folder / name).exists()]
    more = [*tokenizer_files(folder), *sorted((folder / "additional_chat_templates").glob("*.jinja"))]
    return [*weights, *named, *more]


def _shape(checkpoint: Checkpoint, hashes: FileHashes, config: ExpertConfig) -> str:
    """Equal for checkpoints that one engine can serve: what the forward pass depends on, tensors, tokenizer."""
    tensors = sorted((info.name, info.dtype, info.shape) for info in checkpoint.tensors.values())
    mapping = hashes.derived("mapping", checkpoint.folder, tokenizer_files(checkpoint.folder), mapping_digest)
    own = [config.dtype, config.quantization, config.trust_remote_code]
    return _digest([forward_config(checkpoint.config), tensors, mapping, *(own if any(own) else [])])[:16]


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()
