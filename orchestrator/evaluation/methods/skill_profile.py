"""Symbolic-MoE's profile of skills: named once for the profile's questions, fitted, stored, and used by every later
question without another call."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakKeyDictionary

from agents.votes import AT_THEIR_WORD, Odds
from orchestrator.evaluation.methods.keywords import NamedSkills, asked_of, keyword_expert, skills_of
from orchestrator.evaluation.methods.method import Setting
from orchestrator.evaluation.mixture.fit import version_of
from orchestrator.evaluation.mixture.options import FittingOptions
from orchestrator.evaluation.voting import held_out_odds
from router.embedding import Features
from router.routers import BestRouter, FittedRouter, SkillsRouter
from router.routers.fitted import packed, unpacked
from router.table import Table

FORMAT = 1
MAX_VOTERS = 9
"""Votes of so many experts have odds of their own; larger panels take those of this many."""
_log = logging.getLogger("collegium")
_fitting: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Path, asyncio.Task[SkillProfile]]] = WeakKeyDictionary()


@dataclass(frozen=True)
class SkillProfile:
    """Who names skills, the router over them, and the odds of k experts' vote at `votes[k - 1]`."""

    namer: str
    router: FittedRouter
    votes: tuple[Odds, ...]

    def odds(self, recruited: int) -> Odds:
        """The odds of so many experts' vote."""
        return self.votes[min(recruited, len(self.votes)) - 1] if recruited > 1 and self.votes else AT_THEIR_WORD

    def save(self, folder: Path) -> None:
        """Write it into a new folder, all or nothing. Raises OSError."""
        from safetensors.numpy import save_file

        described, arrays = packed(self.router)
        body = {
            "format": FORMAT,
            "namer": self.namer,
            "router": described,
            "votes": [odds._asdict() for odds in self.votes],
        }
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
        try:
            save_file(arrays, temporary / "skills.safetensors")
            (temporary / "skills.json").write_text(json.dumps(body, ensure_ascii=False, indent=1), encoding="utf-8")
            shutil.rmtree(folder, ignore_errors=True)
            os.replace(temporary, folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    @classmethod
    def load(cls, folder: Path) -> SkillProfile:
        """Read what `save` wrote. Raises ValueError naming the file for anything else."""
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        path = folder / "skills.json"
        try:
            body = json.loads(path.read_text(encoding="utf-8"))
            if body["format"] != FORMAT:
                raise ValueError(f"format {body['format']!r} is not {FORMAT}")
            router = unpacked(body["router"], load_file(path.with_suffix(".safetensors")))
            votes = tuple(Odds(**{key: float(value) for key, value in odds.items()}) for odds in body["votes"])
            namer = str(body["namer"])
        except (OSError, SafetensorError, KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise ValueError(f"{path}: not a stored profile of skills: {error!s}") from error
        if not isinstance(router, FittedRouter):
            raise ValueError(f"{path}: holds no fitted router")
        return cls(namer, router, votes)


def folder_of(setting: Setting) -> Path:
    """Where the profile of skills of this setting's table, experts and keyword expert is stored."""
    version = version_of(setting.fitted_on, FittingOptions(router="best"), setting.context.embedder.identity)
    experts = {name: expert.fingerprint for name, expert in setting.experts.items()}
    given = [FORMAT, version, experts, setting.options.keyword_expert]
    name = hashlib.sha256(json.dumps(given, sort_keys=True).encode()).hexdigest()[:32]
    return Path(setting.context.config.state).expanduser() / "skills" / name


async def skill_profile(setting: Setting) -> SkillProfile:
    """The stored profile of skills, else one that is fitted now by asking experts: once, however many callers wait, and
    to the end, even if they leave."""
    folder = folder_of(setting)
    running = _fitting.setdefault(asyncio.get_running_loop(), {})
    if folder not in running:
        if (folder / "skills.json").exists():
            try:
                return await asyncio.to_thread(SkillProfile.load, folder)
            except ValueError as error:
                _log.warning("%s; it is fitted anew", error)
        running[folder] = asyncio.create_task(_fitted(setting, folder))
        running[folder].add_done_callback(lambda _: running.pop(folder, None))
    return await asyncio.shield(running[folder])


async def _fitted(setting: Setting, folder: Path) -> SkillProfile:
    validation = asked_of(setting.fitted_on)
    namer = await keyword_expert(setting, validation)
    named = await skills_of(setting, namer, validation)
    found = await asyncio.to_thread(_fit_all, setting, namer.name, [named[question.id] for question in validation])
    try:
        await asyncio.to_thread(found.save, folder)
    except OSError as error:
        _log.warning("%s: the profile of skills is not stored: %s", folder, error)
    return found


def _fit_all(setting: Setting, namer: str, named: Sequence[NamedSkills]) -> SkillProfile:
    table = setting.fitted_on
    features = setting.context.embedder.features(table.questions, [one.skills for one in named])
    recruited = range(1, min(MAX_VOTERS, len(table.experts)) + 1)
    votes = held_out_odds(table, features, _fit, recruited, setting.seed)
    return SkillProfile(namer, _fit(table, features), votes)


def _fit(table: Table, features: Features) -> FittedRouter:
    """The skills router; where no two runs agree on any keyword, the best experts."""
    return SkillsRouter.fit(table, features) if any(features.skills) else BestRouter.fit(table, features)
