"""Command-line flags from pydantic models: a request's fields are declared once, in its model."""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from orchestrator.cli.help import OptionsInGroups
from orchestrator.config import DEMO_ZOOS, Config, demo_zoo, explain, read, validate
from orchestrator.errors import BadInput

AnyRequest = TypeVar("AnyRequest", bound=BaseModel)
DEFAULT_CONFIG = Path("collegium.yaml")

_COMMON = (
    click.option("--config", metavar="FILE", help="Configuration; default: ./collegium.yaml, else the demo zoo."),
    click.option("--set", "overrides", metavar="KEY=VALUE", multiple=True, help="Override a key: workers.count=2."),
    click.option("--json", "as_json", is_flag=True, help="Print one JSON document."),
)


def configured(command: Callable[..., None]) -> Callable[..., None]:
    """Add --config, --set and --json to a command's function."""
    for option in reversed(_COMMON):
        command = option(command)
    return command


def request_command(
    name: str, model: type[AnyRequest], run: Callable[..., None], *extra: click.Option
) -> click.Command:
    """A command whose flags are the fields of `model`; `run(config, request, as_json=..., **extra)` does the work."""

    def callback(config: str | None, overrides: tuple[str, ...], as_json: bool, **values: Any) -> None:
        own = {option.name: values.pop(option.name) for option in extra if option.name}
        given = {key: _split(value, model.model_fields[key]) for key, value in values.items() if value is not None}
        try:
            request = model(**given)
        except ValidationError as error:
            raise BadInput(_as_flags(explain(error, model))) from error
        run(configuration(config, overrides), request, as_json=as_json, **own)

    command = click.command(name, cls=OptionsInGroups, help=model.__doc__)(configured(callback))
    command.params[:0] = [*(_option(key, field) for key, field in model.model_fields.items()), *extra]
    return command


def positional(command: click.Command, *names: str, metavars: Mapping[str, str] | None = None) -> click.Command:
    """The command with these options as arguments, in this order."""
    options = [parameter for parameter in command.params if parameter.name not in names]
    arguments = [click.Argument([name], metavar=(metavars or {}).get(name, name.upper())) for name in names]
    command.params = [*arguments, *options]
    return command


def configuration(path: str | None, overrides: tuple[str, ...] = ()) -> Config:
    """The configuration at `path`; without one ./collegium.yaml, and without that the demo zoo."""
    if path is None and DEFAULT_CONFIG.exists():
        path = str(DEFAULT_CONFIG)
    name = path or "demo"
    if name not in DEMO_ZOOS:
        return read(Path(name).expanduser().absolute(), overrides)
    if overrides:
        return read(demo_zoo(name), overrides)
    return validate({"zoo": name}, Path(name).absolute())


def _option(key: str, field: FieldInfo) -> click.Option:
    default = field.get_default(call_default_factory=True)
    text = field.description or ""
    if default not in (None, PydanticUndefined, [], ""):
        text += f"  [default: {','.join(map(str, default)) if isinstance(default, list) else default}]"
    flag = key.replace("_", "-")
    if field.annotation is bool:
        return click.Option([f"--{flag}/--no-{flag}", key], default=None, help=text)
    several = typing.get_origin(field.annotation) is list
    given = _type(typing.get_args(field.annotation)[0] if several else field.annotation)
    choices = given.choices if isinstance(given, PlainChoice) else None
    metavar = f"[{'|'.join(choices)}],..." if several and choices else "NAME,..." if several else None
    return click.Option([f"--{flag}", key], type=click.STRING if several else given, metavar=metavar, help=text)


class PlainChoice(click.Choice[Any]):
    """Choices that help and completion display; the request's model is what checks them, and words the error."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The value as it was typed."""
        return value


def _type(annotation: Any) -> click.ParamType[Any]:
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union:
        annotation = next(inner for inner in typing.get_args(annotation) if inner is not type(None))
    if typing.get_origin(annotation) is typing.Literal:
        return PlainChoice([str(one) for one in typing.get_args(annotation)])
    simple: dict[Any, click.ParamType[Any]] = {int: click.INT, float: click.FLOAT, bool: click.BOOL}
    return simple.get(annotation, click.STRING)


def _split(value: Any, field: FieldInfo) -> Any:
    if typing.get_origin(field.annotation) is list:
        return [part.strip() for part in str(value).split(",") if part.strip()]
    return value


def _as_flags(message: str) -> str:
    return "; ".join(_as_flag(clause) for clause in message.split("; "))


def _as_flag(clause: str) -> str:
    key, colon, rest = clause.partition(":")
    return f"--{key.replace('_', '-')}:{rest}" if colon and clause[:1].isalpha() else clause
