"""What vLLM's own processes import, and nobody else: they know our loader before they load a model.

A module that a user's program imports, too, is there already when vLLM looks for its worker's extension.
"""

from __future__ import annotations

from orchestrator.inference.engines.vllm_live import WorkerExtension as WorkerExtension
from orchestrator.inference.engines.vllm_live import register_loader

register_loader()
