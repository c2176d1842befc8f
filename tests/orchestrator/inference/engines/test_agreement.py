"""Whether an engine computes as transformers does: in float32 exactly, in 16 bits as far as rounding explains."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from orchestrator.errors import ExpertFailed
from orchestrator.inference.engines.agreement import COMPARED_TOKENS, Agreement, agreement, too_far
from orchestrator.inference.engines.canary import OTHER_ENGINE, Canary, largest_gap
from orchestrator.inference.engines.reference import NoReference, Reference, references
from orchestrator.inference.expert import Expert, Weights

EXPERT = Expert("e", "print", "s")


def canary(moved: float) -> Canary:
    """Four likely tokens, each log-probability moved."""
    return [[(token, -1.0 - token + moved) for token in range(4)]]


OTHER: Canary = [[(token, -1.0 - token) for token in range(9, 13)]]


def says(found: Canary | str) -> Callable[[Expert], Canary]:
    """An engine that says `found` in float32, or cannot for that reason."""

    def exact(expert: Expert) -> Canary:
        assert expert.dtype == "float32"
        assert expert.shape != EXPERT.shape
        assert expert.fingerprint != EXPERT.fingerprint
        if isinstance(found, str):
            raise ExpertFailed(found)
        return found

    return exact


def nobody(expert: Expert) -> Canary:
    raise AssertionError("asked for float32")


def test_a_small_mistake_that_rounding_would_hide_is_seen_in_float32() -> None:
    reference = Reference(canary(0.04), canary(0.0))
    assert agreement(EXPERT, canary(0.07), reference, says(canary(0.001))) == Agreement(exact=True)
    wrong = agreement(EXPERT, canary(0.07), reference, says(canary(0.07)))
    assert "in float32, where nothing is rounded: token 0" in wrong.why


def test_kernels_that_are_wrong_in_16_bits_alone_are_not_excused() -> None:
    reference = Reference(canary(0.05), canary(0.0))
    found = agreement(EXPERT, canary(2.0), reference, says(canary(0.0)))
    assert found.why == "rounding moves log-probabilities by 0.050, the engine is off by 1.950"
    # A router that chose otherwise for a tie moves more than rounding did to transformers, and within bounds.
    assert not agreement(EXPERT, canary(OTHER_ENGINE - 0.1), reference, says(canary(0.0))).why
    assert agreement(EXPERT, canary(9.0), Reference(canary(4.0), canary(0.0)), says(canary(0.0))).why
    assert agreement(EXPERT, OTHER, reference, says(canary(0.0))).why == "token 0: other tokens are likely"


def test_a_shape_that_agreed_in_float32_is_asked_again_only_beyond_rounding() -> None:
    reference = Reference(canary(0.04), canary(0.0))
    assert agreement(EXPERT, canary(0.1), reference, nobody, known=True) == Agreement()
    assert agreement(EXPERT, canary(0.3), reference, says(canary(0.0)), known=True) == Agreement(exact=True)
    assert agreement(EXPERT, canary(0.3), reference, says(canary(0.3)), known=True).why


def test_without_float32_an_engine_may_be_off_by_a_few_roundings_only() -> None:
    reference = Reference(canary(0.04), canary(0.0))
    assert agreement(EXPERT, canary(0.1), reference, says("too large")) == Agreement(inexact="too large")
    assert agreement(EXPERT, canary(0.3), reference, says("too large")).why
    unrounded = Reference(canary(0.0), None, "too large")
    assert agreement(EXPERT, canary(0.3), unrounded, nobody) == Agreement(inexact="too large")
    assert agreement(EXPERT, canary(2 * OTHER_ENGINE), unrounded, nobody).why
    assert too_far(unrounded, OTHER)


def test_an_expert_in_float32_is_compared_as_it_is() -> None:
    exact = Expert("e", "p", "s", dtype="float32")
    assert agreement(exact, canary(0.001), Reference(canary(0.3), canary(0.0)), nobody) == Agreement(exact=True)
    assert agreement(exact, canary(0.3), Reference(canary(0.3), canary(0.0)), nobody).why
    assert agreement(exact, canary(0.3), Reference(canary(0.3), None, "too large"), nobody).why


def test_real_references_tell_two_models_apart_and_name_what_has_none(tiny_model: Any) -> None:
    folders = [tiny_model("tied", seed) for seed in (1, 2)]
    experts = [Expert(folder.name, folder.name, "s", weights=Weights(folder)) for folder in folders]
    gone = Expert("gone", "gone", "s", weights=Weights(folders[0] / "gone"))
    first, second, none = references([*experts, gone], COMPARED_TOKENS)
    assert isinstance(none, NoReference)
    assert isinstance(first, Reference)
    assert isinstance(second, Reference)
    for own, other in ((first, second), (second, first)):
        assert own.exact is not None
        assert 0 < largest_gap(own.exact, own.rounded) < 0.2
        assert not agreement(experts[0], own.rounded, own, says(own.exact)).why
        assert agreement(experts[0], other.rounded, own, says(other.exact or [])).why
