"""`kill -9` of the driver: the same command goes on where it was, and nothing heavy survives it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from kills import Victim
from replies import asked


def test_a_run_killed_twice_is_resumed_and_regenerates_nothing_that_was_stored(ray_cluster, tmp_path: Path) -> None:
    victim = Victim(tmp_path, questions=60, address=ray_cluster.address)
    victim.kill(victim.start(own_ray=True), after=40)  # a local Ray must go with it
    victim.kill(victim.start(), after=50)  # on another's Ray cluster its worker must go
    assert [kill.survivors for kill in victim.kills] == [[], []]
    assert [bool(kill.stored) for kill in victim.kills] == [True, True]

    assert victim.finish(victim.start()) == f"done 60 {len(victim.kills[-1].stored)}"
    assert victim.regenerated() == set()
    assert len(victim.stored()) == 180
    assert {call.prompt for call in asked(victim.log)} == victim.stored()


def test_a_program_that_closes_nothing_ends_without_another_ray(ray_cluster, tmp_path: Path) -> None:
    """Ray leaves its cluster when Python ends, and joins or starts one whenever it is asked for something."""
    program = f"""
from orchestrator import Collegium

collegium = Collegium({{
    "experts": {{"a": {{"script": "orchestrator.inference.engines.scripted:echo"}}}},
    "workers": {{"engine": "scripted", "cpus": 0.1, "address": {ray_cluster.address!r}}},
    "state": {str(tmp_path)!r},
}})
print(collegium.chat("a").invoke("hello").content)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "hello\n", "")
