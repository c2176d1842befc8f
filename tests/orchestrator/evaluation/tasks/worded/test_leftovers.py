import re

from orchestrator.evaluation.tasks.task import SPLITS
from orchestrator.evaluation.tasks.worded.leftovers import TASK

FORMS = (
    r"has (?P<n>\d+) \w+ with (?P<k>\d+) \w+ in each. \w+ uses (?P<s>\d+)",
    r"Out of (?P<n>\d+) \w+ holding (?P<k>\d+) \w+ apiece, \w+ handed (?P<s>\d+)",
    r"started with (?P<n>\d+) times (?P<k>\d+) .* needed (?P<s>\d+)",
    r"(?P<s>\d+) \w+: that .* store of (?P<n>\d+) .* with (?P<k>\d+)",
)


def test_what_is_left_is_what_the_text_says() -> None:
    questions = [question for split in SPLITS for question in TASK.questions(split, 200)]
    for form in FORMS:
        found = [(match, one.answer) for one in questions if (match := re.search(form, one.question))]
        assert found, form
        for match, answer in found:
            assert answer == str(int(match["n"]) * int(match["k"]) - int(match["s"]))
