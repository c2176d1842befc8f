"""What the three losses cost in time, and our training beside TRL's SFT trainer.

    python -m benchmarks.distill_speed [TRANSCRIPTS] [--trl PYTHON]

The first part takes the same tokens, right and wrong replies alike, once with all losses and once as plain next-token
training, step by step in turn. The second teaches level 2 with both trainers, each in a process of its own: LoRA of
rank 8 on all linear layers, bfloat16, the same replies. `--trl` names an interpreter that has trl.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.machine import conditions, figures_of, write_result
from distill.corpus import Corpus, prepare
from distill.pairs import Selection
from distill.specification import TrainingSpec
from orchestrator.cli.distill_chapter import recorded
from orchestrator.experts.demo import FULL, locate
from orchestrator.pipelines.distill import read_all

WANTED_STEP, STEPS, BATCH_TOKENS = 1.25, 7, 2_048
SEQUENCES, BATCH = 96, 8

TRL = """
import json, resource, sys, time
import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import SFTConfig, SFTTrainer
model, data, out = sys.argv[1:]
rows = json.load(open(data))
tokenizer = AutoTokenizer.from_pretrained(model)
settings = SFTConfig(output_dir=out, per_device_train_batch_size=8, max_steps=len(rows) // 8, learning_rate=2e-3,
    completion_only_loss=True, max_length=1024, bf16=False, gradient_checkpointing=False, report_to=[],
    logging_steps=1000, save_strategy="no", use_cpu=True, optim="adamw_torch_fused", disable_tqdm=True)
network = AutoModelForCausalLM.from_pretrained(model, dtype=torch.bfloat16)
trainer = SFTTrainer(network, args=settings, train_dataset=Dataset.from_list(rows), processing_class=tokenizer,
    peft_config=LoraConfig(r=8, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM"))
start = time.perf_counter()
trainer.train()
seconds = time.perf_counter() - start
print("RESULT", json.dumps({"seconds": seconds, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20}))
"""

OURS = """
import json, resource, sys, time
from pathlib import Path
from distill.specification import TrainingSpec
from distill.train import train
spec = TrainingSpec.model_validate_json(sys.argv[1])
trained = train(spec, Path(sys.argv[2]), Path(sys.argv[3]))
last = trained.metrics[-1]
print("RESULT", json.dumps({"seconds": last.seconds, "tokens": last.tokens,
    "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20}))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("transcripts", nargs="?", default=str(recorded()))
    parser.add_argument("--trl", help="Interpreter of an environment that has trl.")
    given = parser.parse_args()
    noted, model = conditions(), locate(FULL)
    with tempfile.TemporaryDirectory() as folder:
        step = _steps(given.transcripts, model, Path(folder))
        speed = _beside_trl(given.transcripts, model, Path(folder), given.trl)
    rows = [
        ("a step with all losses, s (median)", f"{step['all']:.2f}", ""),
        ("the same tokens, next-token loss on all replies, s", f"{step['plain']:.2f}", ""),
        ("ratio", f"{step['all'] / step['plain']:.2f}", f"at most {WANTED_STEP}"),
    ]
    for name, found in speed.items():
        rows.append((f"{name}: reply and prompt tokens/s, each reply with its prompt", f"{found['rate']:.0f}", ""))
        rows.append((f"{name}: peak memory, GiB", f"{found['peak']:.2f}", ""))
    if "trl" in speed:
        ratio = speed["collegium"]["rate"] / speed["trl"]["rate"]
        rows.append(("tokens/s, collegium over trl", f"{ratio:.2f}", "at least 1"))
        memory = speed["collegium"]["peak"] / speed["trl"]["peak"]
        rows.append(("memory, collegium over trl", f"{memory:.2f}", "at most 1"))
    write_result("distill_speed", "Speed of distillation", rows, {"conditions": noted, "step": step, "speed": speed})


def _corpus(source: str, level: str, model: Path, folder: Path) -> Corpus:
    from transformers import AutoTokenizer

    tokenizer, path = AutoTokenizer.from_pretrained(model), folder / f"{level}.jsonl"
    selection = Selection.model_validate({"level": level})
    prepare(
        read_all([source]), selection, path, lambda text: len(tokenizer(text, add_special_tokens=False)["input_ids"])
    )
    return Corpus(path)


def _steps(source: str, model: Path, folder: Path) -> dict[str, Any]:
    """Seconds of one step, with all losses and plain, in turn."""
    import torch

    from distill.network import Network
    from distill.rows import TokenRow, batched, cut, tokenised

    network = Network(TrainingSpec(student=str(model)))
    network.train()
    tensors = network.trainable()
    optimiser = torch.optim.AdamW(tensors.values(), lr=1e-4, fused=True)
    corpus = _corpus(source, "L4", model, folder)
    rows = [tokenised(corpus[index], network.tokenizer) for index in range(8)]
    plain = [
        TokenRow(
            row.lesson.model_copy(
                update={"taught": tuple(range(len(row.replies))), "pairs": (), "nodes": (), "edges": ()}
            ),
            row.prompt,
            row.replies,
        )
        for row in rows
    ]
    corpus.close()

    def step(part: list[TokenRow]) -> None:
        optimiser.zero_grad()
        for batch in cut(part, BATCH_TOKENS):
            found = network.losses(batched(batch))
            (found.next_token + found.node + 0.1 * found.margin).backward()
        optimiser.step()

    seconds: dict[str, list[float]] = {"all": [], "plain": []}
    for number in range(STEPS + 1):
        for name, part in (("all", rows), ("plain", plain)):
            took = _timed(lambda part=part: step(part))
            if number:
                seconds[name].append(took)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    return {**medians, "seconds": seconds, "tokens": sum(row.tokens for row in rows)}


def _timed(work: Callable[[], None]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _beside_trl(source: str, model: Path, folder: Path, trl: str | None) -> dict[str, dict[str, float]]:
    """Level 2 with both trainers on the first `SEQUENCES` right replies."""
    from transformers import AutoTokenizer

    from distill.rows import tokenised

    tokenizer, corpus = AutoTokenizer.from_pretrained(model), _corpus(source, "L2", model, folder)
    examples, lessons, sequence_tokens, read_tokens = [], [], 0, 0
    for index in range(len(corpus)):
        if len(examples) >= SEQUENCES:
            break
        lesson = corpus[index]
        row = tokenised(lesson, tokenizer)
        lessons.append(lesson.model_dump_json(exclude_defaults=True))
        read_tokens += row.tokens
        for text, reply in zip(lesson.texts, row.replies, strict=True):
            examples.append({"prompt": lesson.messages, "completion": [{"role": "assistant", "content": text}]})
            sequence_tokens += len(row.prompt) + len(reply)
    corpus.close()
    few = len(examples) // BATCH * BATCH
    (folder / "few.jsonl").write_text("\n".join(lessons) + "\n")
    (folder / "examples.json").write_text(json.dumps(examples[:few]))
    spec = TrainingSpec(student=str(model), tokens=read_tokens, step_tokens=-(-read_tokens * BATCH // len(examples)))
    found = {
        "collegium": figures_of(
            sys.executable, OURS, spec.model_dump_json(), str(folder / "few.jsonl"), str(folder / "work")
        )
    }
    found["collegium"]["rate"] = sequence_tokens / found["collegium"]["seconds"]
    if trl:
        found["trl"] = figures_of(trl, TRL, str(model), str(folder / "examples.json"), str(folder / "trl"))
        found["trl"]["rate"] = sequence_tokens * few / len(examples) / found["trl"]["seconds"]
    return found


if __name__ == "__main__":
    main()
