import re

from orchestrator.evaluation.tasks.task import SPLITS
from orchestrator.evaluation.tasks.worded.ranking import TASK
from orchestrator.evaluation.tasks.worded.vocabulary import VOCABULARIES

UP = r"(?:older|taller|faster|stronger)"
DOWN = r"(?:younger|shorter|slower|weaker)"
FORMS = (
    rf"(?P<a>\w+) is {UP} than (?P<b>\w+)",
    rf"(?P<b>\w+) is {DOWN} than (?P<a>\w+)",
    rf"[Oo]f (?P<a>\w+) and (?P<b>\w+), (?P=a) is the {UP} one",
    r"(?P<b>\w+) is not as \w+ as (?P<a>\w+)",
    r"(?P<a>\w+) > (?P<b>\w+)",
    rf"ompared with (?P<b>\w+), (?P<a>\w+) is {UP}",
    rf"(?P<b>\w+) cannot match (?P<a>\w+), who is {UP}",
    rf"(?P<a>\w+) \({UP}\) and (?P<b>\w+) \({DOWN}\)",
    rf"(?P<b>\w+) turned out to be {DOWN} than (?P<a>\w+)",
)


def test_the_name_is_what_the_comparisons_say() -> None:
    used: set[str] = set()
    for split in SPLITS:
        for question in TASK.questions(split, 200):
            text = question.question
            found = [(form, match["a"], match["b"]) for form in FORMS for match in re.finditer(form, text)]
            people = set(VOCABULARIES[split].names)
            pairs = [(above, below) for _, above, below in found if {above, below} <= people]
            used.update(form for form, *_ in found)
            assert len(pairs) == 3, question
            next_below = dict(pairs)
            (top,) = set(next_below) - set(next_below.values())
            order = [top]
            while order[-1] in next_below:
                order.append(next_below[order[-1]])
            assert len(order) == 4
            place = 1 if "the second " in text else 0 if re.search("oldest|tallest|fastest|strongest", text) else 3
            assert question.answer == order[place], question
    assert used == set(FORMS)
