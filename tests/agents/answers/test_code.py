"""Programs as answers: the last block without its fence, compared line by line."""

from __future__ import annotations

from agents.answers.code import code_in, code_key


def test_the_last_block_that_holds_something_is_the_program() -> None:
    assert code_in("Try:\n```python\na = 1\n```\nor better:\n~~~\nb = 2\n~~~\nDone.") == "b = 2"
    assert code_in("```python\na = 1\n```\n```\n\n```") == "a = 1"
    assert code_in("```python\ndef f():\n    return 1") == "def f():\n    return 1"  # cut off
    assert code_in("a = 1") == "a = 1"
    assert code_in("```\n\n```") is None


def test_trailing_space_and_blank_lines_make_no_other_program() -> None:
    assert code_key("```\na = 1  \n\n\tb = 2\n```") == code_key("a = 1\n    b = 2") == "a = 1\n    b = 2"
    assert code_key("a = 1\nb = 2") != code_key("b = 2\na = 1")
