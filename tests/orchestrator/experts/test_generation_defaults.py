"""A model's own sampling is taken as it is, or refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import ExpertError
from orchestrator.expert_config import ExpertConfig, SamplingConfig
from orchestrator.experts.generation_defaults import check_ends, sampling_defaults
from orchestrator.inference.expert import SamplingDefaults


def folder(path: Path, **stored: Any) -> Path:
    (path / "generation_config.json").write_text(json.dumps(stored))
    return path


def test_a_model_that_says_that_it_is_sampled_is_sampled_so(tmp_path: Path) -> None:
    plain = ExpertConfig(model="x")
    assert sampling_defaults(tmp_path, plain) == SamplingDefaults()  # no file
    stored = {"temperature": 0.6, "top_p": 0.9, "top_k": 20, "repetition_penalty": 1.1}
    assert sampling_defaults(folder(tmp_path, **stored), plain) == SamplingDefaults()
    assert sampling_defaults(folder(tmp_path, do_sample=True, **stored), plain) == SamplingDefaults(**stored)
    zeros = folder(tmp_path, do_sample=True, temperature=0.0, top_k=0, top_p=None)
    assert sampling_defaults(zeros, plain) == SamplingDefaults(temperature=0.0, top_k=0)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", "hot"), ("temperature", -1), ("temperature", 99), ("temperature", True), ("top_p", 0),
        ("top_p", 1.5), ("top_k", 20.5), ("top_k", -1), ("repetition_penalty", 0), ("repetition_penalty", [1]),
    ],
)  # fmt: skip
def test_a_value_that_no_sampling_can_have_is_named_unless_the_configuration_says_another(
    tmp_path: Path, name: str, value: Any
) -> None:
    odd = folder(tmp_path, do_sample=True, **{name: value})
    with pytest.raises(ExpertError, match=f"generation_config.json: {name}: must be .*sampling.{name}"):
        sampling_defaults(odd, ExpertConfig(model="x"))
    said = ExpertConfig(model="x", sampling=SamplingConfig(**{name: 1}))
    assert getattr(sampling_defaults(odd, said), name) == 1
    greedy = ExpertConfig(model="x", sampling=SamplingConfig(greedy=True))
    assert sampling_defaults(odd, greedy) == SamplingDefaults(temperature=0.0)


def test_a_switch_is_true_or_false(tmp_path: Path) -> None:
    with pytest.raises(ExpertError, match="do_sample: must be true or false, is 'true'"):
        sampling_defaults(folder(tmp_path, do_sample="true"), ExpertConfig(model="x"))


@pytest.mark.parametrize("file", ["config.json", "generation_config.json"])
def test_what_ends_a_reply_is_a_token(tmp_path: Path, file: str) -> None:
    for good in (None, 2, [2, 7], []):
        (tmp_path / file).write_text(json.dumps({"eos_token_id": good}))
        check_ends(tmp_path)
    for bad in ("</s>", [2, "</s>"], 2.5, True, {"id": 2}):
        (tmp_path / file).write_text(json.dumps({"eos_token_id": bad}))
        with pytest.raises(ExpertError, match=f"{file}: eos_token_id: must be"):
            check_ends(tmp_path)
