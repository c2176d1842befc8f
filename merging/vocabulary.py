"""Models with different vocabularies, aligned token by token.

Each model's embedding (and output layer) is read in the order of the result's vocabulary. A token that a model lacks
takes the row of the base where that has it, of the only model that has it, else the mean of those that have it; a
token that nobody has is zeros. `tokenizer: tokens:` overrides. As in mergekit; all here is whole rows, gathered a
block at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from merging.buffers import Work, scratch
from merging.checkpoint import Checkpoint, CheckpointError
from merging.recipe import ModelRef, Recipe, TokenRule
from merging.settings import RecipeError
from merging.stack import Slab
from merging.tokenizer import Tokenizer, chosen

LACKING = -1
_MATRICES = ("embed_tokens.weight", "wte.weight", "word_embeddings.weight", "lm_head.weight", "embed_in.weight")


@dataclass(frozen=True)
class Vocabulary:
    """The result's tokenizer, and for each model the row of each of its tokens (or LACKING)."""

    tokenizer: Tokenizer
    size: int
    """Rows of the result, padding included."""
    rows: Mapping[ModelRef, NDArray[np.int64]]
    donors: Mapping[int, tuple[tuple[ModelRef, int], ...]]
    """For a token that some model lacks or that a rule overrides: whose rows are averaged (none: zeros)."""
    forced: frozenset[int]

    @staticmethod
    def build(recipe: Recipe, models: Mapping[ModelRef, Checkpoint]) -> Vocabulary:
        """Read all tokenizers. Raises `RecipeError` and `CheckpointError`."""
        choice = recipe.tokenizer
        assert choice is not None
        first = recipe.models[0]
        for ref in [choice.source, *(rule.model for rule in choice.tokens.values())]:
            if isinstance(ref, ModelRef) and ref not in models:
                raise RecipeError(f"tokenizer: {ref} is none of the merged models: {', '.join(map(str, models))}")
        tokenizers = {ref: Tokenizer.read(checkpoint.folder) for ref, checkpoint in models.items()}
        result = chosen(choice, first, tokenizers)
        ids = result.vocabulary
        used = max(ids.values()) + 1
        pad = choice.pad_to_multiple_of or 1
        size = -(-used // pad) * pad
        rows = {}
        for ref, checkpoint in models.items():
            held = checkpoint.tensors[embedding_name(checkpoint)].shape[0]
            table = np.full(size, LACKING, np.int64)
            own = tokenizers[ref].vocabulary
            for token, place in ids.items():
                if own.get(token, held) < held:
                    table[place] = own[token]
            rows[ref] = table
        donors = dict(_donors(recipe, ids, rows, tokenizers))
        forced = frozenset(ids[token] for token, rule in choice.tokens.items() if rule.force)
        return Vocabulary(result, size, rows, donors, forced)

    def concerns(self, name: str) -> bool:
        """The tensor has a row for each token."""
        return name.endswith(_MATRICES)


@dataclass(frozen=True)
class Aligned:
    """One model's embedding or output layer in the order of the result's vocabulary.

    `slabs` are all models' tensors as they are: what the model lacks is taken from the others.
    """

    slabs: Mapping[ModelRef, Slab]
    ref: ModelRef
    columns: int
    vocabulary: Vocabulary

    @property
    def label(self) -> str:
        """The tensor's file and name, for errors."""
        return self.slabs[self.ref].label

    def read(self, start: int, stop: int, out: Work) -> None:
        """Elements [start, stop) of the aligned matrix into `out` (stop - start,). Raises `CheckpointError`."""
        table = self.vocabulary.rows[self.ref]
        position = start
        while position < stop:
            token, column = divmod(position, self.columns)
            last = min((token + 1) * self.columns, stop)
            row = int(table[token])
            if row == LACKING or token in self.vocabulary.forced:
                self._from_donors(token, column, out[position - start : last - start])
            else:
                # Consecutive tokens in consecutive rows are read at once: nearly all are.
                while last < stop and self._follows(table, last // self.columns, row + last // self.columns - token):
                    last = min(last + self.columns, stop)
                first = row * self.columns + column
                self.slabs[self.ref].read(first, first + last - position, out[position - start : last - start])
            position = last

    def _follows(self, table: NDArray[np.int64], token: int, row: int) -> bool:
        return int(table[token]) == row and token not in self.vocabulary.forced

    def _from_donors(self, token: int, column: int, out: Work) -> None:
        out[:] = 0
        donors = self.vocabulary.donors.get(token, ())
        part = scratch("donor", out.size, out.dtype)
        for ref, row in donors:
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
) -> Iterator[tuple[int, tuple[tuple[ModelRef, int], ...]]]:
    rules = recipe.tokenizer.tokens if recipe.tokenizer else {}
    for token, place in ids.items():
        if token in rules:
            yield place, _ruled(rules[token], token, place, rows, tokenizers)
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
) -> tuple[tuple[ModelRef, int], ...]:
    if rule.model is None:
        return ()
    wanted = rule.token
    row = int(rows[rule.model][place]) if wanted is None else wanted
    if isinstance(row, str):
        row = tokenizers[rule.model].vocabulary.get(row, LACKING)
    if row == LACKING or row < 0:
        raise RecipeError(f"tokenizer.tokens[{token!r}]: {rule.model} has no token {wanted or token!r}")
    return ((rule.model, row),)


def embedding_name(checkpoint: Checkpoint) -> str:
    """The name of the input embedding. Raises `CheckpointError` where there is none."""
    for name in checkpoint.tensors:
        if name.endswith(_MATRICES) and not name.startswith("lm_head"):
            return name
    raise CheckpointError(f"{checkpoint.folder}: no embedding among its tensors")
