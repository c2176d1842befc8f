"""Thoughts are no answers: what a reasoning model thought is kept apart from what it replied."""

from __future__ import annotations

import time

import pytest

from reasoning.text import Separated, separate


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("plain", Separated("plain")),
        ("<think>a</think>b", Separated("b", "a")),
        ("a</think>b", Separated("b", "a")),  # opened by the prompt
        ("<think>never closed", Separated("", "never closed", cut=True)),
        ("<reasoning>a\n<answer>5</answer>", Separated("<answer>5</answer>", "a")),
        (
            "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>5",
            Separated("5", "hm"),
        ),
        ("<|channel|>analysis<|message|>hm", Separated("", "hm", cut=True)),
        ("We write <think> here", Separated("We write <think> here")),
        ("<think>a</think> <think>b</think>c", Separated("c", "a\nb")),
        ("a `<think>` is a tag", Separated("a `<think>` is a tag")),
    ],
)
def test_reply_and_thoughts_come_apart(text: str, found: Separated) -> None:
    assert separate(text) == found


def test_it_takes_linear_time() -> None:
    started = time.thread_time()
    for part in ("<think>", "a</think>", "<think>a</think>", "  <think>\n"):
        separate(part * 200_000)
    assert time.thread_time() - started < 5
