"""Families of small Llamas."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from small_llamas import random_tensors, write_model


@pytest.fixture
def family(tmp_path: Path) -> Callable[[int], list[Path]]:
    """family(n): a base and n fine-tunes of it."""

    def make(count: int) -> list[Path]:
        return [write_model(tmp_path / f"m{seed}", random_tensors(seed)) for seed in range(count + 1)]

    return make
