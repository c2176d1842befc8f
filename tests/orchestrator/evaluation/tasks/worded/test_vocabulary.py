from itertools import combinations

import pytest

from orchestrator.evaluation.tasks.task import SPLITS
from orchestrator.evaluation.tasks.worded.vocabulary import VOCABULARIES, SplitVocabulary, article


def words(own: SplitVocabulary) -> list[str]:
    return [*own.names, *own.things, *own.containers, *own.events, *own.words]


@pytest.mark.parametrize(("one", "other"), list(combinations(SPLITS, 2)))
def test_no_two_splits_share_a_word(one: str, other: str) -> None:
    found = {str(split): set(words(own)) for split, own in VOCABULARIES.items()}
    assert not found[one] & found[other]


@pytest.mark.parametrize("split", SPLITS)
def test_plurals_are_formed_with_s_and_words_are_short(split: str) -> None:
    (own,) = [own for name, own in VOCABULARIES.items() if name == split]
    for noun in (*own.things, *own.containers):
        assert not noun.endswith(("s", "x", "sh", "ch", "fe", "f")), noun
        assert not (noun.endswith("y") and noun[-2] not in "aeiou"), noun
    assert all(3 <= len(word) <= 6 for word in own.words)
    for group in (own.names, own.things, own.words, own.containers, own.events):
        assert len(set(group)) == len(group)


def test_article() -> None:
    assert (article("orange"), article("lamp")) == ("an orange", "a lamp")
