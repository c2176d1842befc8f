"""What the profile showed of each expert, for the page."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import FastAPI, Request

from orchestrator.errors import NotReady
from orchestrator.evaluation.profile import Profiled
from orchestrator.evaluation.report.intervals import wilson
from orchestrator.service.protocols import Runtime
from orchestrator.service.scopes import may_use, scoped


def add(api: FastAPI, runtime: Runtime) -> None:
    """Add the routes."""

    @api.get("/v1/profile", openapi_extra=scoped("chat"))
    async def profile(request: Request) -> dict[str, Any]:
        """Right answers per expert and task on the profile's questions, with 95% intervals; of the models that the key
        may ask. `why_not` says why there are none."""
        try:
            found = await asyncio.to_thread(_accuracies, await runtime.routing.profiled())
        except NotReady as error:
            return {"object": "profile", "experts": {}, "why_not": str(error)}
        experts = {name: tasks for name, tasks in found.items() if may_use(request.scope, name)}
        return {"object": "profile", "experts": experts, "why_not": None}


def _accuracies(profiled: Profiled) -> dict[str, dict[str, Any]]:
    """Expert -> task -> value, low, high, n."""
    counted: dict[str, dict[str, list[bool]]] = {}
    for (_, expert), one in profiled.replies.items():
        counted.setdefault(expert, {}).setdefault(one.question.task, []).append(one.right)
    return {
        expert: {task: wilson(sum(rights), len(rights)).model_dump() for task, rights in tasks.items()}
        for expert, tasks in counted.items()
    }
