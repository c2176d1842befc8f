"""Kills of the driver at random moments."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from kills import soak
from replies import asked

pytestmark = pytest.mark.soak


def test_a_run_killed_twenty_times_regenerates_nothing_that_was_stored(ray_cluster: Any, tmp_path: Path) -> None:
    victim, last = soak(tmp_path, kills=20, seed=random.randrange(2**32), address=ray_cluster.address)
    assert [kill.survivors for kill in victim.kills] == [[]] * 20
    assert last == f"done 400 {len(victim.kills[-1].stored)}"
    assert victim.regenerated() == set()
    assert len(victim.stored()) == 1200
    assert {call.prompt for call in asked(victim.log)} == victim.stored()
