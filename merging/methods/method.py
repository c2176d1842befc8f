"""What a merge method is: a name, its parameters, and a function from sources to a block's result."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from merging.settings import RecipeError, Scalar

if TYPE_CHECKING:
    from merging.stack import Block, Stack

ParameterKind = Literal["number", "count", "switch", "word", "path"]

REQUIRED: Any = object()
"""The default of a parameter that must be given."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A named parameter. Numbers lie in [minimum, maximum]; a word is one of `words`."""

    name: str
    default: Any = REQUIRED
    kind: ParameterKind = "number"
    each: bool = False
    """One value a source (its own, else the merge's) instead of one for the merge."""
    minimum: float = -1e30
    maximum: float = 1e30
    words: tuple[str, ...] = ()

    def checked(self, given: Scalar, where: str) -> Any:
        """The value in its type. Raises `RecipeError` naming `where`."""
        number = isinstance(given, int | float) and not isinstance(given, bool)
        if self.kind == "switch":
            meant = {"true": True, "false": False}.get(given.lower()) if isinstance(given, str) else given
            if not isinstance(meant, bool) and meant not in (0, 1):
                raise RecipeError(f"{where}: {self.name} is true or false, not {given!r}")
            return bool(meant)
        if self.kind == "path":
            if not isinstance(given, str) or not given or "\0" in given:
                raise RecipeError(f"{where}: {self.name} is a file, not {given!r}")
            return given
        if self.kind == "word":
            if given not in self.words:
                raise RecipeError(f"{where}: {self.name} is one of {', '.join(self.words)}, not {given!r}")
            return given
        if not number or not self.minimum <= float(given) <= self.maximum:
            raise RecipeError(f"{where}: {self.name} is a number{self._bounds()}, not {given!r}")
        if self.kind == "count":
            if float(given) != int(given):
                raise RecipeError(f"{where}: {self.name} is a whole number, not {given!r}")
            return int(given)
        return float(given)

    def _bounds(self) -> str:
        low = f" from {self.minimum:g}" if self.minimum > -1e30 else ""
        return low + (f" to {self.maximum:g}" if self.maximum < 1e30 else "")


@dataclass(frozen=True, slots=True)
class Values:
    """A method's parameters for one tensor: of the merge, and of each source (the base left out)."""

    shared: Mapping[str, Any]
    each: Mapping[str, tuple[Any, ...]]


FinishBlock = Callable[["Block"], None]
"""Computes a block's result into `block.out`; the blocks of a tensor come in any order, on any thread."""


@dataclass(frozen=True, slots=True)
class MergeMethod:
    """`begin(stack, values)` looks at as much of one tensor as it needs and returns how to finish each block."""

    name: str
    paper: str
    begin: Callable[[Stack, Values], FinishBlock]
    parameters: tuple[Parameter, ...] = ()
    base: Literal["required", "optional", "source", "unused"] = "unused"
    """required, optional: the point that task vectors start from. source: one source among the others. unused: only
    config and tokenizer come from it, unless it stands among the models."""
    min_sources: int = 1
    max_sources: int | None = None
    """Sources, the base left out."""
    taus: bool = False
    """Blocks hold task vectors (sources minus base), where there is a base."""
    rows: bool = False
    """Blocks hold whole rows."""
    whole: bool = False
    """Holds whole matrices and lets the linear algebra use all cores: one tensor at a time."""
    device: bool = False
    """It touches blocks through `stack.kernels` alone, so that they may live on any device of torch's."""
    elementwise: bool = False
    """Each element depends on the sources' same element alone: `begin` reads nothing."""
