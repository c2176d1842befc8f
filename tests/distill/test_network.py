"""The student's losses are those of each architecture's own forward pass, or refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional
from transformers import AutoConfig, AutoModelForCausalLM

from distill.errors import TrainingError
from distill.network import Network
from distill.pairs import Lesson
from distill.rows import TokenRow, batched, tokenised
from distill.specification import TrainingSpec

COMMON: dict[str, Any] = {
    "vocab_size": 264,
    "hidden_size": 48,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "initializer_range": 0.3,
    "bos_token_id": 256,
    "eos_token_id": 257,
    "pad_token_id": 257,
}

PACKED: dict[str, dict[str, Any]] = {
    "qwen2": {},
    "phi3": {},
    "gpt_neox": {},
    "gpt2": {"n_embd": 48, "n_layer": 2, "n_head": 6, "n_inner": 96},
    "gemma2": {"head_dim": 8, "query_pre_attn_scalar": 8, "sliding_window": 64},
    "cohere": {"logit_scale": 0.25},
    "granite": {"logits_scaling": 8.0, "embedding_multiplier": 2.0},
    "mixtral": {"num_local_experts": 4},
}

ALONE: dict[str, dict[str, Any]] = {
    "falcon": {"alibi": True},
    "mpt": {"d_model": 48, "n_heads": 6, "n_layers": 2},
    "rwkv": {"attention_hidden_size": 48},
}


def network(kind: str, settings: dict[str, Any], tiny: Path, folder: Path) -> Network:
    """A student of two tiny layers whose LoRA factors are no longer zero."""
    shutil.copytree(tiny, folder)
    (folder / "config.json").unlink()
    (folder / "model.safetensors").unlink()
    shape = {key: value for key, value in COMMON.items() if kind not in ("gpt2", "mpt") or key[:4] != "num_"}
    torch.manual_seed(1)
    AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **shape, **settings)).save_pretrained(folder)
    made = Network(TrainingSpec(student=str(folder), precision="fp32", rank=4, encoder_width=8))
    made.train(False)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, factor in made.trainable().items():
            if "lora" in name:
                factor.copy_(torch.randn(factor.shape, generator=generator) * 0.1)
    made.changed()
    return made


def rows(network: Network, *replies: tuple[str, ...]) -> list[TokenRow]:
    """One row per tuple of replies, with prompts of different lengths."""
    return [
        tokenised(
            Lesson(
                id=str(place),
                task="",
                messages=[{"role": "user", "content": "q" * (1 + 3 * place)}],
                texts=texts,
                taught=tuple(range(len(texts))),
            ),
            network.tokenizer,
        )
        for place, texts in enumerate(replies)
    ]


def one_by_one(network: Network, rows: list[TokenRow]) -> float:
    """The next-token loss by the model's own forward pass, each reply with its prompt alone."""
    total = 0.0
    with torch.no_grad():
        for row in rows:
            for reply in row.replies:
                logits = network.model(input_ids=torch.tensor([row.prompt + reply])).logits[0].float()
                total += float(
                    functional.cross_entropy(logits[len(row.prompt) - 1 : -1], torch.tensor(reply), reduction="sum")
                )
    return total


@pytest.mark.parametrize("kind", [*PACKED, *ALONE])
@pytest.mark.filterwarnings("ignore")
def test_loss_is_that_of_the_architectures_own_forward_pass(kind: str, tiny: Path, tmp_path: Path) -> None:
    made = network(kind, PACKED.get(kind) or ALONE.get(kind) or {}, tiny, tmp_path / kind)
    apart = rows(made, ("abc",), ("a longer reply",))
    loss = made.losses(batched(apart)).next_token
    assert float(loss) == pytest.approx(one_by_one(made, apart), rel=1e-3)
    loss.backward()
    assert sum(factor.grad is not None for name, factor in made.trainable().items() if "lora_B" in name) > 0
    together = rows(made, ("abc", "de"), ("f",))
    if kind in PACKED:
        assert float(made.losses(batched(together)).next_token) == pytest.approx(one_by_one(made, together), rel=1e-3)
    else:
        with pytest.raises(TrainingError, match=f"{kind} cannot read several replies"):
            made.losses(batched(together))


def test_replies_longer_than_a_sliding_window_are_not_read_side_by_side(tiny: Path, tmp_path: Path) -> None:
    made = network("mistral", {"sliding_window": 32}, tiny, tmp_path / "mistral")
    apart, together = rows(made, ("a" * 40,)), rows(made, ("a" * 40, "b"))
    assert float(made.losses(batched(apart)).next_token) == pytest.approx(one_by_one(made, apart), rel=1e-3)
    with pytest.raises(TrainingError, match="sliding window of 32"):
        made.losses(batched(together))


def test_logits_that_are_computed_otherwise_are_refused(tiny: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny, tmp_path / "student")
    made = Network(TrainingSpec(student=str(tmp_path / "student"), precision="fp32", encoder_width=8))
    made._config.logit_scale = 2.0  # as if the architecture did not scale, but the key stood there
    with pytest.raises(TrainingError, match="computes its logits in a way that is not known here"):
        made._check_head(made.model.get_base_model(), "cpu")


def test_a_student_with_code_of_its_own_is_refused_and_the_code_not_run(tiny: Path, tmp_path: Path) -> None:
    folder, ran = shutil.copytree(tiny, tmp_path / "strange"), tmp_path / "ran"
    config = json.loads((folder / "config.json").read_text())
    names = {"AutoConfig": "strange.Config", "AutoModelForCausalLM": "strange.Model"}
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "strange", "auto_map": names}))
    (folder / "strange.py").write_text(f"open({str(ran)!r}, 'w').close()\nclass Config: pass\nclass Model: pass\n")
    with pytest.raises(TrainingError, match=r"strange.*custom code"):
        Network(TrainingSpec(student=str(folder), precision="fp32", rank=4, encoder_width=8))
    assert not ran.exists()


def test_own_replies_do_not_depend_on_who_is_asked_beside_them(tiny: Path) -> None:
    made = Network(TrainingSpec(student=str(tiny), precision="fp32", rank=4, encoder_width=8))
    asked = [[{"role": "user", "content": text}] for text in ("Why?", "What is the sum of three and four?", "And now?")]
    together = made.replies(asked, 12, 0.0)
    assert together == [made.replies([one], 12, 0.0)[0] for one in asked]
    assert any(text for text, _ in together)
    sampled = [made.replies(asked, 12, 5.0) for _ in range(2)]
    assert sampled[0] == sampled[1] != together


def test_a_reply_that_reaches_its_end_says_so(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Network(TrainingSpec(student=str(tiny), precision="fp32", rank=4, encoder_width=8))
    head, end = made.model.get_base_model().get_output_embeddings(), made.tokenizer.eos_token_id
    asked = [[{"role": "user", "content": "Why?"}]]
    ((_, ended),) = made.replies(asked, 5, 0.0)
    assert not ended

    def ends(hidden: torch.Tensor) -> torch.Tensor:
        return functional.one_hot(torch.full(hidden.shape[:-1], end), len(head.weight)).float()

    monkeypatch.setattr(head, "forward", ends)
    assert made.replies(asked, 5, 0.0) == [("", True)]
