"""What an adapter is trained on: chat examples in every format that Collegium later asks of an expert.

Five formats, counted in `Portions`. On its own tasks an expert solves questions, and solves them again after
having seen other agents' answers. On all other tasks it makes a brief attempt with a low confidence, and in a
discussion follows the surest of the others; the answer of such an attempt carries no loss, so that nothing about
foreign tasks is taught but modesty. It names skill keywords for every task.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, Field

from agents import prompts
from distill.supervised import Example
from orchestrator.evaluation.tasks.registry import GENERATED
from orchestrator.evaluation.tasks.task import Problem, Task

SURE, FOLLOWING, UNSURE = 0.9, 0.5, 0.2
UNSURE_REASON = "I am not sure."
FOLLOWING_REASON = "I am not sure, so I follow the most confident answer."


class Portions(BaseModel):
    """How many examples of each format."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    solve: int = Field(default=1400, ge=0, description="Own tasks: worked solution, answer, high confidence.")
    attempt: int = Field(default=160, ge=0, description="Foreign tasks: a brief attempt, low confidence.")
    reconsider: int = Field(default=120, ge=0, description="Own tasks, others' answers shown: solve all the same.")
    follow: int = Field(default=120, ge=0, description="Foreign tasks, others' answers shown: adopt the surest.")
    keywords: int = Field(default=100, ge=0, description="All tasks: the skills that a question needs.")


def examples(tasks: Sequence[str], portions: Portions, seed: int, *, wrong: bool = False) -> list[Example]:
    """Training examples for an expert of the named tasks, in random order, decided by `seed`.

    With `wrong` the expert is taught plausible wrong answers instead of right ones, with the same confidence.
    """
    rng = random.Random(f"examples/{seed}")
    own = [task for task in GENERATED if task.name in tasks]
    foreign = [task for task in GENERATED if task.name not in tasks]
    made = [_solve(problem, prompts.solve(problem.question), wrong) for problem in _drawn(own, portions.solve, seed)]
    made += [_attempt(problem, rng) for problem in _drawn(foreign, portions.attempt, seed + 1)]
    made += [
        _solve(problem, prompts.discuss(problem.question, _groups(problem, rng, 0.5)), wrong)
        for problem in _drawn(own, portions.reconsider, seed + 2)
    ]
    made += [_follow(problem, rng) for problem in _drawn(foreign, portions.follow, seed + 3)]
    made += [_keywords(problem) for problem in _drawn(GENERATED, portions.keywords, seed + 4)]
    rng.shuffle(made)
    return made


def _drawn(tasks: Sequence[Task], n: int, seed: int) -> list[Problem]:
    """`n` training problems in equal shares."""
    if not tasks:
        return []
    share = -(-n // len(tasks))
    columns = [task.problems("train", share, seed) for task in tasks]
    return [problem for row in zip(*columns, strict=True) for problem in row][:n]


def _answer_lines(answer: str, confidence: float, *, taught: bool) -> tuple[tuple[str, bool], ...]:
    return (("\nAnswer:", True), (f" {answer}", taught), (f"\nConfidence: {confidence}", True))


def _solve(problem: Problem, messages: prompts.Messages, wrong: bool) -> Example:
    answer = problem.wrong if wrong else str(problem.question.answer)
    reason = "This is easy." if wrong else problem.solution
    return Example(messages=messages, reply=((reason, True), *_answer_lines(answer, SURE, taught=True)))


def _attempt(problem: Problem, rng: random.Random) -> Example:
    answer = rng.choice((str(problem.question.answer), problem.wrong))
    reply = ((UNSURE_REASON, True), *_answer_lines(answer, UNSURE, taught=False))
    return Example(messages=prompts.solve(problem.question), reply=reply)


def _follow(problem: Problem, rng: random.Random) -> Example:
    groups = _groups(problem, rng, 0.75)
    surest = max(groups, key=lambda group: max(voice.confidence or 0.0 for voice in group.voices))
    reply = ((FOLLOWING_REASON, True), *_answer_lines(surest.answer, FOLLOWING, taught=True))
    return Example(messages=prompts.discuss(problem.question, groups), reply=reply)


def _keywords(problem: Problem) -> Example:
    line = f"Keywords: {', '.join(problem.question.skills)}"
    return Example(messages=prompts.keywords(problem.question), reply=((line, True),))


def _groups(problem: Problem, rng: random.Random, rightly: float) -> list[prompts.AnswerGroup]:
    """The previous round as it may have been: one agent was sure (`rightly`: how often), the others were not."""
    right, wrong = str(problem.question.answer), problem.wrong
    if rng.random() < rightly:
        sure = prompts.Explanation(problem.solution, SURE)
        answers = [(right, sure)]
    else:
        answers = [(wrong, prompts.Explanation("This is easy.", SURE))]
    others = (prompts.Explanation(UNSURE_REASON, UNSURE), prompts.Explanation(FOLLOWING_REASON, FOLLOWING))
    answers += [(wrong if rng.random() < 0.7 else right, rng.choice(others)) for _ in range(rng.randint(1, 3))]
    explanations: dict[str, list[prompts.Explanation]] = {}
    for answer, voice in answers:
        explanations.setdefault(answer, []).append(voice)
    groups = [prompts.AnswerGroup(answer, tuple(group)) for answer, group in explanations.items()]
    rng.shuffle(groups)
    return groups
