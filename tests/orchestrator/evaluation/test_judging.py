"""Pairwise judging: rates, lengths, a person's labels, and judges that cannot be read."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from orchestrator.collegium import Collegium
from orchestrator.errors import BadInput
from orchestrator.evaluation.judging import Judged, Pair, length_controlled, pair_result, read_labels
from orchestrator.evaluation.report.terminal import judged_table

SCRIPTS = """
import json

def _verdict(messages, choose):
    text = messages[-1][1]
    first = text.split("Reply A:\\n<reply>\\n")[1].split("\\n</reply>")[0]
    second = text.split("Reply B:\\n<reply>\\n")[1].split("\\n</reply>")[0]
    return json.dumps({"reason": "x", "better": choose(first, second)})

def kind(messages, seed):
    return "Welcome, dear friend!"

def curt(messages, seed):
    return "Hi."

def warm(messages, seed):
    return _verdict(messages, lambda a, b: "A" if "dear" in a else "B" if "dear" in b else "tie")

def warmer(messages, seed):
    return warm(messages, seed)

def first(messages, seed):
    return _verdict(messages, lambda a, b: "A")

def mad(messages, seed):
    return '"Both are lovely."'

def dead(messages, seed):
    raise ValueError("gone")
"""


def pairs(count: int) -> list[Pair]:
    return [Pair(f"q{n}", "Hi?", "x" * (10 + n), "y" * 10) for n in range(count)]


def result(scores: list[float | None], labels: dict[str, str] | None = None, **judges: list[float | None]) -> Any:
    judged = Judged({"j": scores, **judges}, sum(one is None for one in scores), 0, 2 * len(scores))
    return pair_result("m", "n", pairs(len(scores)), judged, labels or {}, 0)


def test_a_tie_is_half_and_what_cannot_be_read_is_left_out() -> None:
    found = result([1.0, 0.5, 0.0, None, 0.75])
    assert (found.wins, found.ties, found.losses, found.judged, found.questions) == (2, 1, 1, 4, 5)
    assert found.win_rate.value == pytest.approx(2.25 / 4)
    assert (found.unreadable, found.between_judges) == (1, None)
    assert result([None, None]).win_rate is None


def test_a_clean_sweep_has_no_interval_of_nothing() -> None:
    assert result([1.0] * 10).win_rate.low < 0.8
    assert result([0.0] * 10).win_rate.high > 0.2


def test_judges_and_people_agree_or_not() -> None:
    found = result([1.0, 0.0, 0.5], {"q0": "m", "q1": "m", "q9": "m"}, k=[1.0, 1.0, None])
    assert found.between_judges == 0.5
    assert (found.labelled, found.agreement) == (2, 0.5)  # q1: the judges' mean is a tie


def test_whoever_wins_by_length_alone_wins_nothing_at_equal_lengths() -> None:
    rng = np.random.default_rng(0)
    lengths = rng.normal(100, 100, 400)
    by_length = (rng.random(400) < 1 / (1 + np.exp(-3 * np.tanh(lengths / lengths.std())))).astype(float)
    assert by_length.mean() > 0.7
    assert abs(length_controlled(by_length, lengths) - 0.5) < 0.1
    by_merit = np.ones(50)
    assert length_controlled(by_merit, np.zeros(50)) > 0.9


@pytest.fixture
def judged_zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    (tmp_path / "judging_scripts.py").write_text(SCRIPTS)
    monkeypatch.syspath_prepend(str(tmp_path))
    names = ("kind", "curt", "warm", "warmer", "first", "mad", "dead")
    rows = [json.dumps({"id": f"c{n}", "question": f"Hello number {n}!", "split": "test"}) for n in range(6)]
    (tmp_path / "chats.jsonl").write_text("\n".join(rows))
    config = {
        "experts": {name: {"script": f"judging_scripts:{name}"} for name in names},
        "workers": {"engine": "scripted", "in_process": True},
        "state": str(tmp_path / "state"),
        "runs": str(tmp_path / "runs"),
        "discussions": {"kindly": "judging_panels:kindly", "curtly": "judging_panels:curtly"},
    }
    (tmp_path / "judging_panels.py").write_text(
        "async def kindly(c):\n    await c.open([0])\n    c.vote('majority')\n\n"
        "async def curtly(c):\n    await c.open([1])\n    c.vote('majority')\n"
    )
    with Collegium(config) as collegium:
        yield collegium, {
            "task": str(tmp_path / "chats.jsonl"), "methods": ["kindly", "curtly"], "questions": 6, "split": "test",
            "panel": ["kind", "curt"],
        }  # fmt: skip


def judged(made: Any, *judges: str, **more: Any) -> Any:
    collegium, asking = made
    (one,) = collegium.run(**asking, judge=list(judges), **more).report.judged
    return one


def test_a_run_is_judged_in_both_orders(judged_zoo: Any, tmp_path: Path) -> None:
    found = judged(judged_zoo, "warm")
    assert (found.method, found.against, found.wins, found.calls) == ("curtly", "kindly", 0, 2 * found.losses)
    assert found.win_rate.value == 0.0
    assert judged(judged_zoo, "warm", judge_against="curtly").win_rate.value == 1.0
    several = judged(judged_zoo, "warm", "warmer")
    assert (several.between_judges, several.win_rate.value) == (1.0, 0.0)
    for better, agreement in (("kindly", 1.0), ("tie", 0.0)):
        rows = [json.dumps({"id": f"c{n}", "better": better}) for n in range(6)]
        (tmp_path / "labels.jsonl").write_text("\n".join(rows))
        labelled = judged(judged_zoo, "warm", judge_labels=str(tmp_path / "labels.jsonl"))
        assert (labelled.labelled, labelled.agreement) == (labelled.judged, agreement)


def test_a_judge_that_follows_the_order_finds_nothing(judged_zoo: Any) -> None:
    found = judged(judged_zoo, "first")
    assert (found.judged, found.ties, found.win_rate) == (0, 0, None)
    assert found.ordered == found.calls > 0
    table = io.StringIO()
    Console(file=table, width=200).print(judged_table([found]))
    assert "nothing could be judged: verdicts followed the order" in table.getvalue()
    beside = judged(judged_zoo, "warm", "first")
    assert (beside.win_rate.value, beside.losses, beside.ordered) == (0.0, beside.judged, beside.calls // 2)


def test_judges_that_cannot_be_read_or_fail_are_their_own_numbers(judged_zoo: Any) -> None:
    found = judged(judged_zoo, "mad")
    assert (found.judged, found.unreadable, found.failed, found.win_rate) == (0, found.calls, 0, None)
    found = judged(judged_zoo, "dead", "warm")
    assert (2 * found.failed, found.unreadable, found.judged) == (found.calls, 0, found.losses)


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ({"judge": ["nobody"]}, "judge: no expert 'nobody'"),
        ({"judge": ["warm"], "judge_against": "vote"}, "judge_against"),
        ({"judge": ["warm"], "methods": ["kindly"]}, "judge: "),
        ({"judge_labels": "x"}, "judge_labels: "),
    ],
)
def test_what_is_wrong_is_named(judged_zoo: Any, more: Any, named: str) -> None:
    collegium, asking = judged_zoo
    with pytest.raises(BadInput, match=named):
        collegium.run(**{**asking, **more})


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("no", ":1: "), ('{"id": "a"}', ":1: better"), ('{"id": "a", "better": "x"}', "none of m, n, tie"),
        ('{"id": "a", "better": "m"}\n{"id": "a", "better": "n"}', ":2: id: 'a' stands twice"),
        ('{"id": "a", "better": "m", "why": 1}', "why"),
    ],
)  # fmt: skip
def test_labels_are_read_strictly(tmp_path: Path, line: str, named: str) -> None:
    (tmp_path / "l.jsonl").write_text(line)
    with pytest.raises(BadInput, match=named):
        read_labels(tmp_path / "l.jsonl", ["m", "n"])


def test_a_comparison_is_judged_as_a_run_is(judged_zoo: Any) -> None:
    collegium, asking = judged_zoo
    report = collegium.run(**asking, judge=["warm"], judge_against="kindly", compare=True, fit_questions=6).report
    found = {one.method: one for one in report.judged}
    assert {"curtly", "vote", "self-refine"} <= found.keys()
    assert "best" not in {method.method for method in report.methods}  # chats without gold answers name no best one
    assert (found["curtly"].losses, found["curtly"].ordered) == (found["curtly"].questions, 0)
    assert (found["vote"].ties, found["vote"].calls) == (found["vote"].questions, 0)  # kindly's own replies
