"""The first, second or last letters of three words, joined."""

from __future__ import annotations

from random import Random

from agents.answers import canonical
from orchestrator.evaluation.tasks.task import Draft
from orchestrator.evaluation.tasks.worded.vocabulary import SplitVocabulary
from orchestrator.evaluation.tasks.worded.wording import Wordings, worded

WORDINGS = Wordings(
    train=(
        'Take the {which} letters of the words "{u} {v} {w}" and join them.',
        "What do you get if you join the {which} letter of {u}, the {which} letter of {v} and the {which} letter of "
        "{w}?",
        "Words: {u}, {v}, {w}. Write down their {which} letters as one string.",
        "{name} writes {u}, {v} and {w} on a board and underlines the {which} letter of each word. Which letters are "
        "underlined? Write them together.",
        "From each of {u}, {v}, {w} take the {which} letter. What string do they form?",
        '"Read me only the {which} letters of {u}, {v} and {w}," says {name}. Which three letters are read? Write them '
        "without spaces.",
        "The {which} letters of three words are put together: {u}, {v}, {w}. What is the result?",
        "A code of {name} has three letters: each is the {which} letter of a word. The words are {u}, {v} and {w}. "
        "What is the code?",
    ),
    validation=(
        '{name} keeps the {which} letter of every word in the note "{u} {v} {w}" and strikes out all other letters. '
        "What is left, written as one piece?",
        "List of {name}: {u} / {v} / {w}. Asked for: every {which} letter, with nothing in between.",
        "What appears when {u} gives {name} its {which} letter, {v} then gives its own {which} letter, and so does "
        "{w}?",
    ),
    test=(
        "A password is made by {name} out of {u}, {v} and {w}: just the {which} letter of each one counts. Type the "
        "password.",
        "Look at {u}, at {v}, and at {w}. Each time, note the {which} letter; do not leave gaps. What have you noted?",
        '"I hid something in {u} {v} {w}," whispers {name}. "Use the {which} letter, three times." What was hidden?',
        "Paper strips that show {u}, {v}, {w} are cut up by {name}, {d} minutes before lunch, and nothing but the "
        "piece with the {which} letter survives from each. Side by side in the same order, what do the pieces spell?",
    ),
)
_PLACES = {"first": 0, "second": 1, "last": -1}


def _draft(rng: Random, own: SplitVocabulary, wording: str) -> Draft:
    which = rng.choice(tuple(_PLACES))
    letters = list("see")
    while canonical("".join(letters), "text") is None:  # "Answer: see" refers to something and is no answer
        words = rng.sample(own.words, 3)
        letters = [word[_PLACES[which]] for word in words]
    u, v, w = words
    text = wording.format(which=which, u=u, v=v, w=w, name=rng.choice(own.names), d=rng.randint(3, 20))
    steps = [f"{' '.join(word)}: {letter}." for word, letter in zip(words, letters, strict=True)]
    spoiled, place = list(letters), rng.randrange(3)
    spoiled[place] = rng.choice([letter for letter in words[place] + "e" + "t" if letter != letters[place]])
    return Draft(text, "".join(letters), " ".join(steps), "".join(spoiled))


TASK = worded("spelling", "text", ("letters", "order"), _draft, WORDINGS)
