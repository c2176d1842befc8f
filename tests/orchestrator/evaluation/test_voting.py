"""The vote of recruited experts, fitted on what they answered to validation questions."""

from __future__ import annotations

import dataclasses
import json
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from agents.votes import AT_THEIR_WORD, log_odds
from orchestrator.collegium import Collegium
from orchestrator.evaluation.voting import held_out_odds
from router.embedding import Features
from router.ranking import Router, Scores
from router.routers import BestRouter, maker
from router.row import Row
from router.table import Table

EXPERTS = ("good", "one", "two", "three")


def world(count: int, recorded: bool = True) -> tuple[Table, Features]:
    """`good` is right on 70 of 100 questions, each of the others on 55, and these always agree."""
    rng, rows = random.Random(0), []
    for number in range(count):
        gold, other = rng.choice("abcd"), rng.choice("abcd")
        first = gold if rng.random() < 0.7 else other
        second = gold if rng.random() < 0.55 else rng.choice("abcd")
        answers = dict(zip(EXPERTS, (first, second, second, second), strict=True))
        right = {name: float(answer == gold) for name, answer in answers.items()}
        predictions: dict[str, str | None] = {**answers} if recorded else {}
        rows.append(Row(f"{number}", f"What is {number}?", right, answer=gold, predictions=predictions))
    return Table.from_rows(rows, EXPERTS), Features(np.ones((count, 1), np.float32))


def test_experts_that_always_agree_do_not_outvote_a_better_one_once_the_vote_is_fitted() -> None:
    (odds,) = held_out_odds(*world(400), BestRouter.fit, [4])
    replies, chances = ["a", "b", "b", "b"], [0.75, 0.6, 0.6, 0.6]
    assert log_odds(replies, chances).answer == "b"
    assert log_odds(replies, chances, odds).answer == "a"


def test_where_nothing_can_be_fitted_probabilities_are_taken_at_their_word() -> None:
    for few in (1, 2):
        assert held_out_odds(*world(few), maker("mixture"), [3]) == (AT_THEIR_WORD,)
    assert held_out_odds(*world(3), maker("mixture"), [3]) != (AT_THEIR_WORD,)
    assert held_out_odds(*world(50, recorded=False), BestRouter.fit, [3]) == (AT_THEIR_WORD,)


def test_the_odds_are_fitted_on_votes_whose_router_had_not_seen_the_question() -> None:
    scored: list[int] = []

    def fit(table: Table, features: Features) -> Router:
        router, seen = BestRouter.fit(table, features), set(features.embeddings[:, 0].tolist())

        class Watched(BestRouter):
            def score(self, questions: Features) -> Scores:
                places = questions.embeddings[:, 0].tolist()
                assert not seen & set(places)
                scored.extend(places)
                return router.score(questions)

        return Watched.fit(table, features)

    table, _ = world(40)
    held_out_odds(table, Features(np.arange(40, dtype=np.float32)[:, None]), fit, [4])
    assert sorted(scored) == list(range(40))


def test_each_question_is_fitted_with_as_many_options_as_it_has() -> None:
    """Of two improbable experts that agree on yes or no the answer is the other one, whatever they do elsewhere."""
    free, features = world(200)
    rows = [dataclasses.replace(row, extra={"kind": "yesno" if n % 2 else "text"}) for n, row in enumerate(free.rows)]
    (odds,) = held_out_odds(Table.from_rows(rows, EXPERTS), features, BestRouter.fit, [4])
    assert log_odds(["yes", "no", "no"], [0.5, 0.3, 0.3], odds, options=2).answer == "yes"


SCRIPTS = """
import random, zlib

def says(messages, right, kind):
    lot = random.Random(zlib.crc32((kind + messages[-1][1]).encode())).random()
    return "Answer: a" if lot < right else "Answer: b"

def good(messages, seed):
    return says(messages, 0.75, "good")

def one(messages, seed):
    return says(messages, 0.55, "others")

two = three = one
"""


class Same:
    """Questions that all look alike."""

    identity = "all alike"

    def features(self, texts: Sequence[str], skills: object = ()) -> Features:
        return Features(np.ones((len(texts), 1), np.float32))

    def asked(self, texts: Sequence[str], before: Sequence[str]) -> Features:
        return self.features(texts)


def test_the_mixture_of_a_run_fits_its_vote_on_the_validation_questions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "agreeing.py").write_text(SCRIPTS)
    monkeypatch.syspath_prepend(str(tmp_path))
    splits = {"validation": range(200), "test": range(200, 300)}
    lines = [
        json.dumps({"id": f"{n}", "split": split, "question": f"What is {n}?", "answer": "a", "kind": "text"})
        for split, numbers in splits.items()
        for n in numbers
    ]
    (tmp_path / "asked.jsonl").write_text("\n".join(lines))
    config = {
        "experts": {name: {"script": f"agreeing:{name}"} for name in EXPERTS},
        "workers": {"engine": "scripted", "in_process": True},
        "state": str(tmp_path / "state"),
        "runs": str(tmp_path / "runs"),
    }
    with Collegium(config) as made:
        made.__dict__["embedder"] = Same()
        options = {"questions": 100, "fit_questions": 200, "recruit": 4, "router": "best"}
        methods = made.run(task=str(tmp_path / "asked.jsonl"), methods=["best", "mixture"], **options).report.methods
    best, mixture = (next(one for one in methods if one.method == name) for name in ("best", "mixture"))
    # Taken at their word the three that agree would decide, right on about 55.
    assert mixture.overall.value >= best.overall.value - 0.02 > 0.6
