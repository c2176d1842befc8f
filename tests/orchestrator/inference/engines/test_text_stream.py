"""Text as tokens arrive: nothing lost, no half characters, no part of a stop string."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.inference.engines.text_stream import TextStream


class Bytes:
    """A tokenizer of single bytes: every character beyond ASCII is split."""

    def decode(self, ids: list[int], **_: Any) -> str:
        return bytes(ids).decode("utf-8", "replace")


def shown(stream: TextStream, ids: list[int]) -> list[str]:
    pieces = []
    for token in ids:
        pieces.append(stream.push(token))
        if stream.stopped:
            return pieces
    return [*pieces, stream.flush()]


@settings(max_examples=300)
@given(text=st.text(max_size=40))
def test_the_pieces_join_to_the_text(text: str) -> None:
    pieces = shown(TextStream(Bytes()), list(text.encode()))
    assert "".join(pieces) == text
    assert not any("�" in piece for piece in pieces) or "�" in text


@settings(max_examples=300)
@given(text=st.text("abc", max_size=30), stop=st.lists(st.text("abc", min_size=1, max_size=4), min_size=1, max_size=3))
def test_a_stop_string_is_never_shown_not_even_in_part(text: str, stop: list[str]) -> None:
    stream = TextStream(Bytes(), stop)
    pieces = shown(stream, list(text.encode()))
    ends = [text.find(each) for each in stop if each in text]
    assert stream.stopped == bool(ends)
    if not ends:
        assert "".join(pieces) == text
        return
    # The stop that is complete first wins, as it does for a server that streams.
    first = min(range(1, len(text) + 1), key=lambda end: (not any(each in text[:end] for each in stop), end))
    begin = min(text[:first].find(each) for each in stop if each in text[:first])
    assert "".join(pieces) == text[:begin]


@pytest.mark.parametrize(
    "text",
    [
        "Grüße aus Köln, 東京 and 🇫🇷👩‍👩‍👧.",
        "  two  spaces\n\n\ttab",
        "naïve café — “quotes”",
        "def f(x):\n    return x\n",
    ],
)
def test_a_real_tokenizer_gives_back_what_it_was_given(model_folder: Path, text: str) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model_folder)
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert "".join(shown(TextStream(tokenizer), ids)) == text
