"""Four people compared in pairs: who is the oldest, the slowest, the second tallest?"""

from __future__ import annotations

from random import Random

from orchestrator.evaluation.tasks.task import Draft
from orchestrator.evaluation.tasks.worded.vocabulary import SplitVocabulary
from orchestrator.evaluation.tasks.worded.wording import Wordings, worded

WORDINGS = Wordings(
    train=(
        ("{a} is {more} than {b}", "{x}. {y}. {z}. Who is the {asked}?"),
        ("{b} is {less} than {a}", "{x}. {y}. {z}. Who is the {asked} of the four?"),
        ("{a} is {more} than {b}", "Who is the {asked} of four friends, if {x}, {y} and {z}?"),
        ("{a} is {more} than {b}", "Notes:\n- {x}\n- {y}\n- {z}\nQuestion: who is the {asked}?"),
        ("{b} is {less} than {a}", '"{x}," says the teacher. "{y}, and {z}." Who is the {asked}?'),
        ("{a} is {more} than {b}", "It is known that {x}. It is also known that {y} and that {z}. Who is the {asked}?"),
        ("{a} is {more} than {b}", "Four people meet {d} times a week. {x}, {y}, {z}. Who of them is the {asked}?"),
        ("{b} is {less} than {a}", "Because {x}, {y}, and {z}, one of the four must be the {asked}. Who?"),
    ),
    validation=(
        ("of {a} and {b}, {a} is the {more} one", "Pairs were compared: {x}; {y}; {z}. Give the name of the {asked}."),
        ("{b} is not as {plain} as {a}", "{x}; {y}; {z}. Find the {asked} person in this group."),
        ("{a} > {b}", "The sign > means {more}. {x}, {y}, {z}. Give the name of the {asked}."),
    ),
    test=(
        ("compared with {b}, {a} is {more}", "As everybody knows, {x}; likewise, {y}; and finally, {z}. If all stood "
        "in a row by this measure, who would be the {asked}?"),
        ("{b} cannot match {a}, who is {more}", "A reporter found out three things. First, {x}. Second, {y}. Third, "
        '{z}. The headline speaks of "the {asked} person in town". Which name does it print?'),
        ("{a} ({more}) and {b} ({less})", "Three photos show two people each: {x}; {y}; {z}. Across all photos, tell "
        "who the {asked} is."),
        ("{b} turned out to be {less} than {a}", '"Who is the {asked} here?" asked a visitor on day {d} of the trip. '
        "The guide had checked: {x}, {y}, and {z}. What should the guide reply?"),
    ),
)  # fmt: skip
_SCALES = (
    ("old", "older", "younger", "oldest", "youngest"),
    ("tall", "taller", "shorter", "tallest", "shortest"),
    ("fast", "faster", "slower", "fastest", "slowest"),
    ("strong", "stronger", "weaker", "strongest", "weakest"),
)


def _draft(rng: Random, own: SplitVocabulary, wording: tuple[str, str]) -> Draft:
    clause, text = wording
    people = rng.sample(own.names, 4)
    plain, more, less, most, least = rng.choice(_SCALES)
    asked, place = rng.choice(((most, 0), (least, 3), (f"second {most}", 1)))
    x, y, z = (
        clause.format(a=people[above], b=people[above + 1], more=more, less=less, plain=plain)
        for above in rng.sample(range(3), 3)
    )
    question = text.format(x=x, y=y, z=z, asked=asked, more=more, d=rng.randint(2, 6))
    solution = f"{' > '.join(people)}. {asked.capitalize()}: {people[place]}."
    return Draft(question, people[place], solution, rng.choice([name for name in people if name != people[place]]))


TASK = worded("ranking", "text", ("comparison", "order"), _draft, WORDINGS)
