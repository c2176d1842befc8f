"""Jobs' requests: which pipeline, checked, and without files that a client may not have the server use."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from orchestrator.collegium import Collegium
from orchestrator.config import explain
from orchestrator.errors import BadInput
from orchestrator.evaluation.tasks.load import names as task_names
from orchestrator.extensions import is_code
from orchestrator.pipelines.registry import Pipeline, named
from orchestrator.service.references import FIELDS, is_reference

LONGEST_TEXT = 10_000
AGENTS = ("arms", "teacher")
"""Fields that name agents of transcripts, as in teacher:NAME."""


def parse(name: str, given: Mapping[str, Any], collegium: Collegium) -> tuple[Pipeline, BaseModel]:
    """The pipeline and its checked request. Raises `BadInput` for what is unknown, or names a file that a client may
    not have the server use."""
    pipeline, _ = named(name)
    for field, value in given.items():
        if field not in (*pipeline.texts, *AGENTS):
            _refuse_code(f"request.{field}", value, collegium)
    if not collegium.config.service.paths:
        _refuse_paths(pipeline, given, collegium)
    try:
        return pipeline, pipeline.request.model_validate(dict(given))
    except ValidationError as error:
        raise BadInput(f"request: {explain(error, pipeline.request)}") from error


def _refuse_paths(pipeline: Pipeline, given: Mapping[str, Any], collegium: Collegium) -> None:
    for field in (*pipeline.paths, *pipeline.writes):
        if given.get(field) is not None and not (field in FIELDS and is_reference(given[field])):
            instead = "; give the id of a file that was uploaded to /v1/files, or of a job" if field in FIELDS else ""
            raise BadInput(f"request.{field}: this service does not let clients name files (service.paths){instead}")
    for field in ("task", "other_task"):
        tasks = given.get(field)
        if (
            isinstance(tasks, str)
            and not is_reference(tasks)
            and any(part.strip() not in task_names() for part in tasks.split(","))
        ):
            known = ", ".join(task_names())
            instead = "upload yours to /v1/files and give its id"
            raise BadInput(f"request.{field}: this service knows the tasks {known}; {instead} (service.paths)")
    for field, value in given.items():
        if field not in pipeline.texts:
            _look(f"request.{field}", value, collegium)


def _refuse_code(where: str, value: Any, collegium: Collegium) -> None:
    """Refuses names of code, which only this machine's owner may have imported, wherever they stand."""
    if isinstance(value, str):
        parts = {value, *(part.strip() for part in value.split(","))} - set(collegium.experts)
        if any(is_code(part) and not part.startswith("hf:") for part in parts):
            raise BadInput(f"{where}: this service does not let clients name code (module:attribute)")
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            _refuse_code(f"{where}.{str(key)[:80]}", inner, collegium)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            _refuse_code(where, inner, collegium)


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
