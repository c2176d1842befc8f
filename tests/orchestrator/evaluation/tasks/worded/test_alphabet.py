import re

from orchestrator.evaluation.tasks.task import SPLITS
from orchestrator.evaluation.tasks.worded.alphabet import TASK
from orchestrator.evaluation.tasks.worded.vocabulary import VOCABULARIES


def test_the_word_is_what_sorting_finds() -> None:
    for split in SPLITS:
        for question in TASK.questions(split, 300):
            (run,) = re.findall(r"\b[a-z]+(?:, [a-z]+){3,4}", question.question)
            words = [word for word in run.split(", ") if word in VOCABULARIES[split].words]
            assert len(words) in (4, 5)
            assert len({word[0] for word in words}) == len(words)
            (which,) = set(re.findall(r"\b(first|second|last)\b", question.question))
            assert question.answer == sorted(words)[{"first": 0, "second": 1, "last": -1}[which]], question
