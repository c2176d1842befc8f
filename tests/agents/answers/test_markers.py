"""Where a reply says its answer: markers in many languages, boxes, tags and JSON, the last one first."""

from __future__ import annotations

import pytest

from agents.answers.markers import (
    CONTENT,
    MARKERS,
    is_echo,
    json_field,
    marked,
    value_text,
    without_confidence,
    without_run_on,
)


@pytest.mark.parametrize(
    ("text", "content"),
    [
        ("Answer: 5\nAnswer: 6", "6"),
        ("Answer: 5\nAnswer: <a number>", "5"),
        ("\\boxed{3}, \\boxed{4}", "3, 4"),
        ("<answer>7</answer>", "7"),
        ("Steps.\n#### 12", "12"),
        ("Réponse : 7", "7"),
        ("答案：8", "8"),
        ("答：8 个苹果,共 3 天", "8 个苹果,共 3 天"),
        ("解答：9", "9"),
        ("### Final Answer\n\n42", "42"),
    ],
)
def test_the_last_marker_with_content_counts_and_is_strong(text: str, content: str) -> None:
    found = marked(text)[0]
    assert (found.content, found.strong) == (content, True)


def test_what_is_doubted_or_within_a_sentence_is_no_strong_marker() -> None:
    assert marked("The answer might be 5. If the answer is 6, stop.") == []
    assert not marked("I think the answer is 5.")[0].strong


def test_markers_and_their_content_are_bounded() -> None:
    assert len(marked("Answer: 5\n" * 1_000)) == MARKERS
    assert len(marked("Answer: " + "5" * 10_000)[0].content) <= CONTENT


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"Final Answer": 3, "x": 1}', ("3", True)),
        ('{"answer": "4", "conf', ("4", True)),
        ('Here: {"réponse": true}', ("yes", True)),
        ('{"x": 1}', (None, False)),
        ("no", (None, False)),
    ],
)
def test_a_field_of_json_is_read_whole_or_cut(text: str, found: tuple[str | None, bool]) -> None:
    assert json_field(text) == found


def test_the_confidence_and_an_invented_question_are_left_off() -> None:
    assert without_confidence("12 (confidence 0.9)").strip() == "12"
    assert next(without_run_on("Answer: 3\n\nQuestion: 1 + 1?\nAnswer: 2")) == "Answer: 3\n"
    assert is_echo("<yes or no>")
    assert not is_echo("yes")
    assert [value_text(value) for value in (True, 2.5, [1, "b"], None, {})] == ["yes", "2.5", "1, b", None, None]
