"""The student being trained: a causal language model of transformers, with LoRA by peft or as a whole.

The model's decoder gives hidden states, its output layer is applied where a token carries loss and nowhere else. This
module imports torch; it is imported where training starts.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from distill.encoder import Encoder
from distill.errors import TrainingError
from distill.losses import Losses, losses
from distill.merged_lora import MergedLora
from distill.pairs import Lesson
from distill.rows import TokenBatch, TokenRow, batched
from distill.specification import TrainingSpec

SHORT = 512
"""Tokens of a row up to which its whole attention matrix is held."""
SIDE_BY_SIDE = 32
"""Own replies that are generated at once."""
CLOSE = {torch.float32: 1e-3, torch.bfloat16: 0.03}
"""Largest difference between two computations of the same states, as a share of their length."""


class Network:
    """The student, its tokenizer and the encoder that training throws away.

    Raises:
        TrainingError: no checkpoint there, a tokenizer that does not fit it, modules that LoRA does not find, or
            logits that this module does not know how to compute.
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
        self._config = base.config.get_text_config()
        self._packs = False
        self._check_head(base, device)
        if spec.gradient_checkpointing:
            base.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
            base.enable_input_require_grads()
        torch.manual_seed(spec.seed)
        self.encoder = Encoder(self._config.hidden_size, spec.encoder_width, spec.encoder_dropout).to(device)

    @property
    def dtype(self) -> torch.dtype:
        """The type in which the student computes."""
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
        with torch.autocast(batch.ids.device.type, self.dtype, enabled=self._mixed), self._attention(batch.ids):
            hidden = self._hidden(batch)
        return losses(hidden.to(self.dtype), self._logits, self.encoder, batch, self.spec.coupling)

    def replies(
        self, prompts: Sequence[Sequence[Mapping[str, str]]], limit: int, temperature: float
    ) -> list[tuple[str, bool]]:
        """The student's own reply to each conversation, of at most `limit` tokens, and whether it came to its end.
        Sampled at `temperature` (0: greedy) with the specification's seed: the same student gives the same replies."""
        found: list[tuple[str, bool]] = [("", False)] * len(prompts)
        template, end = self.tokenizer.apply_chat_template, self.tokenizer.eos_token_id
        tokens = [list(template(list(one), add_generation_prompt=True, return_dict=False)) for one in prompts]
        order = sorted(range(len(prompts)), key=lambda place: (len(tokens[place]), place))
        device = next(self.model.parameters()).device
        sampling = {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": 1.0}
        self.train(False)
        torch.manual_seed(self.spec.seed)
        for start in range(0, len(order), SIDE_BY_SIDE):
            places = order[start : start + SIDE_BY_SIDE]
            longest = len(tokens[places[-1]])
            rows = [[end] * (longest - len(tokens[place])) + tokens[place] for place in places]
            mask = [[0] * (longest - len(tokens[place])) + [1] * len(tokens[place]) for place in places]
            with torch.no_grad(), torch.autocast(device.type, self.dtype, enabled=self._mixed):
                whole = self.model.generate(
                    input_ids=torch.tensor(rows, device=device),
                    attention_mask=torch.tensor(mask, device=device),
                    max_new_tokens=limit,
                    eos_token_id=end,
                    pad_token_id=end,
                    **(sampling if temperature else {"do_sample": False}),
                )
            for place, row in zip(places, whole[:, longest:].tolist(), strict=True):
                ended = end in row
                said = row[: row.index(end)] if ended else row
                found[place] = (self.tokenizer.decode(said, skip_special_tokens=True).strip(), ended)
        return found

    @property
    def _mixed(self) -> bool:
        """Whole-model training keeps float32 weights and computes in bfloat16."""
        return self.spec.method == "full" and self.spec.precision == "bf16"

    def _attention(self, ids: torch.Tensor) -> contextlib.AbstractContextManager[None]:
        """Short rows on a CPU: attention as plain matrix products, whose backward pass is several times as fast as that
        of the fused one. Not where layers are computed anew in the backward pass, which is outside of this context."""
        from torch.nn.attention import SDPBackend, sdpa_kernel

        if ids.device.type == "cpu" and ids.shape[1] <= SHORT and not self.spec.gradient_checkpointing:
            return sdpa_kernel(SDPBackend.MATH)
        return contextlib.nullcontext()

    def _hidden(self, batch: TokenBatch) -> torch.Tensor:
        """Last hidden states (B, T, d). Where each row is one sequence, padded on the right, any causal model's own
        mask will do; several replies in a row need a mask that keeps them apart."""
        if not batch.packed:
            states: torch.Tensor = self._decoder(input_ids=batch.ids, use_cache=False).last_hidden_state
            return states
        if not self._packs:
            self._check_packing(batch.ids.device)
        self._check_window(batch)
        return self._packed(batch)

    def _packed(self, batch: TokenBatch) -> torch.Tensor:
        blocked = torch.finfo(self.dtype).min
        mask = torch.zeros_like(batch.mask, dtype=self.dtype).masked_fill_(~batch.mask, blocked)
        found = self._decoder(
            input_ids=batch.ids, position_ids=batch.positions, attention_mask=mask, use_cache=False
        ).last_hidden_state
        assert isinstance(found, torch.Tensor)
        return found

    def _logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Logits (N, vocabulary) of hidden states (N, d), scaled and capped as the architecture does."""
        found: torch.Tensor = self._head(hidden.to(self._head.weight.dtype))
        scale = getattr(self._config, "logit_scale", None) or 1 / (getattr(self._config, "logits_scaling", None) or 1)
        cap = getattr(self._config, "final_logit_softcapping", None)
        found = found if scale == 1 else found * scale
        return torch.tanh(found / cap) * cap if cap else found

    def _check_packing(self, device: Any) -> None:
        """Raises `TrainingError` where replies side by side are not computed as each alone: layers that carry a state
        from token to token, or that make their own mask."""
        prompt, replies = [2, 3, 4, 5], [[6, 7, 8], [9, 8, 7]]
        row = TokenRow(_lesson(len(replies)), prompt, replies, [[True] * len(reply) for reply in replies])
        training = self.model.training
        self.train(False)
        with torch.no_grad(), torch.autocast(torch.device(device).type, self.dtype, enabled=self._mixed):
            try:
                packed = self._packed(batched([row]).to(device))[0].float()
            except (TypeError, ValueError, RuntimeError) as error:
                raise self._unpackable(f" ({error!s:.200})") from error
            start = len(prompt)
            for reply in replies:
                ids = torch.tensor([prompt + reply], device=device)
                alone = self._decoder(input_ids=ids, use_cache=False).last_hidden_state[0, len(prompt) :].float()
                if (packed[start : start + len(reply)] - alone).norm() > CLOSE[self.dtype] * alone.norm():
                    raise self._unpackable("")
                start += len(reply)
        self.train(training)
        self._packs = True

    def _unpackable(self, why: str) -> TrainingError:
        return TrainingError(
            f"{self.spec.student}: {self._config.model_type} cannot read several replies to one question side by "
            f"side{why}: teach it with level gold, or fine-tune it on one reply per question"
        )

    def _check_window(self, batch: TokenBatch) -> None:
        """Raises `TrainingError` where a reply with its prompt is longer than a sliding window: side by side, replies
        are read without one."""
        kinds = getattr(self._config, "layer_types", None) or ["sliding_attention"]
        window = getattr(self._config, "sliding_window", None) if "sliding_attention" in kinds else None
        longest = int((batch.spans[:, 1] + batch.spans[:, 3]).max())
        if window and getattr(self._config, "use_sliding_window", True) and longest > window:
            raise TrainingError(
                f"{self.spec.student}: a question with a reply of {longest} tokens passes the model's sliding window "
                f"of {window}: lower longest_question or longest_reply"
            )

    def _check_head(self, base: Any, device: Any) -> None:
        """Some architectures do more to their logits than is known here; training would then teach another model."""
        ids = torch.arange(2, 10, device=device)[None]
        with torch.no_grad():
            wanted = base(input_ids=ids).logits.float()
            found = self._logits(self._decoder(input_ids=ids, use_cache=False).last_hidden_state).float()
        if (wanted - found).norm() > CLOSE[self.dtype] * wanted.norm():
            raise TrainingError(
                f"{self.spec.student}: {self._config.model_type} computes its logits in a way that is not known here; "
                "it cannot be trained"
            )


def _lesson(texts: int) -> Lesson:
    return Lesson(id="", task="", messages=[], texts=("",) * texts, taught=tuple(range(texts)))


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
            tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
            try:
                model = AutoModelForCausalLM.from_pretrained(
                    folder, dtype=dtype, attn_implementation="sdpa", trust_remote_code=False
                )
            except ValueError as error:
                if "scaled_dot_product_attention" not in str(error):
                    raise
                model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, trust_remote_code=False)
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
