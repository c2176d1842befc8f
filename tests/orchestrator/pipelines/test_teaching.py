"""One student's training: what is asked for."""

from __future__ import annotations

from pathlib import Path

from orchestrator.pipelines.teaching import TeachRequest


def test_flags_are_the_fields_of_what_trains_and_what_selects() -> None:
    request = TeachRequest(transcripts=["a"], level="L3", rank=4)
    assert (request.selection.level, request.spec(Path("/x")).rank, request.spec(Path("/x")).student) == ("L3", 4, "/x")
