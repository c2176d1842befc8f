import re

from orchestrator.evaluation.tasks.task import SPLITS
from orchestrator.evaluation.tasks.worded.spelling import TASK
from orchestrator.evaluation.tasks.worded.vocabulary import VOCABULARIES


def test_the_letters_are_those_of_the_words() -> None:
    for split in SPLITS:
        for problem in TASK.problems(split, 300):
            text, answer = problem.question.question, problem.question.answer
            words = re.findall(r"((?:\w )+\w):", problem.solution)
            spelled = [word.replace(" ", "") for word in words]
            assert set(spelled) <= set(VOCABULARIES[split].words)
            places = [re.search(rf"\b{word}\b", text) for word in spelled]
            assert [found.start() for found in places if found] == sorted(found.start() for found in places if found)
            assert len(spelled) == 3
            assert all(places)
            (which,) = set(re.findall(r"\b(first|second|last) letter", text))
            assert answer == "".join(word[{"first": 0, "second": 1, "last": -1}[which]] for word in spelled)


def test_no_answer_is_a_reference_to_something_else() -> None:
    assert "see" not in {question.answer for seed in range(4) for question in TASK.questions("test", 1500, seed)}
