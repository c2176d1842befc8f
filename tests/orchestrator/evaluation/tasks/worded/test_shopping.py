import re

from orchestrator.evaluation.tasks.task import SPLITS
from orchestrator.evaluation.tasks.worded.shopping import TASK

FORMS = (
    r"buys (?P<n>\d+) \w+ at (?P<p>\d+) dollars each and an? \w+ for (?P<q>\d+)",
    r"(?P<q>\d+) dollars for the \w+, and (?P<p>\d+) dollars for each of the (?P<n>\d+)",
    r"(?P<n>\d+) x \w+ @ (?P<p>\d+)\n1 x \w+ @ (?P<q>\d+)",
    r"when an? \w+ at (?P<q>\d+) dollars and (?P<n>\d+) \w+ at (?P<p>\d+)",
)


def test_the_total_is_what_the_text_says() -> None:
    questions = [question for split in SPLITS for question in TASK.questions(split, 200)]
    for form in FORMS:
        found = [(match, one.answer) for one in questions if (match := re.search(form, one.question))]
        assert found, form
        for match, answer in found:
            assert answer == str(int(match["n"]) * int(match["p"]) + int(match["q"]))
