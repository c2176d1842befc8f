import re

from orchestrator.evaluation.tasks.task import SPLITS
from orchestrator.evaluation.tasks.worded.measures import TASK

IN_SMALLEST = {
    "metres": 1000, "centimetres": 10, "millimetres": 1, "inches": 1, "feet": 12, "yards": 36, "seconds": 1,
    "minutes": 60, "hours": 3600, "days": 86400, "weeks": 604800, "months": 1, "years": 12, "dollars": 100, "cents": 1,
    "pounds": 16, "ounces": 1, "gallons": 4, "quarts": 1,
}  # fmt: skip


def test_the_amount_is_what_the_units_make() -> None:
    for question in (question for split in SPLITS for question in TASK.questions(split, 300)):
        parts = [(int(number), unit) for number, unit in re.findall(r"(\d+) ([a-z]+)", question.question)]
        parts += [(int(number), unit) for unit, number in re.findall(r"([a-z]+): (\d+)", question.question)]
        amounts = [(number, unit) for number, unit in parts if unit in IN_SMALLEST]
        assert len(amounts) == 2, question
        total = sum(number * IN_SMALLEST[unit] for number, unit in amounts)
        assert question.answer == str(total / min(IN_SMALLEST[unit] for _, unit in amounts)).removesuffix(".0")
