"""Writes the generated pages and sources: `python docs/reference.py`. A test sees to it that they are up to date.

orchestrator/options.py and orchestrator/methods.py, the typed face of the SDK, from the pipelines' records;
docs/configuration.md from the configuration's models, docs/pipelines.md from the pipelines' request models,
docs/sdk.md from the docstrings of `Collegium` and its remote twin.
"""

from __future__ import annotations

import inspect
import json
import re
import subprocess
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
    from orchestrator.pipelines.registry import PIPELINES

    lines = [
        "# Pipelines",
        "",
        "What each takes: as `request` of a job, as arguments of the SDK's method, as flags of its command.",
        "Generated from the pipelines' request models.",
    ]
    for name, pipeline in PIPELINES.items():
        model = pipeline.request
        call = f"`collegium {pipeline.command}`, `Collegium.{pipeline.method}`, the job `{name}`. "
        lines += ["", f"## {name}", "", call + " ".join((model.__doc__ or "").split()), "", *table(model)]
    return "\n".join(lines) + "\n"


def sdk() -> str:
    from orchestrator.client import RemoteCollegium
    from orchestrator.collegium import Collegium
    from orchestrator.methods import PipelineMethods

    lines = ["# Python", "", "Generated from the docstrings. Methods that begin with `a` are awaited."]
    kinds = (
        ("Collegium", Collegium),
        ("Collegium.connect(url, key)", RemoteCollegium),
        ("Pipelines, the same for both", PipelineMethods),
    )
    for title, kind in kinds:
        lines += ["", f"## {title}", "", inspect.getdoc(kind) or ""]
        for name, member in vars(kind).items():
            found = member.__func__ if isinstance(member, staticmethod) else member
            if name.startswith("_") or not (callable(found) or isinstance(found, property)):
                continue
            signature = "" if isinstance(found, property) else str(inspect.signature(found)).replace("'", "")
            signature = re.sub(r"<function .*? at 0x[0-9a-f]+>", "...", signature)
            lines += ["", f"### {name}", "", "```", f"{name}{signature}", "```", "", inspect.getdoc(found) or ""]
    return "\n".join(lines) + "\n"


SOURCE = """\"\"\"{what}

Generated by `python docs/reference.py` from the pipelines' records.
\"\"\"

from __future__ import annotations

{imports}
"""


def source_type(annotation: object) -> str:
    """An annotation as Python source, with `Any` and `Literal` of typing and builtins alone."""
    if annotation is type(None):
        return "None"
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union:
        return " | ".join(source_type(inner) for inner in typing.get_args(annotation))
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Literal:
        return "Literal[{}]".format(", ".join(json.dumps(value) for value in arguments))
    if annotation is typing.Any:
        return "Any"
    if not arguments:
        return str(getattr(annotation, "__name__", annotation))
    return "{}[{}]".format(getattr(origin, "__name__", origin), ", ".join(map(source_type, arguments)))


def options() -> str:
    """orchestrator/options.py."""
    from orchestrator.pipelines.registry import PIPELINES

    lines = [SOURCE.format(what="Every pipeline's options.", imports="from typing import Any, Literal, TypedDict")]
    for pipeline in PIPELINES.values():
        model = pipeline.request
        lines += [
            f"\nclass {options_name(model)}(TypedDict, total=False):",
            f'    """Fields of `{model.__name__}`, where they are described."""\n',
            *(f"    {name}: {source_type(field.annotation)}" for name, field in model.model_fields.items()),
            "",
        ]
    return formatted("\n".join(lines))


def options_name(model: type[BaseModel]) -> str:
    return model.__name__.removesuffix("Request") + "Options"


def methods() -> str:
    """orchestrator/methods.py."""
    from orchestrator.pipelines.registry import PIPELINES

    wanted: dict[str, set[str]] = {}
    for pipeline in PIPELINES.values():
        for at in (pipeline.request_at, pipeline.result_at):
            module, _, name = at.partition(":")
            wanted.setdefault(module, set()).add(name)
    wanted["orchestrator.options"] = {options_name(pipeline.request) for pipeline in PIPELINES.values()}
    inner = [f"    from {module} import {', '.join(sorted(names))}" for module, names in sorted(wanted.items())]
    imports = [
        "from collections.abc import Callable",
        "from typing import TYPE_CHECKING, Any, Unpack, cast",
        "",
        "from orchestrator.pipeline_calls import PipelineCalls, quiet, wait",
        "",
        "if TYPE_CHECKING:",
        *inner,
    ]
    what = "The pipelines as methods, the same for a local and a remote Collegium."
    lines = [SOURCE.format(what=what, imports="\n".join(imports)), "\nclass PipelineMethods(PipelineCalls):"]
    lines += ['    """Every pipeline twice: to be awaited (`arun`), and from ordinary code (`run`)."""']
    for pipeline in PIPELINES.values():
        model, result = pipeline.request, pipeline.result_at.partition(":")[2]
        arguments = f"self, request: {model.__name__} | None = None, *, done: Callable[[], None] = quiet, "
        arguments += f"note: Callable[[str], None] = quiet, **options: Unpack[{options_name(model)}]"
        passed = "done=done, note=note, **options"
        name = pipeline.method
        lines += [
            f"\n    async def a{name}({arguments}) -> {result}:",
            f'        """{pipeline.summary} Options as in `{model.__name__}`."""',
            f'        return cast("{result}", await self.aexecute("{pipeline.name}", request, {passed}))',
            f"\n    def {name}({arguments}) -> {result}:",
            f'        """As `a{name}`, from ordinary code."""',
            f"        return wait(self.a{name}(request, {passed}))",
        ]
    return formatted("\n".join(lines) + "\n")


def formatted(source: str) -> str:
    """As ruff formats and sorts it."""
    for command in (["check", "--fix", "--quiet", "--select", "I,F401"], ["format", "--quiet"]):
        run = [sys.executable, "-m", "ruff", *command, "--stdin-filename", "orchestrator/made.py", "-"]
        source = subprocess.run(run, input=source, capture_output=True, text=True, check=True, cwd=HERE.parent).stdout
    return source


PAGES = {
    "configuration.md": configuration,
    "pipelines.md": pipelines,
    "sdk.md": sdk,
    "../orchestrator/options.py": options,
    "../orchestrator/methods.py": methods,
}


def main() -> int:
    for name, page in sorted(PAGES.items()):  # sources first
        (HERE / name).write_text(page(), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
