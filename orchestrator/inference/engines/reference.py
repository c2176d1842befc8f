"""What transformers computes for an expert's canary, in a process of its own.

An engine's canary shows that weights were swapped right, not that they were read right: for that `experts check` asks
this second implementation. It runs apart because vLLM and transformers register the same model types, and what one of
them has imported changes how the other builds.

    python -m orchestrator.inference.engines.reference < requests.jsonl > canaries.jsonl
"""

from __future__ import annotations

import gc
import json
import math
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from merging.checkpoint import Checkpoint
from merging.stream import Blend
from orchestrator.inference.engines.architecture import forward_config
from orchestrator.inference.engines.canary import Canary, greedy, prompt_ids
from orchestrator.inference.expert import Expert

ROUNDED, EXACT = "16 bits", "float32"
"""Types of the arithmetic: as the expert's config.json says, but 16 bits at most; and what leaves nothing to round."""
SPARE = 2**30
"""Bytes beside a model's weights: libraries, and what is computed."""
SIXTEEN_BITS = ("bfloat16", "float16")


class NoReference(Exception):
    """transformers cannot compute this expert: the message says why."""


@dataclass(frozen=True, slots=True)
class Reference:
    """An expert's canary by transformers, twice: the distance between the two is what rounding costs."""

    rounded: Canary
    """In the 16 bits that engines compute in."""
    exact: Canary | None
    """In float32; None: that cannot be had."""
    inexact: str = ""
    """Why not."""


def references(experts: Sequence[Expert], tokens: int, seconds: float = 600.0) -> list[Reference | NoReference]:
    """The experts' canaries by transformers, in one process after another: an expert that ends its process costs only
    itself. `seconds`: time limit per canary."""
    found = canaries([(expert, dtype) for expert in experts for dtype in (ROUNDED, EXACT)], tokens, seconds)
    return [_both(rounded, exact) for rounded, exact in zip(found[::2], found[1::2], strict=True)]


def canaries(asked: Sequence[tuple[Expert, str]], tokens: int, seconds: float = 600.0) -> list[Canary | NoReference]:
    """As `references`, for experts with the type of the arithmetic: torch's name of it, or `ROUNDED`."""
    found: list[Canary | NoReference] = []
    while len(found) < len(asked):
        found += _answers(asked[len(found) :], tokens, seconds)
    return found


def _both(rounded: Canary | NoReference, exact: Canary | NoReference) -> Reference | NoReference:
    if isinstance(rounded, NoReference):
        return rounded
    return Reference(rounded, None, str(exact)) if isinstance(exact, NoReference) else Reference(rounded, exact)


def too_large(checkpoint: Checkpoint, dtype: str) -> str:
    """Why this machine has no memory for a second copy of the model; empty: it has."""
    import psutil

    width = 4 if dtype == EXACT else 2
    wanted = 1.3 * width * sum(math.prod(info.shape) for info in checkpoint.tensors.values()) + SPARE
    free = psutil.virtual_memory().available
    if wanted <= free:
        return ""
    return f"a copy in {dtype} takes {wanted / 2**30:.1f} GiB of memory, {free / 2**30:.1f} are free"


def _answers(asked: Sequence[tuple[Expert, str]], tokens: int, seconds: float) -> list[Canary | NoReference]:
    from orchestrator.inference.engines.vllm_live import described

    lines = [
        json.dumps([described(one), str(one.folder), one.trust_remote_code, tokens, _asked(one, dtype)])
        for one, dtype in asked
    ]
    command = [sys.executable, "-m", "orchestrator.inference.engines.reference"]
    try:
        done = subprocess.run(
            command, input="\n".join(lines), capture_output=True, text=True, timeout=seconds * len(asked), check=False
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
    return found if len(found) >= len(asked) else [*found, NoReference(why)]


def _asked(expert: Expert, dtype: str) -> str:
    return expert.dtype if dtype == ROUNDED and expert.dtype in SIXTEEN_BITS else dtype


def _canaries(lines: Iterator[str]) -> Iterator[str]:
    for line in lines:
        source, folder, trust, tokens, dtype = json.loads(line)
        try:
            yield "CANARY " + json.dumps(_computed(source, folder, trust, tokens, dtype))
        except Exception as error:  # the message is all that the other side can use
            yield "ERROR " + json.dumps(" ".join(f"{type(error).__name__}: {error}".split())[:500])
        gc.collect()  # models hold themselves: the next one needs the memory


def _computed(source: dict[str, Any], folder: Any, trust: bool, tokens: int, dtype: str) -> Canary:
    from pathlib import Path

    from orchestrator.inference.engines.sources import Sources
    from orchestrator.inference.engines.vllm_live import unchanged, undescribed
    from orchestrator.inference.pretrained import load_model, load_tokenizer

    blend = Sources().blend(undescribed(source))
    if dtype == ROUNDED:
        dtype = _rounded(blend.checkpoint.config)
    if why := too_large(blend.checkpoint, dtype):
        raise MemoryError(why)
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


def _rounded(config: Mapping[str, Any]) -> str:
    """What engines compute in where nobody asks for another type: the config's, or bfloat16 for a wider one."""
    said = str(forward_config(config).get("dtype"))
    return said if said in SIXTEEN_BITS else "bfloat16"


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
