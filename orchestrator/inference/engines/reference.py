"""What transformers computes for an expert's canary, in a process of its own.

An engine's canary shows that weights were swapped right, not that they were read right: for that `experts check` asks
this second implementation. It runs apart because vLLM and transformers register the same model types, and what one of
them has imported changes how the other builds.

    python -m orchestrator.inference.engines.reference < requests.jsonl > canaries.jsonl
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from merging.stream import Blend
from orchestrator.inference.engines.canary import Canary, greedy, prompt_ids
from orchestrator.inference.expert import Expert


class NoReference(Exception):
    """transformers cannot compute this expert: the message says why."""


def references(
    experts: Sequence[Expert], tokens: int, seconds: float = 600.0, dtype: str = "auto"
) -> list[Canary | NoReference]:
    """The experts' canaries by transformers, in one process after another: an expert that ends its process costs only
    itself. `seconds`: time limit per expert; `dtype`: the type of the arithmetic (auto: as its config.json says)."""
    found: list[Canary | NoReference] = []
    while len(found) < len(experts):
        found += _answers(experts[len(found) :], tokens, seconds, dtype)
    return found


def _answers(experts: Sequence[Expert], tokens: int, seconds: float, dtype: str) -> list[Canary | NoReference]:
    from orchestrator.inference.engines.vllm_live import described

    lines = [
        json.dumps([described(expert), str(expert.folder), expert.trust_remote_code, tokens, dtype])
        for expert in experts
    ]
    command = [sys.executable, "-m", "orchestrator.inference.engines.reference"]
    try:
        done = subprocess.run(
            command, input="\n".join(lines), capture_output=True, text=True, timeout=seconds * len(experts), check=False
        )
        out, why = done.stdout, f"its process ended with code {done.returncode}"
    except subprocess.TimeoutExpired as late:
        out = late.stdout.decode() if isinstance(late.stdout, bytes) else late.stdout or ""
        why = f"no answer within {seconds:.0f} s"
    found: list[Canary | NoReference] = []
    for line in out.splitlines():
        if line.startswith("CANARY "):
            found.append([[(int(token), float(chance)) for token, chance in step] for step in json.loads(line[7:])])
        elif line.startswith("ERROR "):
            found.append(NoReference(json.loads(line[6:])))
    return found if len(found) >= len(experts) else [*found, NoReference(why)]


def _canaries(lines: Iterator[str]) -> Iterator[str]:
    for line in lines:
        source, folder, trust, tokens, dtype = json.loads(line)
        try:
            yield "CANARY " + json.dumps(_computed(source, folder, trust, tokens, dtype))
        except Exception as error:  # the message is all that the other side can use
            yield "ERROR " + json.dumps(" ".join(f"{type(error).__name__}: {error}".split())[:500])


def _computed(source: dict[str, Any], folder: Any, trust: bool, tokens: int, dtype: str) -> Canary:
    from pathlib import Path

    from orchestrator.inference.engines.sources import Sources
    from orchestrator.inference.engines.vllm_live import unchanged, undescribed
    from orchestrator.inference.pretrained import load_model, load_tokenizer

    blend = Sources().blend(undescribed(source))
    if unchanged(blend):
        try:
            model = load_model(Path(folder), trust, dtype=dtype)
        except ValueError:
            decoded = Sources(decode=True).blend(undescribed(source))
            if unchanged(decoded):
                raise
            # transformers has no kernels for these quantised weights here: it computes with what they stand for
            model = load_model(Path(folder), trust, dict(decoded), dtype=dtype)
    else:
        model = load_model(Path(folder), trust, _tensors(blend, dtype), dtype=dtype)
    return greedy(model, prompt_ids(load_tokenizer(Path(folder), trust)), tokens)


def _tensors(blend: Blend, dtype: str) -> dict[str, Any]:
    """As an engine that computes in `dtype` would write them."""
    import torch

    if dtype != "float32":
        return dict(blend)
    tensors = {name: torch.empty(info.shape, dtype=torch.float32) for name, info in blend.checkpoint.tensors.items()}
    for name, out in tensors.items():
        blend.write(name, out)
    return tensors


if __name__ == "__main__":
    for answer in _canaries(line for line in sys.stdin if line.strip()):
        print(answer, flush=True)
