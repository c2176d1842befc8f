"""What a training really takes of memory, beside what `distill.memory` tells before it starts.

    python -m benchmarks.distill_memory

Each setting trains two steps in a process of its own on lessons of `benchmarks.distill`; the peak is that of the
process, less what it has when everything is imported and nothing is loaded.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.distill import WORK
from benchmarks.machine import conditions, figures_of, write_result
from distill.corpus import prepare
from distill.memory import GIB, needed
from distill.pairs import Selection
from distill.specification import TrainingSpec
from orchestrator.experts.demo import FULL, locate
from orchestrator.pipelines.distill import read_all
from orchestrator.pipelines.distill_generate import TRANSCRIPTS

SETTINGS: tuple[dict[str, Any], ...] = (
    {"batch_tokens": 1_024},
    {"batch_tokens": 2_048},
    {"batch_tokens": 4_096},
    {"batch_tokens": 4_096, "gradient_checkpointing": True},
    {"batch_tokens": 2_048, "precision": "fp32"},
    {"batch_tokens": 2_048, "dropout": 0.05},
    {"batch_tokens": 2_048, "method": "full"},
)
PROGRAM = """
import json, resource, sys
from pathlib import Path
import accelerate, peft, torch, torch_geometric.nn, transformers
from distill.specification import TrainingSpec
from distill.train import train
peak = lambda: 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
before = peak()
train(TrainingSpec.model_validate_json(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))
print("RESULT", json.dumps([before, peak()]))
"""


def main() -> None:
    noted, rows, kept = conditions(), [], []
    with tempfile.TemporaryDirectory() as folder:
        lessons = Path(folder, "lessons.jsonl")
        prepare(
            read_all([str(WORK / "transcripts-600" / TRANSCRIPTS)]),
            Selection(level="L4"),
            lessons,
            lambda text: len(text) // 3,
        )
        for number, setting in enumerate(SETTINGS):
            size = setting["batch_tokens"]
            spec = TrainingSpec(student=str(locate(FULL)), step_tokens=2 * size, tokens=4 * size, **setting)
            given = spec.model_dump_json(), str(lessons), f"{folder}/{number}"
            before, peak = figures_of(sys.executable, PROGRAM, *given)
            taken, estimate = peak - before, needed(spec)
            name = ", ".join(f"{key} {value}" for key, value in setting.items())
            kept.append({"setting": setting, "taken": taken, "estimate": estimate})
            line = f"{taken / GIB:.2f} GiB; told {estimate / GIB:.2f} GiB, {estimate / taken:.2f} of it"
            rows.append((name, line, "at least 1"))
            print(name, line, flush=True)
    write_result(
        "distill_memory",
        "Memory of a training, and what is told of it before",
        rows,
        {"conditions": noted, "settings": kept},
        "SmolLM2-135M-Instruct, LoRA of rank 8 on all linear layers unless full, level 4, two steps of two batches.",
    )


if __name__ == "__main__":
    main()
