"""vLLM's own processes know our loader whatever a user's program has imported before."""

from __future__ import annotations

import subprocess
import sys

from orchestrator.inference.engines.vllm_start import EXTENSION

PROGRAM = """
import importlib, sys
import orchestrator.inference.engines.vllm_live as live  # as the program did that vLLM's process imports again
from vllm.model_executor.model_loader import _LOAD_FORMAT_TO_MODEL_LOADER as known
assert live.FORMAT not in known
module, _, name = sys.argv[1].rpartition(".")
assert getattr(importlib.import_module(module), name) is live.WorkerExtension
assert live.FORMAT in known
"""


def test_the_workers_extension_brings_the_loader_with_it(vllm_installed: None) -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM, EXTENSION], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
