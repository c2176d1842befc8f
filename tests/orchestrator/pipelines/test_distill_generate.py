"""The data of a distillation: a panel's transcripts of a training split."""

from __future__ import annotations

import json
from pathlib import Path

from agents import transcript as transcripts
from tests.scripts.distill_commands import generated


def test_a_panel_discusses_the_training_split_and_a_second_run_generates_nothing(zoo: Path) -> None:
    first = generated()
    assert (first["transcripts"], first["replies"], first["right"]) == (20, 80, 20)
    import tutors  # type: ignore[import-not-found]

    asked = len(tutors.ASKED)
    second = generated()
    assert len(tutors.ASKED) == asked
    assert second["cached_replies"] == 80
    read_again = list(transcripts.read(Path(first["path"])))
    assert [one.question.id for one in read_again] == [f"q{number}" for number in range(20)]
    assert all(one.discussion == "reconcile" and one.answer == one.question.answer for one in read_again)
    provenance = json.loads((Path(first["path"]).parent / "provenance.json").read_text())
    assert set(provenance["experts"]) == {"words", "coins"}
    assert provenance["cost"]["replies"] == 80
