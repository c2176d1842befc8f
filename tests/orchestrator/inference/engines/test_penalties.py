"""Penalties are vLLM's, number by number; what cannot be done is refused by name."""

from __future__ import annotations

import random

import pytest
import torch

from orchestrator.inference.engines.penalties import adjust, biases, check, repeats
from orchestrator.inference.request import Sampling

VOCABULARY, PROMPT, REPLY = 20, [1, 2, 2, 3], [3, 4, 4, 4, 5]
SETTINGS = [
    Sampling(presence_penalty=0.7),
    Sampling(frequency_penalty=-0.4),
    Sampling(repetition_penalty=1.7),
    Sampling(presence_penalty=1.0, frequency_penalty=0.5, repetition_penalty=0.6),
]


@pytest.mark.parametrize("sampling", SETTINGS, ids=str)
@pytest.mark.parametrize("reply", [REPLY, []], ids=["begun", "not begun"])
def test_they_are_vllms(sampling: Sampling, reply: list[int]) -> None:
    utils = pytest.importorskip("vllm.model_executor.layers.utils")
    given = torch.linspace(-2, 2, VOCABULARY)
    ours, theirs = given.clone(), given.clone().unsqueeze(0)
    adjust(ours, sampling, PROMPT, reply, ())
    one = torch.ones(1)
    output = torch.tensor([reply or [VOCABULARY]])  # its padding
    utils.apply_penalties(
        theirs,
        torch.tensor([PROMPT]),
        output,
        one * sampling.presence_penalty,
        one * sampling.frequency_penalty,
        one * sampling.repetition_penalty,
    )
    torch.testing.assert_close(ours, theirs[0])


def test_a_bias_is_added_and_ends_wait_for_the_fewest_tokens() -> None:
    logits = torch.zeros(VOCABULARY)
    adjust(logits, Sampling(logit_bias=((7, 3.0),), min_tokens=6), PROMPT, REPLY, {9, 10**9})
    assert logits[7] == 3
    assert logits[9] == -float("inf")
    later = torch.zeros(VOCABULARY)
    adjust(later, Sampling(min_tokens=5), PROMPT, REPLY, {9})
    assert later[9] == 0


@pytest.mark.parametrize(
    ("sampling", "named"), [(Sampling(bad_words=("x",)), "bad_words"), (Sampling(logit_bias=((20, 1.0),)), "token 20")]
)
def test_what_cannot_be_done_is_refused_by_name(sampling: Sampling, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        check(sampling, VOCABULARY)


def test_a_token_that_is_not_there_is_never_said_already() -> None:
    sampling = Sampling(logit_bias=((3, 2.0), (VOCABULARY, -100.0)))
    check(sampling, VOCABULARY)
    assert biases(sampling, VOCABULARY) == {3: 2.0}
    logits = torch.zeros(VOCABULARY)
    adjust(logits, sampling, PROMPT, REPLY, ())
    assert logits.nonzero().flatten().tolist() == [3]


def test_a_repetition_is_one_where_vllm_sees_one() -> None:
    utils = pytest.importorskip("vllm.v1.core.sched.utils")
    from vllm.sampling_params import RepetitionDetectionParams

    draw, found = random.Random(0), 0
    for _ in range(2000):
        reply = draw.choices(range(2), k=draw.randrange(1, 14))
        longest = draw.randrange(1, 5)
        wanted = (longest, draw.randrange(1, longest + 1), draw.randrange(2, 4))
        seen = utils.check_sequence_repetition(reply, RepetitionDetectionParams(*wanted))
        assert repeats(reply, wanted) == seen, (reply, wanted)
        found += seen
    assert 200 < found < 1800
    assert not repeats([1] * 99, None)
