"""A profile as a job, followed to its end."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx

PROFILE = {"pipeline": "profile", "request": {"task": "arithmetic", "questions": 4}}


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


async def over(client: httpx.AsyncClient, id: str) -> dict[str, Any]:
    for _ in range(600):
        job: dict[str, Any] = (await client.get(f"/v1/jobs/{id}")).json()
        if job["status"] in ("succeeded", "failed", "cancelled"):
            return job
        await asyncio.sleep(0.02)
    raise AssertionError(job)
