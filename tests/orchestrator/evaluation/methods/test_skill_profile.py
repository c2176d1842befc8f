"""The profile of skills is named once, stored, and read by whoever needs it next."""

from __future__ import annotations

import asyncio
import dataclasses
import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.question import Question
from orchestrator.collegium import Collegium
from orchestrator.evaluation.methods.method import MethodOptions, Setting
from orchestrator.evaluation.profile import Profiled
from orchestrator.inference.request import Sampling
from router.row import Row
from router.table import Table

# The package has a function of the module's name.
skill_profile = importlib.import_module("orchestrator.evaluation.methods.skill_profile")


@pytest.fixture
def setting(collegium: Collegium) -> Setting:
    rows = [
        Row(
            f"v{n}",
            f"Is coin {n} up?" if n % 2 else f"Which letter is number {n}?",
            {"words": float(n % 2 == 0), "coins": float(n % 2), "wrong": 0.0, "critic": 0.0},
            answer="yes" if n % 2 else "a",
        )
        for n in range(12)
    ]
    table = Table.from_rows(rows, tuple(collegium.experts))
    options = MethodOptions(keyword_expert="words")
    return Setting(collegium.context(), [Question(id="q", question="?")], Sampling(), 0, options, Profiled(table, {}))


def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Numbers of questions of which skills were named, one per call."""
    found: list[int] = []
    real = skill_profile.skills_of

    async def counted(setting: Setting, expert: Any, questions: Any, runs: int = 5) -> Any:
        found.append(len(questions))
        return await real(setting, expert, questions, runs)

    monkeypatch.setattr(skill_profile, "skills_of", counted)
    return found


async def test_many_callers_name_skills_once_and_the_next_process_reads_them(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = asked(monkeypatch)
    leaving = asyncio.ensure_future(skill_profile.skill_profile(setting))
    await asyncio.sleep(0)
    waiting = [asyncio.ensure_future(skill_profile.skill_profile(setting)) for _ in range(3)]
    await asyncio.sleep(0)
    leaving.cancel()
    first, *others = await asyncio.gather(*waiting)
    assert named == [12]
    assert all(other is first for other in others)
    again = await skill_profile.skill_profile(setting)
    assert named == [12]
    assert (again.namer, again.votes) == ("words", first.votes)
    assert again.router.vocabulary == first.router.vocabulary
    assert again.router.vocabulary[:2] == ("spelling", "tossing")
    np.testing.assert_array_equal(again.router.right, first.router.right)


async def test_another_profile_or_keyword_expert_is_named_anew(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = asked(monkeypatch)
    await skill_profile.skill_profile(setting)
    assert setting.profile is not None
    fewer = dataclasses.replace(setting, profile=Profiled(setting.profile.table.take(range(10)), {}))
    await skill_profile.skill_profile(fewer)
    await skill_profile.skill_profile(dataclasses.replace(setting, options=MethodOptions(keyword_expert="coins")))
    assert named == [12, 10, 12]


async def test_a_damaged_one_is_fitted_anew(setting: Setting, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    named = asked(monkeypatch)
    await skill_profile.skill_profile(setting)
    (skill_profile.folder_of(setting) / "skills.json").write_text("{}")
    await skill_profile.skill_profile(setting)
    assert named == [12, 12]
    with pytest.raises(ValueError, match="not a stored profile of skills"):
        skill_profile.SkillProfile.load(tmp_path)
