"""A method's parameters for one tensor: looked up where the recipe may state them, from the source outwards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from merging.methods.method import REQUIRED, MergeMethod, Parameter, Values
from merging.recipe import ModelRef, Recipe, Slice, Source
from merging.settings import RecipeError, Settings, value


def values_of(
    method: MergeMethod, recipe: Recipe, part: Slice, sources: Sequence[Source], names: Sequence[str], depth: float
) -> Values:
    """`names`: what each source calls the tensor, and last what the result does: filters look at them.

    Raises `RecipeError` naming the parameter, the tensor and the model.
    """
    shared: dict[str, Any] = {}
    each: dict[str, tuple[Any, ...]] = {}
    *inputs, name = names
    for parameter in method.parameters:
        if not parameter.each:
            given = _lookup((part.parameters, recipe.parameters), parameter.name, name, depth)
            shared[parameter.name] = _checked(method, parameter, given, None, name)
            continue
        found = []
        for source, own in zip(sources, inputs, strict=True):
            scopes = (source.parameters, part.parameters, recipe.parameters)
            given = _lookup(scopes, parameter.name, own, depth)
            found.append(_checked(method, parameter, given, source.model, name))
        each[parameter.name] = tuple(found)
    return Values(shared, each)


def _lookup(scopes: tuple[Settings, ...], parameter: str, name: str, depth: float) -> Any:
    for scope in scopes:
        if parameter in scope:
            found = value(scope[parameter], name, depth)
            if found is not None:
                return found
    return None


def _checked(method: MergeMethod, parameter: Parameter, given: Any, model: ModelRef | None, name: str) -> Any:
    where = f"{method.name}: tensor {name!r}" + (f" of {model}" if model else "")
    if given is not None:
        return parameter.checked(given, where)
    if parameter.default is REQUIRED:
        raise RecipeError(f"{where}: the parameter {parameter.name} is missing")
    return parameter.default
