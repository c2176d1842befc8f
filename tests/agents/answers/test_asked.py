"""What is new in a statement beside its question."""

import pytest

from agents.answers.asked import novel


@pytest.mark.parametrize(
    ("sentence", "question", "new"),
    [
        ("The Pacific Ocean is the largest ocean.", "Which ocean is the largest?", "Pacific Ocean"),
        ("Plants release oxygen.", "What do plants release?", "oxygen"),
        ("Lake Baikal is the deepest lake.", "What is the deepest lake?", "Lake Baikal"),
        ("Canberra", "What is the capital of Australia?", None),
        ("The capital of Australia was founded in 1913 by King.", "What is the capital of Australia?", None),
        ("It matters because of trade.", "Why does it matter?", None),
    ],
)
def test_what_is_new(sentence: str, question: str, new: str | None) -> None:
    assert novel(sentence, question) == new
