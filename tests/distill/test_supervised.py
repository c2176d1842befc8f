"""Plain supervised fine-tuning: loss on the taught pieces alone, and on every architecture as transformers computes."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import AutoTokenizer

from distill.corpus import Corpus
from distill.rows import batched, tokenised
from distill.specification import TrainingSpec
from distill.supervised import Example, write_lessons
from distill.train import train

REPLY = (("Hm.", True), ("\nAnswer:", True), (" 42", False), ("\nConfidence: 0.2", True))
PROMPT = [{"role": "user", "content": "Why?"}]


def test_loss_falls_on_the_taught_pieces_and_the_end_of_turn(tiny: Path, tmp_path: Path) -> None:
    assert write_lessons([Example(messages=PROMPT, reply=REPLY)], tmp_path / "lessons.jsonl") == 1
    tokenizer = AutoTokenizer.from_pretrained(tiny)
    corpus = Corpus(tmp_path / "lessons.jsonl")
    row = tokenised(corpus[0], tokenizer)
    corpus.close()
    batch = batched([row])
    assert tokenizer.decode(batch.targets) == "Hm.\nAnswer:\nConfidence: 0.2</s>"
    assert row.targets() == len(batch.targets)
    whole = "<s>user: Why?</s><s>assistant: Hm.\nAnswer: 42\nConfidence: 0.2</s>"
    assert tokenizer.decode(batch.ids[0]) == whole
    assert torch.equal(batch.ids[0][batch.sources + 1], batch.targets)


def test_it_lowers_the_loss_without_pairs_and_graph(tiny: Path, tmp_path: Path) -> None:
    write_lessons((Example(messages=PROMPT, reply=((f"It is {n}.", True),)) for n in range(20)), tmp_path / "l.jsonl")
    spec = TrainingSpec(student=str(tiny), tokens=4_000, step_tokens=200, precision="fp32", learning_rate=1e-2)
    losses = [metrics.next_token or 0.0 for metrics in train(spec, tmp_path / "l.jsonl", tmp_path / "work").metrics]
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])
