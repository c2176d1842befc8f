"""What stands beside an answer goes, and the answer stays."""

import pytest

from agents.answers.asides import without_asides


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("Vienna, I believe.", "Vienna"),
        ("I think it was Vienna, not Graz.", "it was Vienna"),
        ("not Graz but Vienna", "Vienna"),
        ("Marie Curie (1867-1934), the Polish-French physicist", "Marie Curie"),
        ("NATO (North Atlantic Treaty Organization)", "NATO"),
        ("iron (III)", "iron (III)"),
        ("The Lion, the Witch and the Wardrobe", "The Lion, the Witch and the Wardrobe"),
        ("In Brazil, the official language is Portuguese", "the official language is Portuguese"),
        ("not Graz", "not Graz"),
    ],
)
def test_asides(text: str, kept: str) -> None:
    assert without_asides(text) == kept
