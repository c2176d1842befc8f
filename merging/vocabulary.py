"""Models with different vocabularies, aligned token by token.

Every tensor with a row for each token (embedding, output layer, its bias) is read in the order of the result's
vocabulary. A token that a model lacks takes the row of the base where that has it, of the only model that has it, else
the mean of those that have it; a token that nobody has is zeros. `tokenizer: tokens:` overrides. Padding rows are the
mean of all others. As in mergekit; all here is whole rows, gathered a block at a time.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from merging.buffers import Work, scratch
from merging.checkpoint import CheckpointError, ties
from merging.naming import EMBEDDINGS, HEAD, LayerName
from merging.recipe import ModelRef, Recipe, TokenRule
from merging.settings import RecipeError
from merging.source_model import SourceModel
from merging.sources import tokenizer_folder
from merging.stack import Slab
from merging.tokenizer import Tokenizer, chosen

LACKING = -1
_OTHER_ROWS = ("position", "wpe", "pos_emb", "norm", "ln_", "token_type", "patch", "class_emb", "codebook")
"""Tables and vectors that may be as long as the vocabulary by chance."""


@dataclass(frozen=True)
class Vocabulary:
    """The result's tokenizer, and for each model the row of each of its tokens (or LACKING)."""

    tokenizer: Tokenizer
    size: int
    """Rows of the result, padding included."""
    tokens: int
    """Rows without padding."""
    rows: Mapping[ModelRef, NDArray[np.int64]]
    donors: Mapping[int, tuple[tuple[ModelRef, int], ...]]
    """For a token that some model lacks or that a rule overrides: whose rows are averaged (none: zeros)."""
    forced: frozenset[int]
    axes: Mapping[str, int]
    """Common name -> the axis that has an element for each token, of every tensor that has one."""
    notes: tuple[str, ...] = ()

    @staticmethod
    def build(recipe: Recipe, models: Mapping[ModelRef, SourceModel]) -> Vocabulary:
        """Read all tokenizers. Raises `RecipeError` and `CheckpointError`."""
        choice = recipe.tokenizer
        assert choice is not None
        first = recipe.models[0]
        for token, rule in choice.tokens.items():
            if rule.model is not None and rule.model not in models:
                raise RecipeError(
                    f"tokenizer.tokens[{token!r}]: {rule.model} is none of the merged models: "
                    f"{', '.join(map(str, models))}"
                )
        notes: list[str] = []
        source = choice.source if isinstance(choice.source, ModelRef) else first
        tokenizers, held = {}, {}
        for ref, model in models.items():
            if not model.embedding:
                raise CheckpointError(f"{ref}: no embedding among its tensors, so that vocabularies cannot be aligned")
            held[ref] = model.vocabulary_size
            tokenizers[ref] = _tokenizer(ref, model, models.get(source), choice.source == "union", notes)
        tokenizers = {ref: _within(ref, found, held[ref], notes) for ref, found in tokenizers.items()}
        donor = {} if source in models else {source: Tokenizer.read(tokenizer_folder(source))}
        result = chosen(choice, source, {**tokenizers, **donor})
        ids = result.vocabulary
        used = max(ids.values()) + 1
        pad = choice.pad_to_multiple_of or 1
        size = -(-used // pad) * pad
        rows = {}
        for ref in models:
            table = np.full(size, LACKING, np.int64)
            own = tokenizers[ref].vocabulary
            for token, place in ids.items():
                table[place] = own.get(token, LACKING)
            rows[ref] = table
        donors = dict(_donors(recipe, ids, rows, tokenizers, held))
        forced = frozenset(ids[token] for token, rule in choice.tokens.items() if rule.force)
        lost = {ref: held[ref] - len(tokenizers[ref].vocabulary) for ref in models}
        for ref, count in lost.items():
            if count > 0:
                notes.append(f"{ref}: {count} rows of its embedding belong to no token and are left out")
        return Vocabulary(result, size, used, rows, donors, forced, token_axes(models), tuple(notes))

    def concerns(self, name: str) -> bool:
        """The tensor of this common name has an element for each token."""
        return name in self.axes

    def shape(self, name: str, held: tuple[int, ...]) -> tuple[int, ...]:
        """The shape that a model's tensor has in the result."""
        axis = self.axes[name]
        return (*held[:axis], self.size, *held[axis + 1 :])

    def aligned(self, name: str, ref: ModelRef, models: Mapping[ModelRef, SourceModel], allow_nan: bool) -> Aligned:
        """A model's tensor in the order of the result's vocabulary."""
        weights = {}
        for other, model in models.items():
            weight = model.weights.get(name)
            if weight is None and name == HEAD and ties(model.config) is not False and model.embedding:
                weight = model.weights[model.embedding]
            if weight is not None:
                weights[other] = weight
        axis = self.axes[name]
        shape = weights[ref].shape
        return Aligned(
            {other: weight.slab(allow_nan) for other, weight in weights.items()},
            ref,
            math.prod(shape[axis + 1 :]),
            self,
            shape[axis],
        )


def token_axes(models: Mapping[ModelRef, SourceModel]) -> dict[str, int]:
    """Common name -> axis with an element for each token. Outside the layers, what is as long as the embedding in every
    model that has it: by its size, not by its name.

    Where all vocabularies have one size, a table of positions may have it too: then its name must not say so.
    """
    found = {}
    first = next(iter(models.values()))
    for name in dict.fromkeys(name for model in models.values() for name in model.weights):
        held = [(model, model.weights[name]) for model in models.values() if name in model.weights]
        sizes = {model.vocabulary_size for model, _ in held}
        named = any(part in name.lower() for part in _OTHER_ROWS)
        if LayerName.of(name) is not None or (named and name not in EMBEDDINGS and len(sizes) == 1):
            continue
        for axis in (0, 1):
            spans = [weight.shape[axis] == model.vocabulary_size for model, weight in held if len(weight.shape) > axis]
            leading = axis == 0 or all(weight.shape[0] == 1 for _, weight in held)
            if leading and len(spans) == len(held) and all(spans):
                found[name] = axis
                break
    if first.embedding and first.embedding not in found:
        raise CheckpointError(f"{first.label}: the embedding {first.embedding!r} is no table of tokens in all models")
    if any(HEAD in model.weights for model in models.values()):
        found.setdefault(HEAD, 0)
    return found


def _tokenizer(
    ref: ModelRef, model: SourceModel, source: SourceModel | None, union: bool, notes: list[str]
) -> Tokenizer:
    """A model's tokenizer; where it has none, that of `source`, if the embedding has as many rows."""
    if model.tokenizer is not None:
        return Tokenizer(model.tokenizer.folder, model.tokenizer.data, model.tokenizer.added)
    try:
        return Tokenizer.read(model.folder)
    except CheckpointError:
        if union or source in (None, model) or (model.folder / "tokenizer.json").exists():
            raise
        if model.vocabulary_size != source.vocabulary_size:
            raise
    notes.append(
        f"{ref}: no tokenizer.json: its {model.vocabulary_size} tokens are taken to be those of {source.label}, whose "
        "embedding has as many rows"
    )
    return Tokenizer.read(source.folder)


def _within(ref: ModelRef, tokenizer: Tokenizer, rows: int, notes: list[str]) -> Tokenizer:
    """Without the tokens that are numbered past the embedding."""
    beyond = [token for token, number in tokenizer.vocabulary.items() if number >= rows]
    if beyond:
        notes.append(
            f"{ref}: {len(beyond)} tokens are numbered past its {rows} embeddings and are left out, {beyond[0]!r} first"
        )
    return tokenizer.without(frozenset(beyond)) if beyond else tokenizer


@dataclass(frozen=True)
class Aligned:
    """One model's embedding or output layer in the order of the result's vocabulary.

    `slabs` are all models' tensors as they are: what the model lacks is taken from the others.
    """

    slabs: Mapping[ModelRef, Slab]
    ref: ModelRef
    columns: int
    vocabulary: Vocabulary
    held: int
    """Rows of the model's own."""

    @property
    def label(self) -> str:
        """The tensor of the source, for errors."""
        return self.slabs[self.ref].label

    def read(self, start: int, stop: int, out: Work) -> None:
        """Write the values [start, stop) of the flattened tensor to `out`. Raises `CheckpointError` for values that
        are no numbers."""
        table = self.vocabulary.rows[self.ref]
        position = start
        while position < stop:
            token, column = divmod(position, self.columns)
            last = min((token + 1) * self.columns, stop)
            row = int(table[token])
            if token >= self.vocabulary.tokens:
                out[position - start : last - start] = self._mean[column : column + last - position]
            elif row == LACKING or token in self.vocabulary.forced:
                self._from_donors(token, column, out[position - start : last - start])
            else:
                # Consecutive tokens in consecutive rows are read at once: nearly all are.
                while last < stop and self._follows(table, last // self.columns, row + last // self.columns - token):
                    last = min(last + self.columns, stop)
                first = row * self.columns + column
                self.slabs[self.ref].read(first, first + last - position, out[position - start : last - start])
            position = last

    @cached_property
    def _mean(self) -> NDArray[np.float64]:
        """The mean of all rows that are no padding, for those that are."""
        total = np.zeros(self.columns)
        row = np.empty(self.columns, np.float32)
        for token in range(self.vocabulary.tokens):
            self.read(token * self.columns, (token + 1) * self.columns, row)
            total += row
        return total / max(1, self.vocabulary.tokens)

    def _follows(self, table: NDArray[np.int64], token: int, row: int) -> bool:
        return int(table[token]) == row and token not in self.vocabulary.forced

    def _from_donors(self, token: int, column: int, out: Work) -> None:
        out[:] = 0
        donors = self.vocabulary.donors.get(token, ())
        part = scratch("donor", out.size, out.dtype)
        for ref, row in donors:
            if ref not in self.slabs:
                raise CheckpointError(f"{ref}: a token's row is to come from it, and it has no such tensor")
            first = row * self.columns + column
            self.slabs[ref].read(first, first + out.size, part)
            out += part
        if len(donors) > 1:
            out /= out.dtype.type(len(donors))


def _donors(
    recipe: Recipe,
    ids: Mapping[str, int],
    rows: Mapping[ModelRef, NDArray[np.int64]],
    tokenizers: Mapping[ModelRef, Tokenizer],
    held: Mapping[ModelRef, int],
) -> Iterator[tuple[int, tuple[tuple[ModelRef, int], ...]]]:
    rules = recipe.tokenizer.tokens if recipe.tokenizer else {}
    for token, place in ids.items():
        if token in rules:
            yield place, _ruled(rules[token], token, place, rows, tokenizers, held)
            continue
        have = tuple((ref, int(table[place])) for ref, table in rows.items() if table[place] != LACKING)
        if len(have) < len(rows):
            own = tuple(pair for pair in have if pair[0] == recipe.base)
            yield place, own or have
    for token in rules:
        if token not in ids:
            raise RecipeError(f"tokenizer.tokens: {token!r} is not in the result's vocabulary")


def _ruled(
    rule: TokenRule,
    token: str,
    place: int,
    rows: Mapping[ModelRef, NDArray[np.int64]],
    tokenizers: Mapping[ModelRef, Tokenizer],
    held: Mapping[ModelRef, int],
) -> tuple[tuple[ModelRef, int], ...]:
    if rule.model is None:
        return ()
    wanted = rule.token
    row = int(rows[rule.model][place]) if wanted is None else wanted
    if isinstance(row, str):
        row = tokenizers[rule.model].vocabulary.get(row, LACKING)
    if not 0 <= row < held[rule.model]:
        missing = repr(token if wanted is None else wanted)
        count = f" among its {held[rule.model]}" if isinstance(wanted, int) else ""
        raise RecipeError(f"tokenizer.tokens[{token!r}]: {rule.model} has no token {missing}{count}")
    return ((rule.model, row),)
