"""On-policy distillation: half of the tokens as level L1, then the student's own replies, corrected by the panel.

After the first half the student answers every question by itself. A reply that gives the right answer is taught as it
stands; where one is wrong, unread or cut, the panel's right replies to that question are taught beside it, and the pair
goes into the margin loss. Right is what equals the gold answer; where a question has none, the panel's vote.

After generalised knowledge distillation (https://arxiv.org/abs/2306.13649), which learns from the student's own replies
so that training sees the mistakes that answering makes. Whole replies are corrected here, not the probabilities of
tokens: teachers may be of any architecture, or remote, and are not asked again.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from agents.reply import parse_reply
from agents.transcript import Transcript
from distill.corpus import CorpusSummary
from distill.errors import TrainingError
from distill.graph import interaction_graph
from distill.pairs import Lesson, Selection, lesson, zipped
from distill.specification import TrainingSpec
from distill.train import METRICS, StepMetrics, TrainingResult, keep, read_metrics, train

if TYPE_CHECKING:
    from distill.network import Network

TEMPERATURE = 0.8
ROOM = 32
"""Tokens by which an own reply may be longer than the longest taught one, before it is cut."""
FIRST, SECOND, OWN, CORRECTED = "first", "second", "own.jsonl", "corrected.jsonl"
"""In the training's folder: both halves' folders, own replies, and the second half's lessons."""


def train_on_policy(
    spec: TrainingSpec,
    selection: Selection,
    transcripts: Iterable[Transcript],
    lessons: Path,
    folder: Path,
    sifted: CorpusSummary,
    report: Callable[[StepMetrics], None] | None = None,
) -> TrainingResult:
    """Train in two halves in `folder`, resumed where it stopped; own replies are counted in `sifted`. `lessons`: those
    of the first half, one per usable transcript. Raises as `train`, and `TrainingError` for fewer than two steps."""
    if spec.steps < 2:
        raise TrainingError(f"tokens: level on-policy needs at least two steps of {spec.step_tokens:,} tokens")
    steps = spec.steps
    parts = steps // 2 * spec.step_tokens, spec.tokens - steps // 2 * spec.step_tokens
    halves = [spec.model_copy(update={"tokens": tokens}) for tokens in parts]
    told = report or (lambda _: None)

    def of_all(done: int, before: StepMetrics | None = None) -> Callable[[StepMetrics], None]:
        return lambda one: told(_later(one, done, steps, before))

    first = train(halves[0], lessons, folder / FIRST, of_all(0))
    start = folder / FIRST / "trained.safetensors"
    if not start.exists():
        keep(first.network.trainable(), start)
    _write_corrected(_own(first.network, selection, transcripts, folder / OWN), folder / CORRECTED, sifted)
    last = first.metrics[-1] if first.metrics else None
    done = len(first.metrics)
    second = train(halves[1], folder / CORRECTED, folder / SECOND, of_all(done, last), start=start)
    metrics = [*(_later(one, 0, steps, None) for one in read_metrics(folder / FIRST / METRICS))]
    metrics += [_later(one, done, steps, last) for one in read_metrics(folder / SECOND / METRICS)]
    rows = (json.dumps({name: getattr(one, name) for name in StepMetrics.__slots__}) + "\n" for one in metrics)
    (folder / METRICS).write_text("".join(rows))
    whole = second.state.model_copy(
        update={
            "step": first.state.step + second.state.step,
            "tokens": first.state.tokens + second.state.tokens,
            "seconds": first.state.seconds + second.state.seconds,
        }
    )
    return dataclasses.replace(second, state=whole, metrics=tuple(metrics), epochs=first.epochs + second.epochs)


def corrected(transcript: Transcript, panel: Lesson, own: Sequence[tuple[str, bool]]) -> tuple[Lesson, list[str]]:
    """The second half's lesson of one question, and what became of each own reply: right, wrong, unread or cut.
    `panel`: the first half's; `own`: texts, and whether each came to its end."""
    right: dict[str, None] = {}
    wrong: dict[str, None] = {}
    kinds = []
    for text, ended in own:
        kinds.append(_kind(transcript, text, ended))
        if kinds[-1] == "right":
            right[text] = None
        elif kinds[-1] != "cut" and text.strip():
            wrong[text] = None
    taught = list(right) if set(kinds) == {"right"} else list(dict.fromkeys([*right, *panel.texts]))
    texts = [*taught, *(text for text in wrong if text not in taught)]
    pairs = zipped(range(len(taught)), range(len(taught), len(texts)))
    update = {"texts": tuple(texts), "taught": tuple(range(len(taught))), "pairs": tuple(pairs)}
    return panel.model_copy(update=update), kinds


def _kind(transcript: Transcript, text: str, ended: bool) -> str:
    if not ended:
        return "cut"
    answer = parse_reply(text, transcript.question).answer
    if answer is None:
        return "unread"
    known = transcript.question.answer is not None
    found = transcript.is_right(answer) if known else answer == transcript.answer
    return "right" if found else "wrong"


def _own(
    network: Network, selection: Selection, transcripts: Iterable[Transcript], path: Path
) -> Iterator[tuple[Transcript, Lesson, list[tuple[str, bool]]]]:
    """Each usable transcript with its lesson and the student's own replies, asked once and kept in `path`."""

    def tokens(text: str) -> int:
        return len(network.tokenizer(text, add_special_tokens=False)["input_ids"])

    held = []
    for transcript in transcripts:
        found = lesson(interaction_graph(transcript), selection, tokens)
        if isinstance(found, Lesson):
            held.append((transcript, found))
    size = selection.own_replies
    if not path.exists():
        limit = min(selection.longest_reply, ROOM + max(tokens(text) for _, one in held for text in one.texts))
        given = network.replies([one.messages for _, one in held for _ in range(size)], limit, TEMPERATURE)
        draft = path.with_name(f".{path.name}")
        draft.write_text("".join(json.dumps(one) + "\n" for one in given), "utf-8")
        draft.replace(path)
    kept = [json.loads(row) for row in path.read_text("utf-8").splitlines()]
    for number, (transcript, own) in enumerate(held):
        yield transcript, own, [(text, ended) for text, ended in kept[number * size : (number + 1) * size]]


def _write_corrected(
    replies: Iterable[tuple[Transcript, Lesson, list[tuple[str, bool]]]], path: Path, sifted: CorpusSummary
) -> None:
    sifted.own.clear()
    with path.open("wb") as file:
        for transcript, panel, own in replies:
            found, kinds = corrected(transcript, panel, own)
            sifted.own.update(kinds)
            file.write(found.model_dump_json(exclude_defaults=True).encode() + b"\n")


def _later(one: StepMetrics, done: int, steps: int, before: StepMetrics | None) -> StepMetrics:
    """A half's metrics as the whole training's."""
    return dataclasses.replace(
        one,
        step=one.step + done,
        steps=steps,
        tokens=one.tokens + (before.tokens if before else 0),
        seconds=one.seconds + (before.seconds if before else 0.0),
    )
