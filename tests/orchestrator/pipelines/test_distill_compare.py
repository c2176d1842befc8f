"""Students tested side by side."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from tests.scripts.distill_commands import call, generated


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_students_are_compared_on_a_real_engine_and_reported(zoo: Path, tiny: Path) -> None:
    path = generated()["path"]
    config = {
        "experts": {"pupil": {"model": str(tiny)}},
        "workers": {"engine": "transformers", "in_process": True},
        "state": str(zoo.parent / "state"),
        "runs": str(zoo.parent / "runs"),
    }
    Path("real.yaml").write_text(yaml.safe_dump(config))
    flags = ["--config", "real.yaml", "--transcripts", path, "--student", "pupil", "--arms", "gold,L4", "--seeds", "2"]
    flags += ["--tokens", "400", "--step-tokens", "200", "--rank", "2", "--encoder-width", "8", "--panel", "vote"]
    result = call("distill", *flags, "--task", "questions.jsonl", "--max-tokens", "8", "--json")
    assert result.exit_code == 0, (result.output, result.exception)
    found = json.loads(result.stdout)
    names = [method["method"] for method in found["methods"]]
    assert names == ["untaught student", "student gold", "student L4", "panel, vote"]
    assert all(method["overall"]["n"] == 10 for method in found["methods"])
    assert {one["baseline"] for one in found["comparisons"]} == {"untaught student"}
    assert [arm["student"] for arm in found["distillation"]["arms"]] == [
        "student-gold-0", "student-gold-1", "student-L4-0", "student-L4-1",
    ]  # fmt: skip
    assert found["distillation"]["transcripts"] == 20
    assert len(found["distillation"]["gallery"]) == 8
    assert "taught from 20 transcripts" in Path(found["report"]).read_text()
