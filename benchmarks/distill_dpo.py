"""The DPO baseline of benchmarks.distill: right against wrong replies of the same round, by TRL's DPOTrainer.

TRL's pins fit this project's packages, but only this baseline needs it: `--trl` names an interpreter that has trl.
The student, LoRA's rank and modules, and the tokens read (here the prompt counts in each half of a pair, as TRL reads
it) are those of the other arms; beta and the learning rate are TRL's and peft's usual ones, not tuned.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from agents.prompts import solve
from agents.transcript import Transcript
from benchmarks.machine import figures_of
from distill.graph import interaction_graph, nodes
from distill.pairs import reply_text, zipped
from orchestrator.config import ExpertConfig
from orchestrator.experts.demo import FULL, locate
from orchestrator.pipelines.distill import read_all

PROGRAM = """
import json, sys, time
import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import DPOConfig, DPOTrainer
model, data, out, seed = sys.argv[1:]
rows = json.load(open(data))
settings = DPOConfig(output_dir=out, per_device_train_batch_size=4, max_steps=len(rows) // 4, learning_rate=1e-4,
    beta=0.1, max_length=1024, bf16=False, gradient_checkpointing=False, report_to=[], logging_steps=5,
    save_strategy="no", use_cpu=True, disable_tqdm=True, warmup_steps=3, lr_scheduler_type="cosine", seed=int(seed))
network = AutoModelForCausalLM.from_pretrained(model, dtype=torch.bfloat16)
trainer = DPOTrainer(network, args=settings, train_dataset=Dataset.from_list(rows),
    processing_class=AutoTokenizer.from_pretrained(model),
    peft_config=LoraConfig(r=8, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM"))
start = time.perf_counter()
trainer.train()
seconds = time.perf_counter() - start
trainer.model.save_pretrained(out)
losses = [step["loss"] for step in trainer.state.log_history if "loss" in step]
print("RESULT", json.dumps({"seconds": seconds, "steps": trainer.state.global_step, "losses": losses}))
"""


def teach_dpo(
    transcripts: Path, folder: Path, python: str, seed: int, tokens: int
) -> tuple[ExpertConfig, dict[str, Any]]:
    """A student by DPO from at most `tokens` tokens of pairs, and what a row of the table tells of its training."""
    model = locate(FULL)
    folder.mkdir(parents=True, exist_ok=True)
    chosen, read = _within(_pairs(read_all([str(transcripts)])), model, seed, tokens)
    (folder / "pairs.json").write_text(json.dumps(chosen), "utf-8")
    found = figures_of(python, PROGRAM, str(model), str(folder / "pairs.json"), str(folder / "student"), str(seed))
    late = found["losses"][-2:]
    row = {
        "lessons": len({pair["id"] for pair in chosen}),
        "texts": 2 * len(chosen),
        "tokens": read,
        "steps": found["steps"],
        "epochs": 1.0,
        "seconds": round(found["seconds"], 1),
        "late": {"next_token": None, "preference": round(sum(late) / len(late), 4)},
    }
    return ExpertConfig(model=str(model), adapter=str(folder / "student")), row


def _pairs(transcripts: Iterable[Transcript]) -> Iterable[dict[str, Any]]:
    """Right and wrong replies of one round of one question."""
    for transcript in transcripts:
        rounds: dict[int, tuple[list[str], list[str]]] = {}
        for _, node in nodes(interaction_graph(transcript)):
            text = reply_text(node["reasoning"], node["answer"], node["confidence"])
            side = rounds.setdefault(node["round"], ([], []))[0 if node["right"] else 1]
            if text and text not in side:
                side.append(text)
        prompt = solve(transcript.question)
        for right, wrong in rounds.values():
            for a, b in zipped(range(len(right)), range(len(wrong))):
                yield {
                    "id": transcript.question.id,
                    "prompt": prompt,
                    "chosen": [{"role": "assistant", "content": right[a]}],
                    "rejected": [{"role": "assistant", "content": wrong[b]}],
                }


def _within(pairs: Iterable[dict[str, Any]], model: Path, seed: int, tokens: int) -> tuple[list[dict[str, Any]], int]:
    """Pairs in a random order, as many as `tokens` allow."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    every, taken, read = list(pairs), [], 0
    random.Random(seed).shuffle(every)
    for pair in every:
        sizes = [
            len(tokenizer.apply_chat_template([*pair["prompt"], *pair[side]], return_dict=False))
            for side in ("chosen", "rejected")
        ]
        if read + sum(sizes) > tokens:
            break
        taken.append(pair)
        read += sum(sizes)
    return taken, read
