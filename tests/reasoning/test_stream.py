"""Thoughts are set apart where replies are made, whatever the pieces in which they arrive."""

from __future__ import annotations

import pytest

from reasoning.stream import ThoughtSplitter, is_mark, opened, without_opened_thought

WHOLE = [
    ("<think>2 and 2</think>\n\nAnswer: 4", "Answer: 4", "2 and 2"),
    ("\n<think>\nfour?\n</think>4", "4", "\nfour?\n"),
    ("<THINK>a</THINK>b", "b", "a"),
    ("[THINK]a[/THINK]b", "b", "a"),
    ("◁think▷a◁/think▷b", "b", "a"),
    ("<seed:think>a</seed:think>b", "b", "a"),
    ("<|START_THINKING|>a<|END_THINKING|>b", "b", "a"),
    ("<think>a</think><think>b</think>c", "c", "ab"),
    ("<think>never closed: Answer: 4", "", "never closed: Answer: 4"),
    ("<think>is 1 < 2? </thin", "", "is 1 < 2? </thin"),
    ("<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>4", "4", "hm"),
    ("analysisWe add.assistantfinal4", "4", "We add."),
    ("analysis of the case shows 4", "analysis of the case shows 4", ""),
    ("A plain reply, with `<think>` in it.", "A plain reply, with `<think>` in it.", ""),
    ("  indented", "  indented", ""),
    ("<thin", "<thin", ""),
    ("<table>1</table>", "<table>1</table>", ""),
    ("[1, 2]", "[1, 2]", ""),
    ("", "", ""),
    ("   ", "   ", ""),
]


@pytest.mark.parametrize(("text", "said", "thought"), WHOLE)
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_every_cut_of_a_reply_gives_the_same_parts(text: str, said: str, thought: str, size: int) -> None:
    splitter = ThoughtSplitter()
    parts = [splitter.feed(text[at : at + size]) for at in range(0, len(text), size)]
    parts.append(splitter.feed("", last=True))
    assert ("".join(part[0] for part in parts), "".join(part[1] for part in parts)) == (said, thought)


def test_plain_text_is_not_held_back_and_thoughts_stream_too() -> None:
    assert ThoughtSplitter().feed("Hello") == ("Hello", "")
    splitter = ThoughtSplitter()
    assert splitter.feed("<think>one two three four")[1].startswith("one two")


def test_a_closing_mark_alone_ends_what_the_prompt_opened() -> None:
    assert without_opened_thought("so B or C\n</think>\n\nAnswer: C") == ("Answer: C", "so B or C")
    assert without_opened_thought("The tag `</think>` closes it.") == ("The tag `</think>` closes it.", "")
    assert without_opened_thought("Text with </think> amid a line") == ("Text with </think> amid a line", "")


def test_a_prompt_that_opens_a_thought_is_known_by_its_end() -> None:
    assert opened("<|im_start|>assistant\n<think>\n") == "<think>"
    assert opened("<think>\n\n</think>\n\n") == ""
    assert opened("What does <think> mean?") == ""


def test_a_splitter_says_where_it_is_and_what_closes_the_thought() -> None:
    splitter = ThoughtSplitter()
    assert (splitter.thinking, splitter.replying, splitter.closing) == (False, False, "")
    splitter.feed("<think>hm")
    assert (splitter.thinking, splitter.replying, splitter.closing) == (True, False, "</think>")
    splitter.feed("</think>\n")
    assert (splitter.thinking, splitter.replying) == (False, False)
    splitter.feed("Paris is the capital")
    assert (splitter.thinking, splitter.replying) == (False, True)
    capitals = ThoughtSplitter()
    capitals.feed("<|START_THINKING|>hm")
    assert capitals.closing == "<|END_THINKING|>"


def test_marks_are_known_in_any_case() -> None:
    assert all(is_mark(text) for text in ("<think>", "</think>", "[THINK]", "[/THINK]", "<|END_THINKING|>"))
    assert not any(is_mark(text) for text in ("<eos>", "think", ""))
