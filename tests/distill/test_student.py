"""The student as others meet it: an adapter or a checkpoint, with a card."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from distill.corpus import CorpusSummary
from distill.pairs import Selection
from distill.specification import TrainingSpec
from distill.student import CardFacts, write_student
from distill.train import train


def spec(tiny: Path, **changes: Any) -> TrainingSpec:
    settings = {"student": str(tiny), "rank": 4, "dropout": 0.1, "tokens": 8_000, "step_tokens": 800}
    settings |= {"batch_tokens": 900, "checkpoint_every": 2, "precision": "fp32", "encoder_width": 16}
    return TrainingSpec.model_validate(settings | changes)


@pytest.mark.parametrize("merged", [False, True])
def test_the_student_is_an_adapter_or_a_checkpoint_with_a_card(
    tiny: Path, lessons: Path, tmp_path: Path, merged: bool
) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    sifted = CorpusSummary(transcripts=3, lessons=2)
    sifted.teachers.update({"big|model": 4})
    sifted.reply_dropped("an empty reply", "q1")
    settings = spec(tiny, tokens=8_000, learning_rate=1e-2)
    trained = train(settings, lessons, tmp_path / "work")
    ids = torch.arange(3, 20)[None]
    wanted = trained.network.model(input_ids=ids).logits
    card = CardFacts(name="pupil", base="tiny", licences={"tiny": "MIT"}, metrics={"Accuracy": "0.5"})
    folder = write_student(trained, settings, Selection(level="L4"), sifted, card, tmp_path / "pupil", merged=merged)
    base = AutoModelForCausalLM.from_pretrained(folder if merged else tiny, dtype=torch.float32)
    found = base if merged else PeftModel.from_pretrained(base, str(folder))
    assert torch.allclose(found(input_ids=ids).logits, wanted, atol=1e-3)
    told = (folder / "README.md").read_text()
    assert "| `big/model` | 4 | not stated |" in told
    assert "(MIT)" in told
    assert "1 (an empty reply)" in told
    assert not list(tmp_path.glob(".pupil*"))
