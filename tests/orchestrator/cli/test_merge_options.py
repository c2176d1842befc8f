"""Every option of mergekit's is done or explained."""

from __future__ import annotations

from typing import Any

from orchestrator.cli.merge_options import FOREIGN, explain_foreign, foreign_options


def test_every_option_of_mergekits_is_done_or_explained() -> None:
    names = {option.name for option in foreign_options()}
    assert all(option.hidden for option in foreign_options())
    done, notes = explain_foreign({"cuda": True, "out_shard_size": "1B", "random_seed": 7, "num_threads": 2})
    assert done == {"device": "cuda", "shard_size": "1B", "seed": 7, "threads": 2}
    assert not notes
    for name in names - {"cuda", "gpu_rich", "out_shard_size", "random_seed", "num_threads", "verbosity"}:
        given: Any = True if name and name.replace("_", "-") in FOREIGN else "x"
        done, notes = explain_foreign({str(name): given})
        assert not done
        assert len(notes) == 1
