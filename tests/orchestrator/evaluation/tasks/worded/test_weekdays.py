import datetime
import re

from orchestrator.evaluation.tasks.task import SPLITS
from orchestrator.evaluation.tasks.worded.weekdays import DAYS, TASK

BACK = re.compile(r"\b(ago|before|earlier|sooner|in the past|Go back|had been waiting)\b")


def test_the_day_is_what_a_calendar_shows() -> None:
    for question in (question for split in SPLITS for question in TASK.questions(split, 300)):
        (day,) = re.findall("|".join(DAYS), question.question)
        (number,) = re.findall(r"(\d+) (?:days|more nights)", question.question)
        step = datetime.timedelta(days=-int(number) if BACK.search(question.question) else int(number))
        found = datetime.date(2024, 1, 1 + DAYS.index(day)) + step  # a Monday
        assert question.answer == found.strftime("%A"), question
