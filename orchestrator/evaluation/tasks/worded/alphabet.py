"""Which of four or five words comes first, second or last in the alphabet? Their first letters differ."""

from __future__ import annotations

from random import Random

from orchestrator.evaluation.tasks.task import Draft
from orchestrator.evaluation.tasks.worded.vocabulary import SplitVocabulary
from orchestrator.evaluation.tasks.worded.wording import Wordings, worded

WORDINGS = Wordings(
    train=(
        "Which of these words comes {which} in alphabetical order: {words}?",
        "Words: {words}. Which one is {which} in the alphabet?",
        "{name} sorts the words {words} from A to Z. Which word is {which}?",
        "Put {words} into alphabetical order. Which word is the {which} one?",
        '"I look up {words} in a dictionary," says {name}. Which of the words is {which} in the dictionary?',
        "If the list {words} is put in alphabetical order, which word stands {which}?",
        "The words {words} are printed on cards. {name} lays the cards down in the order of the alphabet. Which word "
        "is on the {which} card?",
        "{name} has learned {d} words today, among them {words}. Which of these is {which} by the alphabet?",
    ),
    validation=(
        "A register is kept from A to Z by {name}. Its entries are {words}. Name the entry in {which} place.",
        "Given {words}: after sorting by letter, what is the {which} item?",
        "Dictionary order decides. Of the candidates {words}, tell {name} who goes {which}.",
    ),
    test=(
        "{name} files folders labelled {words} by their initial, with A at the front and Z at the back. Counting from "
        "the front, what label does the {which} folder carry?",
        "Boats are called up alphabetically, and {words} are waiting. {name} would like to know the boat that is "
        "called up {which}.",
        "Suppose an index lists {words}, sorted as indexes are. Read out its {which} line.",
        '"Lesson {d}, vocabulary: {words}," notes {name}. In a word book, one of them would take the {which} position. '
        "Write it.",
    ),
)


def _draft(rng: Random, own: SplitVocabulary, wording: str) -> Draft:
    words: list[str] = []
    length = rng.choice((4, 5))
    while len(words) < length:
        word = rng.choice(own.words)
        if all(word[0] != other[0] for other in words):
            words.append(word)
    which = rng.choice(("first", "second", "last"))
    ordered = sorted(words)
    answer = ordered[{"first": 0, "second": 1, "last": -1}[which]]
    text = wording.format(which=which, words=", ".join(words), name=rng.choice(own.names), d=rng.randint(6, 40))
    solution = f"{' '.join(word[0] for word in words)}. In order: {' '.join(word[0] for word in ordered)}. "
    solution += f"{which.capitalize()} is {answer[0]}: {answer}."
    return Draft(text, answer, solution, rng.choice([word for word in words if word != answer]))


TASK = worded("alphabet", "text", ("letters", "order"), _draft, WORDINGS)
