import re

from orchestrator.evaluation.tasks.task import SPLITS
from orchestrator.evaluation.tasks.worded.change import TASK

FORMS = (
    r"for (?P<p>\d+) dollars and an? \w+ for (?P<q>\d+) dollars and pays with a (?P<note>\d+)",
    r"A (?P<note>\d+) dollar bill .* When (?P<p>\d+) .* plus (?P<q>\d+)",
    r"break a (?P<note>\d+)\?.*\((?P<p>\d+) dollars\).*\((?P<q>\d+) dollars\)",
    r"read (?P<p>\d+) dollars and (?P<q>\d+) dollars, .* using (?P<note>\d+)",
)


def test_the_change_is_what_the_text_says() -> None:
    questions = [question for split in SPLITS for question in TASK.questions(split, 200)]
    for form in FORMS:
        found = [(match, one.answer) for one in questions if (match := re.search(form, one.question))]
        assert found, form
        for match, answer in found:
            assert answer == str(int(match["note"]) - int(match["p"]) - int(match["q"]))
