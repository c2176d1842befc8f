"""The forms of sentences that name something."""

from agents.answers import naming_words


def test_every_form_has_a_value_and_no_form_matches_a_name_alone() -> None:
    for form in naming_words.FORMS:
        assert "value" in form.groupindex
        assert form.fullmatch("Canberra") is None


def test_a_title_with_a_verb_in_capitals_has_no_copula() -> None:
    assert naming_words.COPULA.search("Life Is Beautiful") is None
    assert naming_words.COPULA.search("Life is beautiful") is not None
