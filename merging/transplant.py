"""A model with another model's tokenizer: its embeddings in the order of the other's tokens.

A token that both know keeps the model's row. One that only the donor knows is written as a combination of a few tokens
that both know, found in the donor's embedding by orthogonal matching pursuit, and the same combination is taken of the
model's rows. Training-Free Tokenizer Transplantation, https://arxiv.org/abs/2506.06607.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from merging.checkpoint import CheckpointError
from merging.merge import MergeSummary
from merging.plan import Merge
from merging.recipe import ModelRef
from merging.recipe_file import parse
from merging.result_config import result_config
from merging.side_files import carry
from merging.source_model import SourceModel
from merging.sources import open_model
from merging.stack import Slab
from merging.tokenizer import Tokenizer
from merging.vocabulary import token_axes
from merging.writer import Writer

Array = NDArray[np.float32]
TERMS = 64
"""Common tokens that a new one is made of, at most."""
LENGTHS = 8
"""A combination may not be longer than so many times the longest row that it is made of."""


def transplant_tokens(
    model: str, donor: str, out: Path, *, terms: int = TERMS, allow_bin: bool = False
) -> MergeSummary:
    """Write `model` with the tokenizer of `donor` to the folder `out`.

    Raises `CheckpointError`: no tokenizer, no embedding, no token in common.
    """
    began = time.perf_counter()
    own, other = (SourceModel.of(name, *open_model(ModelRef(name), allow_bin)) for name in (model, donor))
    mine, theirs = Tokenizer.read(own.folder).vocabulary, Tokenizer.read(other.folder).vocabulary
    if not own.embedding or not other.embedding:
        raise CheckpointError(f"{model if not own.embedding else donor}: no embedding among its tensors")
    held = {own.label: own.vocabulary_size, other.label: other.vocabulary_size}
    theirs = {token: row for token, row in theirs.items() if row < held[other.label]}
    common = [token for token in theirs if mine.get(token, held[own.label]) < held[own.label]]
    if not common:
        raise CheckpointError(f"{model} and {donor} have no token in common")
    places = np.array([theirs[token] for token in common])
    rows = np.array([mine[token] for token in common])
    new = [row for token, row in theirs.items() if mine.get(token, held[own.label]) >= held[own.label]]
    size = max(theirs.values()) + 1
    tables: dict[str, Array] = {}
    for name, axis in token_axes({ModelRef(model): own}).items():
        if name not in own.weights:
            continue
        whole = np.moveaxis(_matrix(own, name), axis, 0)
        before = whole.reshape(len(whole), -1)
        matrix = name in other.weights and before.shape[1] > 1
        basis = _matrix(other, name if matrix else other.embedding)
        after = np.zeros((size, before.shape[1]), np.float32)
        after[places] = before[rows]
        known, kept = basis[places], before[rows]
        for row in new:
            after[row] = _combined(basis[row], known, kept, terms)
        tables[own.names[name]] = np.moveaxis(after.reshape(size, *whole.shape[1:]), 0, axis)
    made = Merge(parse({"merge_method": "passthrough", "models": [{"model": model}]}), allow_bin=allow_bin)
    written = _write(made, own, other, tables, size, out)
    notes = [f"{len(common)} tokens in common, {len(new)} made of up to {terms} of them"]
    sizes = [table.size for table in tables.values()]
    sizes += [target.size for name, target in made.targets.items() if name not in tables]
    read = made.bytes + (other.checkpoint.bytes if other.checkpoint else 0)
    return MergeSummary(out, len(sizes), sum(sizes), read, written, time.perf_counter() - began, tuple(notes))


def _write(made: Merge, own: SourceModel, other: SourceModel, tables: dict[str, Array], size: int, out: Path) -> int:
    shapes = {
        name: (target.dtype, tables[name].shape if name in tables else target.shape)
        for name, target in made.targets.items()
    }
    config = result_config(made)
    inner = config.get("text_config")
    for section in (config, inner):
        if isinstance(section, dict) and (section is config or "vocab_size" in section):
            section["vocab_size"] = size
            for key in ("bos_token_id", "eos_token_id", "pad_token_id"):
                if key in other.config:
                    section[key] = other.config[key]
    with Writer(out, shapes) as writer:
        for name, target in made.targets.items():
            if name in tables:
                bits = made.backend.encoded(tables[name].reshape(-1), target.dtype)
                writer.write(name, 0, bits)
                continue
            for start, bits in made.blocks(name):
                writer.write(name, start, bits)
        (writer.folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", "utf-8")
        Tokenizer.read(other.folder).save(writer.folder)
        carry(own.folder, writer.folder, tokenizer=False)
        written = sum(file.stat().st_size for file in writer.folder.rglob("*") if file.is_file())
        writer.finish()
    return written


def _matrix(model: SourceModel, name: str) -> Array:
    weight = model.weights[name]
    return _rows(weight.slab(False), weight.shape)


def _rows(slab: Slab, shape: tuple[int, ...]) -> Array:
    out = np.empty(int(np.prod(shape)), np.float32)
    slab.read(0, out.size, out)
    return out.reshape(shape)


def _combined(target: Array, basis: Array, rows: Array, terms: int) -> Array:
    """The combination of `rows` whose counterpart in `basis` comes nearest to `target`: orthogonal matching pursuit."""
    lengths = np.linalg.norm(basis, axis=1)
    usable = lengths > 0
    scale = np.where(usable, 1 / np.where(usable, lengths, 1), 0)
    chosen: list[int] = []
    weights: NDArray[np.float64] = np.zeros(0)
    rest = target.astype(np.float64)
    for _ in range(min(terms, int(usable.sum()), basis.shape[1])):
        match = np.abs(basis @ rest.astype(np.float32)) * scale
        match[chosen] = -1
        best = int(match.argmax())
        if match[best] <= 1e-6 * max(float(np.linalg.norm(target)), 1e-30):
            break
        chosen.append(best)
        part = basis[chosen].astype(np.float64).T
        weights = np.asarray(np.linalg.lstsq(part, target.astype(np.float64), rcond=None)[0], np.float64)
        rest = target - part @ weights
    if not chosen:
        mean: Array = rows.mean(0)
        return mean
    found: Array = (weights @ rows[chosen].astype(np.float64)).astype(np.float32)
    longest = float(np.linalg.norm(rows[chosen], axis=1).max())
    length = float(np.linalg.norm(found))
    return found * np.float32(LENGTHS * longest / length) if length > LENGTHS * longest else found
