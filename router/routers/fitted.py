"""What all fitted routers share: the experts, their priors, ranking, saving and loading.

A saved router is a folder with `router.json` (settings, names) and `router.safetensors` (arrays): nothing in
it is ever executed.
"""

from __future__ import annotations

import dataclasses
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from router.calibration import Calibration
from router.embedding import Features
from router.ranking import Evidence, Ranking, Scores, rankings
from router.table import Table

Array = NDArray[np.float32]
FORMAT = 1
CERTAINTY = 2.0
"""Observations that an expert's mean counts for, in a probability that a router states (`Prior.humble`)."""
PRIOR_STRENGTH = 4.0
"""Observations that the mean of all experts counts for, in an expert's own mean."""


@dataclass(frozen=True)
class Prior:
    """How good each expert is over all questions. Arrays are float32 [experts]."""

    mean: Array
    """Mean score, shrunk towards the mean of all experts; exactly that for an expert without a profile."""
    observations: Array
    """Questions each expert was asked."""

    @classmethod
    def of(cls, correct: Array) -> Prior:
        """From a score matrix [questions, experts] with NaN for missing."""
        known = ~np.isnan(correct)
        count = known.sum(0).astype(np.float32)
        total = np.where(known, correct, 0).sum(0)
        overall = total.sum() / max(count.sum(), 1)
        mean = (total + PRIOR_STRENGTH * overall) / (count + PRIOR_STRENGTH)
        return cls(mean.astype(np.float32), count)

    def humble(self, probabilities: Array) -> Array:
        """The posterior mean of Beta priors around each expert's mean, [questions, experts]: where an expert was asked
        twice no probability is near 0 or 1, whatever a router makes of two questions; after hundreds nothing changes.
        """
        seen = self.observations
        return np.asarray((seen * probabilities + CERTAINTY * self.mean) / (seen + CERTAINTY), np.float32)


@dataclass(frozen=True)
class FittedRouter(ABC):
    """Base of the routers in this package. Fields are names, numbers, arrays or other fitted routers."""

    experts: tuple[str, ...]
    prior: Prior

    def __post_init__(self) -> None:
        if not self.prior.mean.shape == self.prior.observations.shape == (len(self.experts),):
            raise ValueError(f"prior.mean and prior.observations must have one number for each of {self.experts}")

    @abstractmethod
    def score(self, questions: Features) -> Scores:
        """Scores (questions, experts)."""

    def evidence(self, questions: Features) -> list[tuple[Evidence, ...]]:
        """What the scores go by, one tuple a question; nothing where the terms say it all."""
        return [()] * len(questions)

    def rank(self, questions: Features) -> list[Ranking]:
        """One ranking a question. An expert that the table had no score for says so in its note."""
        seen = self.prior.observations
        unseen = [name for name, count in zip(self.experts, seen, strict=True) if count == 0]
        notes = dict.fromkeys(unseen, "no profile yet: ranked by the mean of all experts")
        return rankings(self.score(questions), notes, self.evidence(questions))

    def save(self, folder: str | Path) -> None:
        """Write the router into a folder, which is made if need be."""
        from safetensors.numpy import save_file

        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        described, arrays = packed(self)
        body = {"format": FORMAT, "router": described}
        save_file(arrays, folder / "router.safetensors")
        text = json.dumps(body, ensure_ascii=False, indent=1)
        (folder / "router.json").write_text(text, encoding="utf-8")

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Read a router saved by `save`. Called on a class, it accepts that class only; on FittedRouter, any.

        Raises ValueError naming the file for anything else.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        path = Path(folder) / "router.json"
        try:
            body = json.loads(path.read_text(encoding="utf-8"))
            arrays = load_file(path.with_suffix(".safetensors"))
            if body["format"] != FORMAT:
                raise ValueError(f"format {body['format']!r} is not {FORMAT}")
            router = unpacked(body["router"], arrays)
        except (OSError, SafetensorError, KeyError, TypeError, ValueError, RecursionError) as error:
            raise ValueError(f"{path}: not a saved router: {error!s}") from error
        if not isinstance(router, cls):
            raise ValueError(f"{path}: holds a {type(router).__name__}, not a {cls.__name__}")
        return router


def fitting_rows(table: Table, questions: Features) -> tuple[Table, Features]:
    """What may be fitted: everything but rows marked `repeat`. Raises ValueError if the two do not match."""
    if len(questions) != len(table.rows):
        raise ValueError(f"{len(questions)} embedded questions for a table of {len(table.rows)} rows")
    kept = [index for index, row in enumerate(table.rows) if not row.repeat]
    return (table, questions) if len(kept) == len(table.rows) else (table.take(kept), questions.take(kept))


def known_scores(correct: Array) -> tuple[Array, Array]:
    """Scores with 0 for missing, and 1 where a score is known; both float32, same shape."""
    known = ~np.isnan(correct)
    return np.where(known, correct, 0).astype(np.float32), known.astype(np.float32)


def logit(probability: Array) -> Array:
    """Log-odds, of any shape; probabilities are kept 0.001 from 0 and 1."""
    p = np.clip(probability, 1e-3, 1 - 1e-3)
    return np.asarray(np.log(p / (1 - p)), np.float32)


def sigmoid(log_odds: Array) -> Array:
    """Probabilities from log-odds of any shape, float32."""
    return np.asarray(1 / (1 + np.exp(-np.clip(log_odds, -60, 60))), np.float32)


def packed(value: Any) -> tuple[Any, dict[str, NDArray[Any]]]:
    """A fitted router, a calibration or another dataclass of names, numbers and arrays, as JSON and as named arrays.
    Raises TypeError naming the field that is of another kind."""
    arrays: dict[str, NDArray[Any]] = {}
    described = _dump(value, "", arrays)
    return described, {name: np.ascontiguousarray(array) for name, array in arrays.items()}


def unpacked(described: Any, arrays: Mapping[str, NDArray[Any]], *kinds: type[Any]) -> Any:
    """What `packed` described. `kinds`: further dataclasses that may occur. Raises ValueError, KeyError or TypeError
    for anything else."""
    return _load(described, "", arrays, {**_classes(), **{kind.__name__: kind for kind in kinds}})


def _classes() -> Mapping[str, type[Any]]:
    found: dict[str, type[Any]] = {"Prior": Prior}
    waiting: list[type[Any]] = [FittedRouter, Calibration]
    while waiting:
        for kind in waiting.pop().__subclasses__():
            found[kind.__name__] = kind
            waiting.append(kind)
    return found


def _dump(value: Any, name: str, arrays: dict[str, NDArray[Any]]) -> Any:
    if isinstance(value, np.ndarray):
        arrays[name] = value
        return {"array": name}
    if dataclasses.is_dataclass(value):
        parts = {
            field.name: _dump(getattr(value, field.name), f"{name}.{field.name}".lstrip("."), arrays)
            for field in dataclasses.fields(value)
        }
        return {"kind": type(value).__name__, "fields": parts}
    if isinstance(value, tuple):
        return [_dump(item, f"{name}.{index}", arrays) for index, item in enumerate(value)]
    if value is None or isinstance(value, str | int | float):
        return value
    raise TypeError(f"{name}: a router cannot keep a {type(value).__name__}")


def _load(value: Any, name: str, arrays: Mapping[str, NDArray[Any]], classes: Mapping[str, type[Any]]) -> Any:
    if isinstance(value, list):
        return tuple(_load(item, f"{name}.{index}", arrays, classes) for index, item in enumerate(value))
    if not isinstance(value, dict):
        return value
    if "array" in value:
        return arrays[value["array"]]
    kind = classes.get(value["kind"])
    if kind is None:
        raise ValueError(f"{name or 'router'}: the kind {value['kind']!r} is unknown")
    parts = {key: _load(part, f"{name}.{key}".lstrip("."), arrays, classes) for key, part in value["fields"].items()}
    return kind(**parts)
