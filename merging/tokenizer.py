"""Tokenizers as `tokenizer.json` holds them: their tokens, whether two agree, and the union of several.

The union is the base's tokenizer with the others' tokens added to it, as mergekit makes it: text is cut as the base
cuts it, and a token that only another model has is found when it stands there whole. Read as JSON: no tokenizer
library is asked, so merges and normalisers are carried along as they are.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from merging.checkpoint import CheckpointError, json_object
from merging.recipe import ModelRef, TokenizerChoice

OWN_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
OTHER_FORMS = (
    *("tokenizer.model", "added_tokens.json", "vocab.json", "merges.txt", "vocab.txt", "spiece.model"),
    *("sentencepiece.bpe.model", "source.spm", "target.spm", "tekken.json", "tiktoken.model", "qwen.tiktoken"),
)
"""The same tokenizer in other forms: stale where tokenizer.json was changed."""
FILES = (*OWN_FILES, *OTHER_FORMS, "chat_template.jinja", "chat_template.json", "generation_config.json")
"""What belongs to a model's tokenizer."""
MAX_TOKENS = 4_000_000


@dataclass(frozen=True)
class Tokenizer:
    """A folder's tokenizer. `added` are tokens that the file itself has not."""

    folder: Path
    data: Mapping[str, Any]
    added: tuple[Mapping[str, Any], ...] = ()
    removed: frozenset[str] = frozenset()
    """Tokens that the file has, and the result has not: they stood last, and no model has numbers for them."""

    @staticmethod
    def read(folder: Path) -> Tokenizer:
        """Raises `CheckpointError` naming the file."""
        file = folder / "tokenizer.json"
        if not file.exists():
            raise CheckpointError(f"{folder}: no tokenizer.json: vocabularies cannot be aligned without it")
        tokenizer = Tokenizer(folder, json_object(file))
        if not 0 < len(tokenizer.vocabulary) <= MAX_TOKENS:
            raise CheckpointError(f"{file}: no vocabulary of up to {MAX_TOKENS} tokens in it")
        return tokenizer

    @cached_property
    def vocabulary(self) -> dict[str, int]:
        """Every token's number."""
        model = self.data.get("model")
        vocabulary = model.get("vocab") if isinstance(model, dict) else None
        if isinstance(vocabulary, list):
            # Unigram: pairs of token and score, in order.
            vocabulary = {pair[0]: number for number, pair in enumerate(vocabulary) if isinstance(pair, list) and pair}
        found = {token: number for token, number in (vocabulary or {}).items() if _token(token, number)}
        for entry in self.specials:
            found[entry["content"]] = entry["id"]
        return {token: number for token, number in found.items() if token not in self.removed}

    @property
    def specials(self) -> list[Mapping[str, Any]]:
        """The added tokens, special or not, each with its content, number and flags."""
        listed = self.data.get("added_tokens")
        entries = [*(listed if isinstance(listed, list) else []), *self.added]
        held = [entry for entry in entries if isinstance(entry, dict) and _token(entry.get("content"), entry.get("id"))]
        return [entry for entry in held if entry["content"] not in self.removed]

    def without(self, tokens: frozenset[str]) -> Tokenizer:
        """The same without some of its tokens."""
        return Tokenizer(self.folder, self.data, self.added, self.removed | tokens)

    @property
    def changed(self) -> bool:
        """The result's tokenizer.json is not the folder's own."""
        return bool(self.added or self.removed)

    def with_tokens(self, tokens: Mapping[str, Mapping[str, Any]]) -> Tokenizer:
        """The same with further tokens after its last one, each with the flags given."""
        first = max(self.vocabulary.values()) + 1
        plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": False}
        added = [
            {**plain, **flags, "id": first + number, "content": token}
            for number, (token, flags) in enumerate(tokens.items())
        ]
        return Tokenizer(self.folder, self.data, (*self.added, *added), self.removed)

    def save(self, folder: Path) -> list[str]:
        """Write the tokenizer's files and templates into `folder`; returns what the reader should know."""
        stale = [name for name in OTHER_FORMS if self.changed and (self.folder / name).is_file()]
        copy_files(self.folder, folder, without=stale)
        if not self.changed:
            return []
        whole = {**self.data, "added_tokens": self.specials, "model": self._model()}
        (folder / "tokenizer.json").write_text(json.dumps(whole, ensure_ascii=False), "utf-8")
        self._extend_config(folder / "tokenizer_config.json")
        return [f"{', '.join(stale)} of {self.folder} left out: tokenizer.json has other tokens now"] if stale else []

    def _model(self) -> Any:
        """tokenizer.json's `model` without what was removed."""
        model = self.data.get("model")
        if not self.removed or not isinstance(model, dict):
            return model
        vocabulary = model.get("vocab")
        if isinstance(vocabulary, dict):
            kept: Any = {token: number for token, number in vocabulary.items() if token not in self.removed}
        else:
            kept = [
                pair for pair in vocabulary or [] if not (isinstance(pair, list) and pair and pair[0] in self.removed)
            ]
        model = {**model, "vocab": kept}
        if isinstance(model.get("merges"), list):
            model["merges"] = [merge for merge in model["merges"] if not self._makes_removed(merge)]
        return model

    def _makes_removed(self, merge: Any) -> bool:
        parts = merge.split(" ") if isinstance(merge, str) else merge
        return not self.removed.isdisjoint({*parts, "".join(parts)})

    def _extend_config(self, file: Path) -> None:
        """transformers also lists added tokens in its own file."""
        if not file.exists():
            return
        config = json_object(file)
        listed = config.get("added_tokens_decoder")
        if isinstance(listed, dict):
            for number in [number for number, entry in listed.items() if _content(entry) in self.removed]:
                del listed[number]
            for entry in self.added:
                listed[str(entry["id"])] = {key: value for key, value in entry.items() if key != "id"}
            file.write_text(json.dumps(config, indent=2, ensure_ascii=False), "utf-8")


def chosen(choice: TokenizerChoice, base: ModelRef, tokenizers: Mapping[ModelRef, Tokenizer]) -> Tokenizer:
    """The result's tokenizer: the base's, a model's, or the union of all, plus the tokens that rules name."""
    result = tokenizers[choice.source if isinstance(choice.source, ModelRef) else base]
    missing: dict[str, Mapping[str, Any]] = {}
    if choice.source == "union":
        for tokenizer in tokenizers.values():
            flags = {entry["content"]: entry for entry in tokenizer.specials}
            missing |= {
                token: flags.get(token, {})
                for token in tokenizer.vocabulary
                if token not in result.vocabulary and token not in missing
            }
    missing |= {token: {} for token in choice.tokens if token not in result.vocabulary and token not in missing}
    return result.with_tokens(missing) if missing else result


def disagreement(first: Path, other: Path) -> str | None:
    """In what two folders' vocabularies differ, in words; None if they agree (or have no tokenizer.json)."""
    if not all((folder / "tokenizer.json").exists() for folder in (first, other)):
        return None
    if (first / "tokenizer.json").read_bytes() == (other / "tokenizer.json").read_bytes():
        return None
    mine, theirs = Tokenizer.read(first).vocabulary, Tokenizer.read(other).vocabulary
    for token, number in mine.items():
        if theirs.get(token, number) != number:
            return f"token {token!r} is number {number} in {first}, {theirs[token]} in {other}"
    lacking = [token for token in mine if token not in theirs] or [token for token in theirs if token not in mine]
    return f"{len(lacking)} tokens stand in one of {first} and {other} only, {lacking[0]!r} first" if lacking else None


def copy_files(source: Path, folder: Path, without: Sequence[str] = ()) -> None:
    """Copy a model's tokenizer and templates."""
    for name in FILES:
        if name not in without and (source / name).is_file():
            shutil.copyfile(source / name, folder / name)


def _content(entry: Any) -> str:
    return str(entry.get("content", "")) if isinstance(entry, dict) else ""


def _token(token: Any, number: Any) -> bool:
    return isinstance(token, str) and type(number) is int and 0 <= number < MAX_TOKENS
