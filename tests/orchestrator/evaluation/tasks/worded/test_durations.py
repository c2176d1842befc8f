import datetime
import re

from orchestrator.evaluation.tasks.task import SPLITS
from orchestrator.evaluation.tasks.worded.durations import TASK


def test_the_time_is_what_a_clock_shows() -> None:
    for question in (question for split in SPLITS for question in TASK.questions(split, 300)):
        (start,) = re.findall(r"\d\d:\d\d", question.question)
        (minutes,) = re.findall(r"(\d+) minutes", question.question)
        end = datetime.datetime.strptime(start, "%H:%M") + datetime.timedelta(minutes=int(minutes))
        assert question.answer == end.strftime("%H:%M")
