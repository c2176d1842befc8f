"""The student being trained: a causal language model of transformers, with LoRA by peft or as a whole.

The model's decoder gives hidden states, its output layer is applied where a token carries loss and nowhere else. This
module imports torch; it is imported where training starts.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from distill.encoder import Encoder
from distill.errors import TrainingError
from distill.losses import Losses, losses
from distill.merged_lora import MergedLora
from distill.rows import TokenBatch
from distill.specification import TrainingSpec


class Network:
    """The student, its tokenizer and the encoder that training throws away.

    Raises:
        TrainingError: no checkpoint there, a tokenizer that does not fit it, modules that LoRA does not find, or an
            output layer that does more than multiply.
    """

    def __init__(self, spec: TrainingSpec, device: Any = "cpu") -> None:
        self.spec = spec
        self.tokenizer, model = _loaded(spec)
        check_tokenizer(self.tokenizer, model)
        torch.manual_seed(spec.seed)
        if spec.method == "lora":
            model = _with_lora(model, spec)
        self.model = model.to(device)
        quick = spec.method == "lora" and not spec.dropout and torch.device(device).type == "cpu"
        self._merged = MergedLora(self.model) if quick else None
        self.changed()
        base = model.get_base_model() if spec.method == "lora" else model
        self._decoder, self._head = base.get_decoder(), base.get_output_embeddings()
        self._check_head(base, device)
        if spec.gradient_checkpointing:
            base.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
            base.enable_input_require_grads()
        torch.manual_seed(spec.seed)
        self.encoder = Encoder(base.config.hidden_size, spec.encoder_width, spec.encoder_dropout).to(device)

    @property
    def dtype(self) -> torch.dtype:
        return torch.bfloat16 if self.spec.precision == "bf16" else torch.float32

    def changed(self) -> None:
        """To be called after trained tensors changed."""
        if self._merged:
            self._merged.merge()

    def trainable(self) -> dict[str, torch.nn.Parameter]:
        """The student's trained tensors, and those of the encoder under `encoder.`, by name."""
        found = {name: each for name, each in self.model.named_parameters() if each.requires_grad}
        return found | {f"encoder.{name}": each for name, each in self.encoder.named_parameters()}

    def train(self, mode: bool = True) -> None:
        """Switch dropout on or off."""
        self.model.train(mode)
        self.encoder.train(mode)

    def losses(self, batch: TokenBatch) -> Losses:
        """All losses of a batch, as sums."""
        with torch.autocast(batch.ids.device.type, self.dtype, enabled=self._mixed):
            hidden = self._hidden(batch)
        return losses(hidden.to(self.dtype), self._logits, self.encoder, batch, self.spec.coupling)

    @property
    def _mixed(self) -> bool:
        """Whole-model training keeps float32 weights and computes in bfloat16."""
        return self.spec.method == "full" and self.spec.precision == "bf16"

    def _hidden(self, batch: TokenBatch) -> torch.Tensor:
        blocked = torch.finfo(self.dtype).min
        mask = torch.zeros_like(batch.mask, dtype=self.dtype).masked_fill_(~batch.mask, blocked)
        found = self._decoder(
            input_ids=batch.ids, position_ids=batch.positions, attention_mask=mask, use_cache=False
        ).last_hidden_state
        assert isinstance(found, torch.Tensor)
        return found

    def _logits(self, hidden: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self._head(hidden.to(self._head.weight.dtype))
        return found

    def _check_head(self, base: Any, device: Any) -> None:
        """Some architectures scale or cap their logits; training would then teach another model."""
        ids = torch.arange(2, 10, device=device)[None]
        with torch.no_grad():
            wanted = base(input_ids=ids).logits.float()
            found = self._head(self._decoder(input_ids=ids).last_hidden_state).float()
        if not torch.allclose(wanted, found, rtol=0.02, atol=0.05):
            raise TrainingError(f"{self.spec.student}: its logits are more than its output layer; it cannot be trained")


def check_tokenizer(tokenizer: Any, model: Any) -> None:
    """Raises `TrainingError` where tokens have no place in the model, or the chat template or end token is missing."""
    rows = model.get_input_embeddings().weight.shape[0]
    if len(tokenizer) > rows:
        raise TrainingError(f"the tokenizer has {len(tokenizer)} tokens, the student {rows}: they do not fit together")
    if tokenizer.eos_token_id is None or not tokenizer.chat_template:
        raise TrainingError("the student's tokenizer needs a chat template and an end-of-text token")


def _loaded(spec: TrainingSpec) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = Path(spec.student)
    if not (folder / "config.json").is_file():
        raise TrainingError(f"student: {folder}: no checkpoint there (no config.json)")
    dtype = torch.bfloat16 if spec.precision == "bf16" and spec.method == "lora" else torch.float32
    with _quiet():
        try:
            tokenizer = AutoTokenizer.from_pretrained(folder)
            model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation="sdpa")
        except (OSError, ValueError, KeyError) as error:
            raise TrainingError(f"student: {folder}: {' '.join(str(error).split())[:300]}") from error
    return tokenizer, model


def _with_lora(model: Any, spec: TrainingSpec) -> Any:
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=spec.rank,
        lora_alpha=spec.alpha,
        lora_dropout=spec.dropout,
        target_modules=list(spec.targets) or "all-linear",
        task_type="CAUSAL_LM",
    )
    try:
        return get_peft_model(model, config)
    except ValueError as error:
        raise TrainingError(f"targets: {' '.join(str(error).split())[:300]}") from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """transformers draws its own progress bars; whoever calls has one already."""
    with contextlib.redirect_stderr(io.StringIO()):
        yield
