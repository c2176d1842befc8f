"""Every worded task: seeded, endless, and with splits that differ in their wordings, not only in names and numbers."""

import difflib
import importlib
import re
from typing import Any

import pytest

from agents import answers
from orchestrator.evaluation.tasks.registry import WORDED
from orchestrator.evaluation.tasks.task import SPLITS, Task
from orchestrator.evaluation.tasks.worded.vocabulary import VOCABULARIES
from orchestrator.evaluation.tasks.worded.wording import Wordings

TASKS = pytest.mark.parametrize("task", WORDED, ids=lambda task: task.name)
VOCABULARY = {
    word
    for own in VOCABULARIES.values()
    for words in (own.names, own.things, own.containers, own.events, own.words)
    for word in words
}
CALENDAR = {"Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"}


def masked(text: str) -> str:
    """A question without its names, things and numbers."""
    tokens = [
        "_" if word in VOCABULARY | CALENDAR or word.removesuffix("s") in VOCABULARY or word.isdigit() else word
        for word in re.findall(r"\w+|[^\w\s]", text)
    ]
    return re.sub(r"_( ,)?( _( ,)?)*", "_", " ".join(token for token in tokens if token not in ("a", "an")))


def wordings(task: Task) -> Wordings[Any]:
    found = importlib.import_module(f"orchestrator.evaluation.tasks.worded.{task.name}").WORDINGS
    assert isinstance(found, Wordings)
    return found


def text_of(wording: Any) -> str:
    """All of a wording's fixed words, with one mark for each slot."""
    parts = [wording] if isinstance(wording, str) else [part for part in wording if isinstance(part, str)]
    return re.sub(r"\{\w+\}", "_", " ".join(parts)).casefold()


@TASKS
def test_no_test_question_equals_another_splits_up_to_names_things_and_numbers(task: Task) -> None:
    texts = {
        split: {masked(q.question) for seed in (0, 1) for q in task.questions(split, 400, seed)} for split in SPLITS
    }
    assert not texts["test"] & texts["train"]
    assert not texts["test"] & texts["validation"]
    assert not texts["validation"] & texts["train"]


def test_masking_makes_questions_of_one_wording_equal() -> None:
    (task,) = [task for task in WORDED if task.name == "shopping"]
    assert len({masked(question.question) for question in task.questions("test", 400)}) == 4


@TASKS
def test_the_wordings_of_two_splits_are_not_near_copies(task: Task) -> None:
    found = wordings(task)
    assert (len(found.train) >= 8, len(found.validation) >= 3, len(found.test) >= 4) == (True, True, True)
    for one, others in ((found.test, found.train + found.validation), (found.validation, found.train)):
        for text in map(text_of, one):
            for other in map(text_of, others):
                alike = difflib.SequenceMatcher(None, text.split(), other.split(), autojunk=False).ratio()
                assert alike < 0.65, (text, other)


@TASKS
def test_each_wording_of_a_split_is_used(task: Task) -> None:
    for split in SPLITS:
        fixed = [re.split(r"\{\w+\}", text_with_slots(one)) for one in wordings(task).of(split)]
        texts = [question.question for question in task.questions(split, 400)]
        for pieces in fixed:
            longest = max(pieces, key=len)
            assert any(longest in text for text in texts), longest


def text_with_slots(wording: Any) -> str:
    """The text of a wording that frames the question."""
    if isinstance(wording, str):
        return wording
    return max((part for part in wording if isinstance(part, str)), key=lambda part: len(part))


@TASKS
@pytest.mark.parametrize("split", SPLITS)
def test_gold_is_right_wrong_is_wrong_and_the_solution_leads_to_gold(task: Task, split: Any) -> None:
    for problem in task.problems(split, 400, seed=1):
        question = problem.question
        assert answers.score(question.answer, question) == 1.0, question
        assert answers.score(problem.wrong, question) == 0.0, problem
        assert question.answer is not None
        assert answers.extract(f"{problem.solution}\nAnswer: {question.answer}", question) == answers.canonical(
            question.answer, question.kind
        )
        assert 10 < len(problem.solution) < 140
        if task.name == "spelling":
            assert "".join(re.findall(r": (\w)\.", problem.solution)) == question.answer
        elif task.name != "tracking":
            assert problem.solution.endswith(f" {question.answer}."), problem
        else:
            assert question.answer in problem.solution.split(". ")[-1]


@TASKS
def test_arithmetic_in_solutions_is_right(task: Task) -> None:
    for split in SPLITS:
        for problem in task.problems(split, 200):
            for left, sign, right, result in re.findall(r"(\d+) ([-+*/]) (\d+) = (\d+)\.", problem.solution):
                one, other = int(left), int(right)
                known = {"+": one + other, "-": one - other, "*": one * other, "/": one / other}
                assert known[sign] == int(result), problem


@TASKS
def test_no_answer_is_given_to_more_than_a_quarter(task: Task) -> None:
    gold = [question.answer for question in task.questions("test", 1000)]
    assert max(map(gold.count, set(gold))) < 275


@TASKS
def test_questions_are_determined_by_split_and_seed_and_do_not_repeat(task: Task) -> None:
    for split in SPLITS:
        some = task.questions(split, 1000, seed=7)
        assert len({question.question for question in some}) == 1000
        assert task.questions(split, 20, seed=7) == some[:20]
        assert task.questions(split, 20, seed=8) != some[:20]
        assert all(question.split == split and question.task == task.name and question.skills for question in some)


@TASKS
def test_nouns_have_the_right_article_and_nothing_is_left_open(task: Task) -> None:
    for split in SPLITS:
        for question in task.questions(split, 400):
            assert not re.search(r"\ba [aeio]|\b[Aa]n [^aeiouh]|[{}]|  ", question.question), question
            assert not re.search(r"\b1 [a-z]+s\b", question.question), question


def test_each_skill_but_few_is_shared_by_tasks() -> None:
    skills = [skill for task in WORDED for skill in task.skills]
    assert {skill for skill in skills if skills.count(skill) > 1} >= {
        "multiplication", "addition", "subtraction", "money", "time", "letters", "order", "counting", "comparison"
    }  # fmt: skip
    assert all(2 <= len(task.skills) <= 3 for task in WORDED)
