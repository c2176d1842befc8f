"""Own replies, corrected: what is taught of them, in two halves that go on where they stopped."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from agents.transcript import Transcript
from distill.corpus import CorpusSummary, prepare
from distill.errors import TrainingError
from distill.graph import interaction_graph
from distill.network import Network
from distill.on_policy import corrected, train_on_policy
from distill.pairs import NO_VOTE, Lesson, Selection, lesson
from distill.specification import TrainingSpec
from distill.train import METRICS, TrainingResult

Discuss = Callable[..., Transcript]
SELECTION = Selection(level="on-policy", longest_reply=60, own_replies=2)
RIGHT, ALSO, WRONG, MUTE = "Four threes.\nAnswer: 12", "Twelve.\nAnswer: 12", "Seven.\nAnswer: 7", "I wonder."


def of(transcript: Transcript) -> Lesson:
    found = lesson(interaction_graph(transcript), SELECTION, len)
    assert isinstance(found, Lesson)
    return found


def test_right_replies_are_taught_and_wrong_ones_stand_against_the_panels(discuss: Discuss) -> None:
    transcript = discuss()
    panel = of(transcript)
    assert panel.texts == ("3 x 4 = 12.\nAnswer: 12\nConfidence: 0.9",)
    found, kinds = corrected(transcript, panel, [(RIGHT, True), (ALSO, True), (RIGHT, True)])
    assert (found.texts, found.taught, found.pairs) == ((RIGHT, ALSO), (0, 1), ())
    assert kinds == ["right"] * 3
    found, kinds = corrected(transcript, panel, [(RIGHT, True), (WRONG, True)])
    assert (found.texts, found.taught) == ((RIGHT, *panel.texts, WRONG), (0, 1))
    assert found.pairs == ((0, 2), (1, 2))
    assert kinds == ["right", "wrong"]
    found, kinds = corrected(transcript, panel, [(MUTE, True), (RIGHT, False)])
    assert (found.texts, found.taught, found.pairs) == ((*panel.texts, MUTE), (0,), ((0, 1),))
    assert kinds == ["unread", "cut"]
    assert (found.id, found.messages) == (panel.id, panel.messages)


def test_without_a_gold_answer_the_vote_is_right(discuss: Discuss) -> None:
    voted = discuss(answer=None).model_copy(update={"answer": "7"})
    panel = of(voted)
    assert panel.texts == ("3 + 4 = 7.\nAnswer: 7\nConfidence: 0.4",)
    _, kinds = corrected(voted, panel, [(WRONG, True), (RIGHT, True)])
    assert kinds == ["right", "wrong"]
    assert lesson(interaction_graph(discuss(answer=None)), SELECTION, len) == NO_VOTE
    gold = discuss().model_copy(update={"answer": "7"})
    assert corrected(gold, of(gold), [(WRONG, True)])[1] == ["wrong"]


def spec(tiny: Path, **changes: Any) -> TrainingSpec:
    settings = {"student": str(tiny), "rank": 4, "tokens": 1_500, "step_tokens": 300, "batch_tokens": 900}
    return TrainingSpec.model_validate(settings | {"precision": "fp32", "encoder_width": 8} | changes)


@pytest.fixture
def taught(tiny: Path, discuss: Discuss, tmp_path: Path) -> Callable[..., tuple[TrainingResult, CorpusSummary]]:
    def run(folder: str, **changes: Any) -> tuple[TrainingResult, CorpusSummary]:
        transcripts = [discuss(number) for number in range(4)]
        transcripts.insert(2, discuss(9, [["Seven.\nAnswer: 7"]]))
        sifted = CorpusSummary()
        (tmp_path / folder).mkdir(exist_ok=True)
        lessons = tmp_path / folder / "lessons.jsonl"
        prepare(transcripts, SELECTION, lessons, lambda text: len(text.encode()), sifted)
        seen: list[int] = []
        found = train_on_policy(
            spec(tiny, **changes), SELECTION, transcripts, lessons, tmp_path / folder, sifted,
            lambda one: seen.append(one.step),
        )  # fmt: skip
        assert seen == sorted(seen)
        return found, sifted

    return run


def test_both_halves_together_have_the_tokens_of_one_training(taught: Any, tmp_path: Path) -> None:
    found, sifted = taught("one")
    assert [one.step for one in found.metrics] == [1, 2, 3, 4, 5]
    assert {one.steps for one in found.metrics} == {5}
    tokens = [one.tokens for one in found.metrics]
    assert tokens == sorted(tokens)
    assert 1_500 <= tokens[-1] == found.state.tokens < 2_500
    assert sum(sifted.own.values()) == 8
    rows = [json.loads(row) for row in (tmp_path / "one" / "corrected.jsonl").read_text().splitlines()]
    assert [row["id"] for row in rows] == ["q0", "q1", "q2", "q3"]
    assert len((tmp_path / "one" / METRICS).read_text().splitlines()) == 5


def test_a_second_run_asks_nothing_again_and_ends_as_the_first(
    taught: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def state(found: TrainingResult) -> list[torch.Tensor]:
        return [one.detach().clone() for one in found.network.trainable().values()]

    first, sifted = taught("one")
    replies = Network.replies

    def fall(*_: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(Network, "replies", fall)
    with pytest.raises(KeyboardInterrupt):
        taught("two")
    again, counted = taught("one")
    monkeypatch.setattr(Network, "replies", replies)
    gone_on, _ = taught("two")
    assert counted.own == sifted.own
    for other in (again, gone_on):
        assert all(torch.equal(a, b) for a, b in zip(state(first), state(other), strict=True))
        assert [one.next_token for one in other.metrics] == [one.next_token for one in first.metrics]


def test_the_second_half_goes_on_from_the_first(taught: Any, tmp_path: Path) -> None:
    found, _ = taught("one", learning_rate=1e-30)
    kept = tmp_path / "one" / "first" / "trained.safetensors"
    other = {name: torch.full_like(one, 0.25) for name, one in found.network.trainable().items()}
    save_file(other, kept)
    shutil.rmtree(tmp_path / "one" / "second")
    found, _ = taught("one", learning_rate=1e-30)
    assert all(torch.equal(one, other[name]) for name, one in found.network.trainable().items())


def test_one_step_is_too_few(taught: Any) -> None:
    with pytest.raises(TrainingError, match="at least two steps"):
        taught("one", tokens=300)
