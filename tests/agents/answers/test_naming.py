"""Short answers in words: what a sentence names, with the question and without it."""

import pytest

from agents.answers.naming import named, statement


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("The largest planet is Jupiter.", "Jupiter"),
        ("Jupiter is the largest planet.", "Jupiter"),
        ("Jupiter, the largest planet in our solar system.", "Jupiter"),
        ("It is called The Blue Danube.", "The Blue Danube"),
        ("The moon landing took place in 1969.", "1969"),
        ("Emma was written by Jane Austen in 1815.", "Jane Austen"),
        ("At the end, Alice has the red ball.", "the red ball"),
        ("The landmark is the Eiffel Tower, built in 1889.", "the Eiffel Tower"),
        ("Many people think it is Sydney, but the capital is actually Canberra.", "Canberra"),
        ("The Good, the Bad and the Ugly", "The Good, the Bad and the Ugly"),
        ("Life Is Beautiful", "Life Is Beautiful"),
    ],
)
def test_the_form_of_a_sentence_tells_its_answer(text: str, name: str) -> None:
    assert named(text) == name


@pytest.mark.parametrize(
    ("question", "name"),
    [
        ("Who invented the World Wide Web?", "Tim Berners-Lee"),
        ("When was the World Wide Web invented?", "1989"),
        ("Why did it matter?", "Tim Berners-Lee"),
    ],
)
def test_the_question_tells_which_part_of_a_sentence_is_new(question: str, name: str) -> None:
    assert named("Tim Berners-Lee invented the World Wide Web in 1989 while working at CERN.", question) == name


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("Canberra\n\nExplanation: Sydney is larger, yet Canberra is the capital.", "Canberra"),
        ("The capital is Canberra. It was chosen in 1908.", "The capital is Canberra."),
        ("Sydney is larger. So the capital is Canberra.", "So the capital is Canberra."),
        ("It was **J. K. Rowling** who wrote it.\nShe is British.", "J. K. Rowling"),
        ("F. Scott Fitzgerald wrote it.", "F. Scott Fitzgerald wrote it."),
    ],
)
def test_the_part_of_a_reply_that_answers(text: str, part: str) -> None:
    assert statement(text) == part
