"""What RegMean and Fisher merging need to know of a model: gathered by running it over texts, kept as safetensors.

RegMean (https://arxiv.org/abs/2212.09849): for each linear layer the Gram matrix X'X of its inputs, (in, in).
Fisher (https://arxiv.org/abs/2111.09832): for each weight the mean square of the gradient of the log-likelihood of
the text's own tokens (the empirical Fisher information). Both in float32, under the weight's name; memory: the model
in float32, and what is gathered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal

from orchestrator.errors import ExpertError

StatisticsKind = Literal["gram", "fisher"]
TOKENS = 512
"""Of each text: what is longer is cut."""


def gather(
    model: Path, texts: Sequence[str], kind: StatisticsKind, out: Path, report: Callable[[int], None] | None = None
) -> int:
    """Run `model` over the texts and write `out`; the number of tokens seen. Raises `ExpertError`."""
    import torch
    from safetensors.torch import save_file
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(model, trust_remote_code=False)
        network = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise ExpertError(f"{model}: cannot be loaded: {' '.join(str(error).split())[:200]}") from error
    batches = (tokenizer(text, return_tensors="pt", truncation=True, max_length=TOKENS).input_ids for text in texts)
    found, tokens = gathered(network, (ids for ids in batches if ids.shape[1] > 1), kind, report)
    if not tokens:
        raise ExpertError(f"{model}: none of {len(texts)} texts has two tokens or more")
    save_file(found, out, metadata={"kind": kind, "tokens": str(tokens)})
    return tokens


def gathered(
    network: Any, batches: Iterable[Any], kind: StatisticsKind, report: Callable[[int], None] | None = None
) -> tuple[dict[str, Any], int]:
    """The statistics of a torch model over batches of token ids (1, tokens), by weight; and the tokens seen."""
    network.eval()
    network.requires_grad_(kind == "fisher")
    found: dict[str, Any] = {}
    tokens = 0
    with ExitStack() as hooks:
        if kind == "gram":
            _watch_inputs(network, found, hooks)
        for ids in batches:
            (_add_gradients if kind == "fisher" else _run)(network, ids, found)
            tokens += ids.shape[1]
            if report:
                report(tokens)
    if kind == "fisher":
        found = {name: total / max(1, tokens) for name, total in found.items()}
    return found, tokens


def _watch_inputs(network: Any, found: dict[str, Any], hooks: ExitStack) -> None:
    import torch

    def watch(name: str) -> Callable[..., None]:
        def add(module: Any, arguments: tuple[Any, ...]) -> None:
            inputs = arguments[0].detach().reshape(-1, arguments[0].shape[-1]).float()
            found[name] = found.get(name, 0) + inputs.T @ inputs

        return add

    for path, module in network.named_modules():
        if isinstance(module, torch.nn.Linear):
            hooks.enter_context(_Hook(module.register_forward_pre_hook(watch(f"{path}.weight"))))


class _Hook(ExitStack):
    def __init__(self, handle: Any) -> None:
        super().__init__()
        self.callback(handle.remove)


def _run(network: Any, ids: Any, found: dict[str, Any]) -> None:
    import torch

    with torch.no_grad():
        network(input_ids=ids)


def _add_gradients(network: Any, ids: Any, found: dict[str, Any]) -> None:
    # One text's log-likelihood at a time: the square of a sum over many texts would not be a sum of squares.
    network.zero_grad(set_to_none=True)
    loss = network(input_ids=ids, labels=ids).loss * (ids.shape[1] - 1)
    loss.backward()
    for name, parameter in network.named_parameters():
        if parameter.grad is not None:
            found[name] = found.get(name, 0) + parameter.grad.float() ** 2
