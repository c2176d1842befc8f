"""Merge methods: mergekit's, and beyond. A method looks at one tensor of all sources and says how to finish its blocks.

Nothing here imports numba or torch until a tensor is merged.
"""

from __future__ import annotations

from merging.methods import contributions, data_driven, fusion, linear, sparse, spectral, spherical, task_vectors
from merging.methods.method import MergeMethod

METHODS: tuple[MergeMethod, ...] = (
    *linear.METHODS,
    *spherical.METHODS,
    *task_vectors.METHODS,
    *sparse.METHODS,
    *contributions.METHODS,
    *fusion.METHODS,
    *spectral.METHODS,
    *data_driven.METHODS,
)
