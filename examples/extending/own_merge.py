"""A merge method of your own: a step from the base towards the first model, at most `step` of the way.

merge_method: own_merge:TOWARDS
base_model: ./base
models: [{model: ./tuned}]
parameters: {step: 0.5}
"""

from __future__ import annotations

from merging.methods.linear import weighted
from merging.methods.method import FinishBlock, MergeMethod, Parameter, Values
from merging.stack import Stack


def towards(stack: Stack, values: Values) -> FinishBlock:
    """(1 - step) * base + step * model: how to finish each block of one tensor. The last weight is the base's."""
    step = values.shared["step"]
    return weighted(stack, (step, 1 - step))


TOWARDS = MergeMethod(
    "towards",
    "https://arxiv.org/abs/2203.05482",
    towards,
    (Parameter("step", 0.5, minimum=0.0, maximum=1.0),),
    base="required",
    max_sources=1,
    elementwise=True,
)
