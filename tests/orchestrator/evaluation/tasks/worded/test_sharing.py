import re

from orchestrator.evaluation.tasks.task import SPLITS
from orchestrator.evaluation.tasks.worded.sharing import TASK

FORMS = (
    r"has (?P<a>\d+) \w+ and gets (?P<b>\d+) more. .* among (?P<n>\d+)",
    r"The (?P<a>\d+) .* the (?P<b>\d+) .* fill (?P<n>\d+)",
    r"when (?P<n>\d+) cousins take over the (?P<a>\d+) old and (?P<b>\d+) new",
    r"class with (?P<n>\d+) teams: (?P<a>\d+) .* another (?P<b>\d+)",
)


def test_a_share_is_what_the_text_says() -> None:
    questions = [question for split in SPLITS for question in TASK.questions(split, 200)]
    for form in FORMS:
        found = [(match, one.answer) for one in questions if (match := re.search(form, one.question))]
        assert found, form
        for match, answer in found:
            assert answer == str((int(match["a"]) + int(match["b"])) / int(match["n"])).removesuffix(".0")
