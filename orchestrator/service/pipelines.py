"""The pipelines that can be jobs: a request model, and what to do with it. To add one, add a line to `PIPELINES`."""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from orchestrator.collegium import Collegium
from orchestrator.config import explain
from orchestrator.errors import BadInput
from orchestrator.evaluation.tasks.load import names as task_names
from orchestrator.run_folder import RunFolder

OnStored = Callable[[], None]
LONGEST_TEXT = 10_000


@dataclass(frozen=True)
class Pipeline:
    """One pipeline. `source` is its request's model as `module:name`, imported when it is needed."""

    name: str
    source: str
    run: Callable[[Collegium, Any, RunFolder, OnStored], Awaitable[None]]
    """Fills the folder, `results.json` among other files."""
    folder: str = ""
    """How run folders are called; default: as the pipeline."""
    paths: tuple[str, ...] = ()
    """Fields that name a file to write or read."""

    @property
    def model(self) -> type[BaseModel]:
        module, _, name = self.source.partition(":")
        found: type[BaseModel] = getattr(importlib.import_module(module), name)
        return found


async def _profile(collegium: Collegium, request: Any, folder: RunFolder, done: OnStored) -> None:
    from orchestrator.pipelines.results import store_profile

    store_profile(folder, await collegium.aprofile(request, done=done))


async def _answer(collegium: Collegium, request: Any, folder: RunFolder, done: OnStored) -> None:
    from orchestrator.pipelines.results import store

    store(folder, await collegium.arun(request, done=done))


async def _glue(collegium: Collegium, request: Any, folder: RunFolder, done: OnStored) -> None:
    from orchestrator.pipelines.results import store_glue

    store_glue(folder, await collegium.aglue(request, done=done))


async def _generate(collegium: Collegium, request: Any, folder: RunFolder, done: OnStored) -> None:
    found = await collegium.agenerate(request, done=done)
    folder.write("results.json", json.dumps({**asdict(found), "path": found.path.name}))
    folder.finish()


async def _distill(collegium: Collegium, request: Any, folder: RunFolder, done: OnStored) -> None:
    result = await collegium.adistil(request, done=done)
    folder.write("results.json", result.report.model_dump_json(indent=2))
    folder.finish()


PIPELINES: Mapping[str, Pipeline] = {
    pipeline.name: pipeline
    for pipeline in (
        Pipeline("profile", "orchestrator.evaluation.profile:ProfileRequest", _profile, paths=("out",)),
        Pipeline(
            "answer", "orchestrator.evaluation.answer:AnswerRequest", _answer, folder="run", paths=("convincing",)
        ),
        Pipeline("glue", "orchestrator.pipelines.glue:GlueRequest", _glue, paths=("out",)),
        Pipeline("distill-generate", "orchestrator.pipelines.distill_generate:GenerateRequest", _generate),
        Pipeline("distill", "orchestrator.pipelines.distill:DistillRequest", _distill, paths=("transcripts",)),
    )
}


def parse(name: str, given: Mapping[str, Any], collegium: Collegium) -> tuple[Pipeline, BaseModel]:
    """The pipeline and its checked request. Raises `BadInput` for what is unknown, or names a file that a client may
    not have the server use."""
    pipeline = PIPELINES.get(name)
    if pipeline is None:
        raise BadInput(f"pipeline: no pipeline {name[:100]!r}; there are {', '.join(PIPELINES)}")
    if not collegium.config.service.paths:
        _refuse_paths(pipeline, given, collegium)
    try:
        return pipeline, pipeline.model.model_validate(dict(given))
    except ValidationError as error:
        raise BadInput(f"request: {explain(error, pipeline.model)}") from error


def _refuse_paths(pipeline: Pipeline, given: Mapping[str, Any], collegium: Collegium) -> None:
    for field in pipeline.paths:
        if given.get(field) is not None:
            raise BadInput(f"request.{field}: this service does not let clients name files (service.paths)")
    for field in ("task", "other_task"):
        tasks = given.get(field)
        if isinstance(tasks, str) and any(part.strip() not in task_names() for part in tasks.split(",")):
            known = ", ".join(task_names())
            raise BadInput(f"request.{field}: this service knows the tasks {known}, and no files (service.paths)")
    for field, value in given.items():
        _look(f"request.{field}", value, collegium)


def _look(where: str, value: Any, collegium: Collegium) -> None:
    """Refuses texts that could be a path or a URL, wherever they stand; names of experts may look as they like."""
    if isinstance(value, str):
        if len(value) > LONGEST_TEXT:
            raise BadInput(f"{where}: longer than {LONGEST_TEXT} characters")
        looks_like_a_path = any(mark in value for mark in ("/", "\\", "..", "\0")) or value.startswith(("~", "."))
        harmless = value in collegium.experts or (value.startswith("demo/") and ".." not in value)
        if not harmless and (looks_like_a_path or os.path.lexists(value)):
            raise BadInput(f"{where}: this service does not let clients name files or URLs (service.paths)")
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            _look(f"{where}.{str(key)[:80]}", inner, collegium)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            _look(where, inner, collegium)
