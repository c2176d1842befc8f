"""The configuration: one YAML file -> frozen pydantic models. Every key is documented here and nowhere else.

Hostile files are refused early: at most 1 MiB, no YAML aliases, no duplicate keys, no unknown keys (the error names
file, key path and the nearest valid name). Secrets never stand in it; it names environment variables.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, ValidationError, field_validator, model_validator

from orchestrator.config_errors import explain, printable
from orchestrator.errors import ConfigError
from orchestrator.expert_config import HUB_ID, ExpertConfig, PricesConfig, RecipeConfig, SourceConfig, StrictModel
from orchestrator.extensions import is_code
from orchestrator.fusion_config import FusionConfig, unknown_member
from orchestrator.old_names import moved_up, renamed

__all__ = [
    "DEMO_ZOOS",
    "ENGINES",
    "Config",
    "ExpertConfig",
    "PricesConfig",
    "RecipeConfig",
    "ServiceConfig",
    "SourceConfig",
    "StrictModel",
    "WorkersConfig",
    "demo_zoo",
    "explain",
    "read",
    "read_yaml",
    "validate",
]

MAX_BYTES = 2**20
ENGINES = ("auto", "vllm", "transformers", "scripted")
DEMO_ZOOS = {"demo": "v1", "demo2": "v2"}
"""Zoos that come with the package, by the name that a configuration has for them, and their folders."""


class WorkersConfig(StrictModel):
    """The workers and their devices."""

    count: int = Field(default=1, ge=1, le=1024, description="Number of workers, one engine each.")
    engine: str = Field(
        default="auto",
        description="vllm, transformers, scripted, or auto (vLLM where it is installed, else transformers); your own: "
        "an entry point in the group collegium.engines, or module:attribute.",
    )
    cpus: float | None = Field(default=None, gt=0, description="CPU cores per worker; default: an equal share.")
    gpus: float | None = Field(default=None, ge=0, description="GPUs per worker, fractions allowed; default: 1 if any.")
    resources: dict[str, float] = Field(default_factory=dict, description="Further Ray resources per worker.")
    tensor_parallel: int = Field(default=1, ge=1, description="GPUs over which vLLM splits one model.")
    experts: list[str] = Field(
        default_factory=list, description="Experts that these workers take; default: all that no other group takes."
    )
    vllm: dict[str, Any] = Field(
        default_factory=dict,
        description="Any further argument of vLLM's engine, by its own name: gpu_memory_utilization, load_format, ...",
    )
    side_by_side: bool = Field(
        default=False, description="vLLM: adapters over one base answer in one batch, without swaps. For GPUs."
    )
    groups: list[WorkersConfig] = Field(
        default_factory=list,
        description="Further groups of other workers. `workers` may as well be a list of groups, whose first one also "
        "says address, turn, max_crashes and retry_seconds.",
    )
    address: str | None = Field(default=None, description="Ray cluster to join; default: a local one, on demand.")
    batch: int | None = Field(default=None, ge=1, description="Maximum requests at once (default: the engine's).")
    kv_gib: float | None = Field(default=None, gt=0, description="Memory for the KV cache of one engine, GiB.")
    host_gib: float = Field(
        default=0.0,
        ge=0,
        description="For GPUs: memory for weight files that were read ahead (pinned), GiB per worker.",
    )
    compile: bool = Field(
        default=False,
        description="vLLM on a CPU: about a minute more to start, about a quarter more tokens per second.",
    )
    in_process: bool = Field(default=False, description="No Ray: one worker on a thread of this process.")
    pin: list[str] = Field(default_factory=list, description="Experts that each keep a worker of their own.")
    turn: float | None = Field(
        default=None,
        gt=0,
        description="Seconds after which a worker leaves an expert that always has work for an older chat, or chats "
        "for older batch work; default: never, a service 5.",
    )
    max_crashes: int | None = Field(
        default=None,
        ge=1,
        description="Workers in a row that may crash on one expert before it is disabled; default: 2, in a service 5.",
    )
    retry_seconds: float | None = Field(
        default=None,
        gt=0,
        description="Seconds before a failed expert or worker is retried; default: never, in a service 60.",
    )

    @model_validator(mode="before")
    @classmethod
    def _old_names(cls, data: Any) -> Any:
        return renamed(data, "workers", {"deaths": "max_crashes", "again": "retry_seconds"})

    @field_validator("engine")
    @classmethod
    def _known_engine(cls, name: str) -> str:
        if name not in ENGINES and not is_code(name) and not entry_points(group="collegium.engines", name=name):
            raise ValueError(f"no engine {name!r}; there are {', '.join(ENGINES)}, and those of installed packages")
        return name


class ServiceConfig(StrictModel):
    """The REST service (`collegium serve`)."""

    host: str = Field(default="127.0.0.1", description="Address to listen on; beyond loopback only with keys.")
    port: int = Field(default=8000, ge=0, le=65535, description="Port to listen on; 0: any free one.")
    keys: str | None = Field(default=None, description="File of hashed API keys; default: keys.json in the state.")
    max_wait: float = Field(default=30.0, gt=0, description="Maximum estimated wait, seconds; beyond it 429.")
    queue: int = Field(default=1024, ge=1, description="Maximum chats at once, waiting or generating; beyond it 429.")
    turn: float = Field(default=5.0, gt=0, description="Used when workers.turn is not set.")
    preload: list[str] = Field(default_factory=list, description="Experts loaded before the service is ready.")
    profile: str | None = Field(
        default=None, description="Correctness table that routers are fitted on; default: the last profile job's."
    )
    router: str = Field(
        default="mixture",
        description="Router of mixture and of /v1/route, as in `collegium route`; refitted in the background.",
    )
    default: str | None = Field(
        default=None,
        description="Expert for questions unlike all of the profile's (default: the best one over the profile; "
        "where that is an adapter or a merge, the expert that it was made from).",
    )
    hedge_seconds: float = Field(
        default=5.0, gt=0, description="Seconds of silence after which mixture also asks its next expert."
    )
    fallbacks: int = Field(
        default=4, ge=0, le=64, description="Further experts that mixture asks for a chat when experts fail."
    )
    reply_seconds: float = Field(
        default=60.0, gt=0, description="Maximum seconds for a remote expert's reply where several are asked."
    )
    recruit: int = Field(
        default=1, ge=1, description="Experts that mixture asks per chat, where a request does not say."
    )
    calls: float | None = Field(
        default=None,
        ge=1,
        le=64,
        description="Mean experts that mixture asks by need, instead of recruit.",
    )
    spend: float | None = Field(
        default=None,
        gt=0,
        allow_inf_nan=False,
        description="Mean cost per question of mixture, by need, in the unit of the profile's costs, for recruit.",
    )
    body_mib: float = Field(default=4.0, gt=0, description="Largest request body, MiB.")
    file_mib: float = Field(default=100.0, gt=0, description="Largest uploaded file, such as a batch's requests, MiB.")
    body_seconds: float = Field(default=20.0, gt=0, description="Maximum seconds for a request body to arrive.")
    head_seconds: float = Field(
        default=10.0, gt=0, description="Maximum seconds for a request's headers to arrive (not on Ray Serve)."
    )
    send_seconds: float = Field(
        default=60.0,
        gt=0,
        description="Maximum seconds for which a client may not read its response before it is cut off (not "
        "on Ray Serve).",
    )
    cors: list[str] = Field(
        default_factory=list, description="Origins of web pages that may use the service, such as https://chat.example."
    )
    strict: bool = Field(
        default=False, description="Refuse request fields without meaning here instead of ignoring and naming them."
    )
    paths: bool = Field(default=False, description="Whether jobs may name files and datasets for the server to use.")
    jobs: int = Field(default=2, ge=1, description="Maximum jobs at once; further ones wait.")
    drain_seconds: float = Field(default=30.0, gt=0, description="Seconds after SIGTERM for running chats to end.")
    log: Literal["json", "text", "none"] = Field(default="json", description="Format of the request log on stderr.")
    replicas: int = Field(default=1, ge=1, le=256, description="On Ray Serve: processes that answer HTTP.")
    scheduler: str = Field(default="collegium-scheduler", description="On Ray Serve: name of the scheduler's actor.")
    tracing: bool = Field(default=False, description="OpenTelemetry spans; exporter by the OTEL_* variables.")

    @model_validator(mode="after")
    def _one_measure(self) -> ServiceConfig:
        if self.calls is not None and self.spend is not None:
            raise ValueError("spend: give either calls or spend, not both")
        return self


class BudgetConfig(StrictModel):
    """What one run or job may spend. Replies from the ledger cost nothing."""

    tokens: int | None = Field(default=None, ge=1, description="Tokens of prompts and replies; default: no limit.")
    dollars: float | None = Field(
        default=None, gt=0, allow_inf_nan=False, description="US dollars; every remote expert needs `prices` then."
    )


class Config(StrictModel):
    """A configuration. Relative paths are relative to its file."""

    zoo: str | None = Field(
        default=None, description="Another YAML whose `experts` are added; demo or demo2: a demo zoo."
    )
    experts: dict[str, ExpertConfig] = Field(default_factory=dict, description="The zoo: name -> expert.")
    workers: WorkersConfig = Field(default_factory=WorkersConfig)
    service: ServiceConfig = Field(default_factory=ServiceConfig)
    budget: BudgetConfig = Field(default_factory=BudgetConfig)
    state: str = Field(default="~/.local/state/collegium", description="Folder of the ledger; shared by all runs.")
    database: str | None = Field(
        default=None,
        description="PostgreSQL URL for the ledger, jobs, batches, files, responses, keys and feedback; several "
        "services may share it. Default: files in the state. No password in it: PGPASSWORD or ~/.pgpass.",
    )
    runs: str = Field(default="runs", description="Folder in which run folders are made.")
    embedding: str = Field(default="all-MiniLM-L6-v2", description="sentence-transformers model of the routers.")
    discussions: dict[str, str] = Field(
        default_factory=dict, description="Discussions of your own: method name -> module:function."
    )
    metrics: dict[str, str] = Field(default_factory=dict, description="Metrics of your own: name -> module:attribute.")
    fusions: dict[str, FusionConfig] = Field(
        default_factory=dict, description="Fusions of your own: model id -> panel, judge, synthesisers."
    )
    seed: int = Field(default=0, ge=0, description="Seed of task questions, sampling and bootstrap.")

    @model_validator(mode="before")
    @classmethod
    def _moved(cls, data: Any) -> Any:
        """`service.database` of the last version."""
        return moved_up(data, "service", "database")

    @model_validator(mode="before")
    @classmethod
    def _grouped(cls, data: Any) -> Any:
        """`workers` as a list: the first group, with the others under `groups`."""
        workers = data.get("workers") if isinstance(data, dict) else None
        if not isinstance(workers, list):
            return data
        if not workers or not all(isinstance(group, dict) for group in workers):
            raise ValueError("workers: a mapping, or a list of them")
        return {**data, "workers": {**workers[0], "groups": workers[1:]}}

    @model_validator(mode="after")
    def _names(self) -> Config:
        for name in self.experts:
            if not name or len(name) > 128 or not all(c.isalnum() or c in "-_./:" for c in name):
                allowed = "letters, digits and - _ . / : only, at most 128"
                raise ValueError(f"experts.{printable(name)}: a name has {allowed}")
        return self


def read(path: Path, overrides: Iterable[str] = ()) -> Config:
    """Read a YAML file; `overrides` are dotted, `workers.count=2`. Raises `ConfigError`."""
    data = read_yaml(path)
    for override in overrides:
        _override(data, override)
    return validate(data, path)


def validate(data: Mapping[str, Any], path: Path) -> Config:
    """Check `data`, read from `path`; the zoo it names is read too, and paths become absolute. Raises `ConfigError`."""
    config = _checked(Config, data, path)
    experts = {name: _rooted(expert, path.parent) for name, expert in config.experts.items()}
    if config.zoo:
        zoo_path = demo_zoo(config.zoo) if config.zoo in DEMO_ZOOS else path.parent / config.zoo
        zoo = _checked(Config, read_yaml(zoo_path), zoo_path)
        both = sorted(set(experts) & set(zoo.experts))
        if both:
            raise ConfigError(f"{path}: experts.{both[0]}: also in the zoo {zoo_path}")
        experts = {name: _rooted(expert, zoo_path.parent) for name, expert in zoo.experts.items()} | experts
    if not experts:
        raise ConfigError(f"{path}: no experts: add `experts:` or `zoo:`")
    if wrong := unknown_member(config.fusions, experts):
        raise ConfigError(f"{path}: {wrong}")
    if config.service.default not in (None, *experts):
        raise ConfigError(f"{path}: service.default: no expert {config.service.default!r} among {', '.join(experts)}")
    return config.model_copy(update={"experts": experts, "zoo": None})


def demo_zoo(name: str = "demo") -> Path:
    """The file of a demo zoo (`DEMO_ZOOS`)."""
    return Path(__file__).parent / "experts" / "demo_zoo" / DEMO_ZOOS[name] / "zoo.yaml"


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML mapping from a bounded file. Raises `ConfigError`."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ConfigError(f"{path}: larger than {MAX_BYTES} bytes")
        data = yaml.load(path.read_text("utf-8"), Loader=_StrictLoader)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}") from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: a mapping was expected, not {type(data).__name__}")
    return data


class _StrictLoader(yaml.SafeLoader):  # type: ignore[misc]  # PyYAML has no types
    """Safe, and without aliases (which can grow without bound) or duplicate keys (of which one would vanish)."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.events.AliasEvent):
            event = self.peek_event()
            raise yaml.constructor.ConstructorError(None, None, "aliases are not allowed", event.start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} is not a string", key_node.start_mark)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"duplicate key {key!r}", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def _override(data: dict[str, Any], override: str) -> None:
    path, equals, value = override.partition("=")
    if not equals:
        raise ConfigError(f"override {override!r}: KEY=VALUE was expected, as in workers.count=2")
    *parents, last = path.split(".")
    for parent in parents:
        inner = data.setdefault(parent, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"override {override!r}: {parent} has no keys below it")
        data = inner
    try:
        data[last] = yaml.load(value, Loader=_StrictLoader)
    except yaml.YAMLError as error:
        raise ConfigError(f"override {override!r}: not valid YAML") from error


def _checked(model: type[Config], data: Mapping[str, Any], path: Path) -> Config:
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise ConfigError(f"{path}: {explain(error, model)}") from error


def _rooted(expert: ExpertConfig, folder: Path) -> ExpertConfig:
    """The expert with its paths made absolute. demo/NAME and a remote model's name stay."""

    def file(path: str) -> str:
        return os.path.normpath((folder / Path(path).expanduser()).absolute())

    def root(path: str | None) -> str | None:
        if path is None or path.startswith("demo/"):
            return path
        return path if HUB_ID.fullmatch(path) and not Path(file(path)).exists() else file(path)

    recipe = expert.recipe
    if recipe:
        sources = [
            source.model_copy(update={"model": root(source.model), "adapter": root(source.adapter)})
            for source in recipe.sources
        ]
        recipe = recipe.model_copy(update={"base": root(recipe.base), "sources": sources})
    return expert.model_copy(
        update={
            "model": expert.model if expert.url else root(expert.model),
            "adapter": root(expert.adapter),
            "recipe": recipe,
            "chat_template": file(expert.chat_template) if expert.chat_template else None,
        }
    )
