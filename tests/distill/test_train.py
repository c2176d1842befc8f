"""Training: resumed bit for bit after a kill, exact accumulation, early stopping, faults told before or named after."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agents.transcript import Transcript
from distill import checkpoint
from distill.corpus import prepare
from distill.errors import LessonError, NotFinite, TrainingError
from distill.pairs import Lesson, Selection
from distill.rows import TokenRow, tokenised
from distill.specification import TrainingSpec
from distill.train import METRICS, StepMetrics, train

Discuss = Callable[..., Transcript]


def spec(tiny: Path, **changes: Any) -> TrainingSpec:
    settings = {"student": str(tiny), "rank": 4, "dropout": 0.1, "tokens": 8_000, "step_tokens": 800}
    settings |= {"batch_tokens": 900, "checkpoint_every": 2, "precision": "fp32", "encoder_width": 16}
    return TrainingSpec.model_validate(settings | changes)


def test_training_lowers_every_loss(tiny: Path, lessons: Path, tmp_path: Path) -> None:
    seen: list[StepMetrics] = []
    trained = train(spec(tiny, tokens=32_000, learning_rate=1e-2), lessons, tmp_path, seen.append)
    assert (trained.state.step, len(seen)) == (40, 40)
    assert 32_000 <= trained.state.tokens < 33_000
    for name in ("next_token", "node", "margin"):
        early, late = ([getattr(one, name) for one in part] for part in (seen[:5], seen[-5:]))
        assert sum(late) < 0.9 * sum(early), name
    assert len((tmp_path / METRICS).read_text().splitlines()) == 40


PROGRAM = """
import sys
from pathlib import Path
from distill.specification import TrainingSpec
from distill.train import train
import tests_digest
spec, lessons, folder = TrainingSpec.model_validate_json(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])
def report(metrics):
    print(metrics.step, flush=True)
print(tests_digest.digest(train(spec, lessons, folder, report)))
"""
DIGEST = """
import hashlib
def digest(trained):
    parts = [each.detach().numpy().tobytes() for each in trained.network.trainable().values()]
    return hashlib.sha256(b"".join(parts)).hexdigest()
"""


def test_a_training_that_is_killed_goes_on_bit_for_bit(tiny: Path, lessons: Path, tmp_path: Path) -> None:
    (tmp_path / "tests_digest.py").write_text(DIGEST)
    settings = spec(tiny, tokens=16_000, dropout=0.2, checkpoint_every=3, validation=0.3, evaluate_every=4)
    paths = os.pathsep.join([str(tmp_path), str(Path(__file__).parents[2])])
    command = [sys.executable, "-c", PROGRAM, settings.model_dump_json(), str(lessons), str(tmp_path / "killed")]
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) == 8:
                process.send_signal(signal.SIGKILL)
                break
    kept = checkpoint.found(tmp_path / "killed" / "checkpoints")
    assert [int(path.name) for path in kept][-1] in (6, 9, 12)
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    steps, again = done.stdout.split()[:-1], done.stdout.split()[-1]
    assert int(steps[0]) == int(kept[-1].name) + 1
    assert int(steps[-1]) == 20
    whole = subprocess.run(
        [*command[:-1], str(tmp_path / "whole")], capture_output=True, text=True, env=environment, check=True
    )
    assert whole.stdout.split()[-1] == again
    first, second = ((tmp_path / name / METRICS).read_text().splitlines() for name in ("whole", "killed"))
    timeless = [[{**json.loads(row), "seconds": 0} for row in rows] for rows in (first, second)]
    assert timeless[0] == timeless[1]


def test_accumulation_gives_the_gradient_of_the_whole_step(tiny: Path, lessons: Path, tmp_path: Path) -> None:
    settings = {"dropout": 0, "encoder_dropout": 0, "tokens": 2_400, "step_tokens": 2_400}
    whole = train(spec(tiny, batch_tokens=100_000, **settings), lessons, tmp_path / "whole")
    cut = train(spec(tiny, batch_tokens=1, **settings), lessons, tmp_path / "cut")
    assert whole.metrics[0].gradient == pytest.approx(cut.metrics[0].gradient, rel=1e-3)
    assert whole.metrics[0].next_token == pytest.approx(cut.metrics[0].next_token, rel=1e-4)
    assert whole.metrics[0].node == pytest.approx(cut.metrics[0].node, rel=1e-4)


def test_every_lesson_is_read_once_in_each_epoch(
    tiny: Path, lessons: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []

    def noted(lesson: Lesson, tokenizer: Any) -> TokenRow:
        read.append(lesson.id)
        return tokenised(lesson, tokenizer)

    monkeypatch.setattr("distill.rows.tokenised", noted)
    trained = train(spec(tiny), lessons, tmp_path / "work")
    assert trained.epochs > 2
    names = sorted(json.loads(row)["id"] for row in lessons.read_text().splitlines())
    assert sorted(read[: len(names)]) == sorted(read[len(names) : 2 * len(names)]) == names


def test_dropout_differs_from_step_to_step(tiny: Path, discuss: Discuss, tmp_path: Path) -> None:
    """One lesson again and again, and a student that does not change: only dropout tells one step from another."""
    prepare([discuss(0)], Selection(level="L4"), tmp_path / "one.jsonl", len)
    settings = {"tokens": 5_000, "step_tokens": 1, "learning_rate": 1e-30}
    stopped: list[float | None] = []

    def enough(metrics: StepMetrics) -> None:
        stopped.append(metrics.node)
        if len(stopped) == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(spec(tiny, **settings), tmp_path / "one.jsonl", tmp_path / "work", enough)
    assert len(set(stopped)) == 4


def test_every_level_takes_the_same_steps_and_tokens(tiny: Path, discuss: Discuss, tmp_path: Path) -> None:
    seen = {}
    for level in ("gold", "L1", "L2", "L3", "L4"):
        path = tmp_path / f"{level}.jsonl"
        prepare((discuss(number) for number in range(6)), Selection.model_validate({"level": level}), path, len)
        trained = train(spec(tiny, tokens=4_000), path, tmp_path / level)
        seen[level] = trained.state
        last = trained.metrics[-1]
        assert (last.node is None, last.margin is None) == (level != "L4", level not in ("L3", "L4"))
    assert {state.step for state in seen.values()} == {5}
    assert all(4_000 <= state.tokens < 4_700 for state in seen.values())


def test_it_stops_early_and_gives_back_the_best(tiny: Path, lessons: Path, tmp_path: Path) -> None:
    rising = spec(tiny, tokens=80_000, learning_rate=0.5, validation=0.3, evaluate_every=1, patience=3)
    trained = train(rising, lessons, tmp_path)
    state = trained.state
    assert state.step < rising.steps
    assert state.step == state.best_step + 3
    looked = {one.step: one.validation for one in trained.metrics}
    assert looked[state.best_step] == state.best == min(value for value in looked.values() if value is not None)


def test_full_training_and_gradient_checkpointing(tiny: Path, lessons: Path, tmp_path: Path) -> None:
    plain = train(spec(tiny, method="full", tokens=1_600, learning_rate=1e-3), lessons, tmp_path / "a")
    saving = spec(tiny, method="full", tokens=1_600, learning_rate=1e-3, gradient_checkpointing=True)
    assert train(saving, lessons, tmp_path / "b").metrics[-1].next_token == pytest.approx(
        plain.metrics[-1].next_token, rel=1e-3
    )
    assert any("embed_tokens" in name for name in plain.network.trainable())


def test_a_loss_that_is_no_number_stops_and_names_the_batch(
    tiny: Path, lessons: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from distill import network
    from distill.losses import Losses

    real = network.losses
    calls = 0

    def spoilt(*arguments: Any) -> Losses:
        nonlocal calls
        calls += 1
        found = real(*arguments)
        return found if calls < 7 else Losses(*(getattr(found, name) * float("nan") for name in found.__slots__))

    monkeypatch.setattr(network, "losses", spoilt)
    with pytest.raises(NotFinite, match=r"step \d+: the loss is not a finite number, at questions q\d+.*000000\d"):
        train(spec(tiny), lessons, tmp_path)
    kept = checkpoint.found(tmp_path / "checkpoints")
    assert kept
    monkeypatch.undo()
    assert train(spec(tiny), lessons, tmp_path).state.step == 10


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"student": "/no/where"}, "no readable config"),
        ({"targets": ["nothing_proj"]}, "targets: .*nothing_proj"),
        ({"batch_tokens": 2_000_000_000}, r"needs about .* GiB .* lower batch_tokens .* or set gradient_checkpointing"),
        ({"trackers": ["mlflow"]}, "trackers: mlflow is not installed"),
    ],
)
def test_what_cannot_work_is_told_before_training(
    tiny: Path, lessons: Path, tmp_path: Path, changes: dict[str, Any], told: str
) -> None:
    with pytest.raises(TrainingError, match=told):
        train(spec(tiny, **changes), lessons, tmp_path)
    assert not (tmp_path / METRICS).exists()


def test_a_tokenizer_of_another_model_is_refused(tiny: Path, lessons: Path, tmp_path: Path) -> None:
    import shutil

    other = shutil.copytree(tiny, tmp_path / "other")
    tokenizer = json.loads((other / "tokenizer.json").read_text())
    tokenizer["added_tokens"] += [
        {**tokenizer["added_tokens"][0], "id": 258 + number, "content": f"<new{number}>"} for number in range(9)
    ]
    (other / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(TrainingError, match="do not fit together"):
        train(spec(other), lessons, tmp_path / "out")


def test_lessons_that_are_none_are_refused(tiny: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty.jsonl"
    empty.write_text("")
    with pytest.raises(LessonError, match="no lessons to train on"):
        train(spec(tiny), empty, tmp_path / "out")
    empty.write_text('{"id": "a"}\n')
    with pytest.raises(LessonError, match=r"empty.jsonl, byte 0: task"):
        train(spec(tiny), empty, tmp_path / "out")


def test_tensorboard_shows_settings_and_every_loss(tiny: Path, lessons: Path, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    seen: list[StepMetrics] = []
    train(spec(tiny, tokens=2_000, trackers=["tensorboard"]), lessons, tmp_path, seen.append)
    (events,) = (tmp_path / "collegium-distill").glob("events.*")
    shown = EventAccumulator(str(events))
    shown.Reload()
    assert {"next_token", "node", "margin", "learning_rate"} <= set(shown.Tags()["scalars"])
    assert [event.value for event in shown.Scalars("node")] == pytest.approx([one.node for one in seen])
    assert [event.step for event in shown.Scalars("node")] == [1, 2, 3]
    assert "rank: 4\n" in next((tmp_path / "collegium-distill").glob("*/hparams.yml")).read_text()


def test_an_engine_beside_the_training_keeps_its_process_group(tiny: Path, lessons: Path, tmp_path: Path) -> None:
    from torch import distributed

    own = not distributed.is_initialized()
    if own:
        distributed.init_process_group("gloo", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1)
    try:
        train(spec(tiny, tokens=1_200, trackers=["tensorboard"]), lessons, tmp_path / "trained")
        assert distributed.is_initialized()
    finally:
        if own:
            distributed.destroy_process_group()


def test_a_tracker_that_fails_is_told_in_a_line(tiny: Path, lessons: Path, tmp_path: Path) -> None:
    (tmp_path / "collegium-distill").write_text("a file where the tracker wants a folder")
    with pytest.raises(TrainingError, match=r"^trackers: tensorboard: .*collegium-distill"):
        train(spec(tiny, trackers=["tensorboard"]), lessons, tmp_path)


@pytest.mark.soak
def test_it_is_killed_at_random_again_and_again(tiny: Path, lessons: Path, tmp_path: Path) -> None:
    import random

    (tmp_path / "tests_digest.py").write_text(DIGEST)
    settings = spec(tiny, tokens=400_000, dropout=0.2, checkpoint_every=7)
    paths = os.pathsep.join([str(tmp_path), str(Path(__file__).parents[2])])
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", PROGRAM, settings.model_dump_json(), str(lessons)]
    kills, last = 0, ""
    while True:
        with subprocess.Popen(
            [*command, str(tmp_path / "a")], stdout=subprocess.PIPE, text=True, env=environment
        ) as one:
            assert one.stdout is not None
            one.stdout.readline()
            time.sleep(random.Random(kills).uniform(0, 2))
            one.send_signal(signal.SIGKILL) if kills < 12 else None
            last = (one.stdout.read().split() or [""])[-1]
        if one.returncode == 0:
            break
        kills += 1
    whole = subprocess.run([*command, str(tmp_path / "b")], capture_output=True, text=True, env=environment, check=True)
    assert kills > 3
    assert whole.stdout.split()[-1] == last
