"""Writes the generated pages: `python docs/reference.py`. A test sees to it that they are up to date.

docs/configuration.md from the configuration's models, docs/pipelines.md from the pipelines' request models,
docs/sdk.md from the docstrings of `Collegium` and its remote twin.
"""

from __future__ import annotations

import inspect
import re
import sys
import types
import typing
from pathlib import Path

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

HERE = Path(__file__).parent


def type_of(annotation: object) -> str:
    """An annotation as a reader wants it."""
    if annotation is type(None):
        return "null"
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union:
        return " or ".join(type_of(inner) for inner in typing.get_args(annotation))
    if typing.get_origin(annotation) is typing.Literal:
        return ", ".join(str(value) for value in typing.get_args(annotation))
    if typing.get_origin(annotation) is typing.Annotated:
        return type_of(typing.get_args(annotation)[0])
    arguments = typing.get_args(annotation)
    name = getattr(annotation, "__name__", str(annotation)).removesuffix("Config")
    words = {"str": "text", "bool": "true, false", "int": "integer", "float": "number", "list": "list", "dict": "map"}
    if not arguments:
        return words.get(name, name)
    return f"{words.get(name, name)} of {' -> '.join(type_of(inner) for inner in arguments)}"


def table(model: type[BaseModel]) -> list[str]:
    """A model's keys as a Markdown table."""
    lines = ["| key | type | default | |", "| --- | --- | --- | --- |"]
    for name, field in model.model_fields.items():
        default = field.get_default(call_default_factory=True)
        if default is PydanticUndefined:
            told = "required"
        elif isinstance(default, BaseModel) or default in (None, [], {}, ()):
            told = ""
        else:
            told = f"`{','.join(map(str, default)) if isinstance(default, list) else default}`"
        text = (field.description or "").replace("|", "\\|").replace("\n", " ")
        lines.append(f"| `{name}` | {type_of(field.annotation).replace('|', ',')} | {told} | {text} |")
    return lines


def configuration() -> str:
    from orchestrator import config

    lines = [
        "# Configuration",
        "",
        "One YAML file; unknown keys are refused. Any key can be set on the command line: `--set workers.count=2`.",
        "Relative paths are relative to the file. Generated from the models in orchestrator/config.py.",
    ]
    models = (
        ("Top level", config.Config),
        ("experts.NAME", config.ExpertConfig),
        ("experts.NAME.recipe", config.RecipeConfig),
        ("experts.NAME.recipe.sources", config.SourceConfig),
        ("workers", config.WorkersConfig),
        ("service", config.ServiceConfig),
    )
    for title, model in models:
        lines += ["", f"## {title}", "", " ".join((model.__doc__ or "").split()), "", *table(model)]
    return "\n".join(lines) + "\n"


def pipelines() -> str:
    from orchestrator.service.pipelines import PIPELINES

    lines = [
        "# Pipelines",
        "",
        "What each takes: as `request` of a job, as arguments of the SDK's method, as flags of its command.",
        "Generated from the pipelines' request models.",
    ]
    for name, pipeline in PIPELINES.items():
        model = pipeline.model
        lines += ["", f"## {name}", "", " ".join((model.__doc__ or "").split()), "", *table(model)]
    return "\n".join(lines) + "\n"


def sdk() -> str:
    from orchestrator.client import RemoteCollegium
    from orchestrator.collegium import Collegium

    lines = ["# Python", "", "Generated from the docstrings. Methods that begin with `a` are awaited."]
    for title, kind in (("Collegium", Collegium), ("Collegium.connect(url, key)", RemoteCollegium)):
        lines += ["", f"## {title}", "", inspect.getdoc(kind) or ""]
        for name, member in vars(kind).items():
            found = member.__func__ if isinstance(member, staticmethod) else member
            if name.startswith("_") or not (callable(found) or isinstance(found, property)):
                continue
            signature = "" if isinstance(found, property) else str(inspect.signature(found)).replace("'", "")
            signature = re.sub(r"<function [^>]*<lambda> at 0x[0-9a-f]+>", "...", signature)
            lines += ["", f"### {name}", "", "```", f"{name}{signature}", "```", "", inspect.getdoc(found) or ""]
    return "\n".join(lines) + "\n"


PAGES = {"configuration.md": configuration, "pipelines.md": pipelines, "sdk.md": sdk}


def main() -> int:
    for name, page in PAGES.items():
        (HERE / name).write_text(page(), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
