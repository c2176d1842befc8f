"""A service elsewhere, with the methods of a local `Collegium`: `Collegium.connect(url, key)`."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import secrets
import warnings
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast

from pydantic import BaseModel, ValidationError

from orchestrator.config import BudgetConfig
from orchestrator.errors import BadInput, CollegiumError, ExpertFailed, Overloaded, RequestError, SetupError, of_code
from orchestrator.evaluation.tasks import names
from orchestrator.methods import PipelineMethods
from orchestrator.pipeline_calls import quiet, wait
from orchestrator.pipelines.given import understood
from orchestrator.pipelines.registry import named

if TYPE_CHECKING:
    import httpx
    from langchain_core.language_models import BaseChatModel

    from orchestrator.pipelines.distill import DistillRequest
    from orchestrator.pipelines.distill_compare import DistillResult
    from router.ranking import Ranking

MAX_BYTES = 2**30
"""Of one file that a job left."""
UPLOADED = frozenset(("task", "table", "fit", "transcripts"))
"""Fields of requests whose files travel to the service."""
TRIES = 5
"""Attempts where the connection breaks or the service says "later"."""


class RemoteCollegium(PipelineMethods):
    """Everything runs at the service; chats and pipelines have the same names and results as `Collegium`'s.

        with Collegium.connect("http://localhost:8000", key) as collegium:
            print(collegium.chat("mixture").invoke("What is gravity?").content)
            result = collegium.run(task="mixed", methods=["best", "mixture"])

    A pipeline is a job: it goes on if this process ends, and the same call finds it again.
    """

    def __init__(
        self,
        url: str,
        key: str | None = None,
        *,
        runs: str | Path = "runs",
        budget: BudgetConfig | Mapping[str, Any] | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """`url` with or without /v1. `runs`: folder for what jobs leave. `budget`: `tokens` and `dollars` that each job
        may spend, within what the service allows. `transport` replaces the network, for tests. Raises `BadInput`."""
        self.runs = Path(runs).expanduser()
        self.url = url.rstrip("/").removesuffix("/v1")
        if not self.url.startswith(("http://", "https://")):
            raise BadInput(f"{url}: an address beginning with http:// or https:// was expected")
        try:
            self.budget = BudgetConfig.model_validate({} if budget is None else budget)
        except ValidationError as error:
            found = error.errors()[0]
            raise BadInput(f"budget: {'.'.join(map(str, found['loc']))}: {found['msg']}") from None
        self._key = key
        self._transport = transport

    def __repr__(self) -> str:
        return f"Collegium.connect({self.url!r})"

    def chat(self, model: str, **settings: Any) -> BaseChatModel:
        """An expert, `mixture` or another method as a LangChain chat model. Needs the package langchain-openai.
        Raises `SetupError` without it."""
        try:
            from langchain_openai import ChatOpenAI
        except ImportError as error:
            raise SetupError("connect: chats need langchain-openai: pip install 'collegium[remote]'") from error
        made: BaseChatModel = ChatOpenAI(
            base_url=f"{self.url}/v1",
            api_key=self._key or "none",  # type: ignore[arg-type, unused-ignore]
            model=model,
            **settings,
        )
        return made

    async def aexecute(
        self,
        pipeline: str,
        request: BaseModel | None = None,
        *,
        done: Callable[[], None] = quiet,
        note: Callable[[str], None] = quiet,
        **options: Any,
    ) -> Any:
        """As `Collegium.aexecute`, as a job of the service: it goes on if this process ends. Files of questions, tables
        and transcripts that lie here are uploaded. The files that make the result are fetched into `runs`, below the
        job's id; replies and checkpoints stay at the service."""
        if pipeline == "route" and isinstance(request, list):
            warnings.warn("route(questions) is now called rank(questions)", FutureWarning, stacklevel=2)
            return await self.arank(request)
        found, old = named(pipeline)
        if old:
            warnings.warn(old, FutureWarning, stacklevel=2)
        asked = found.checked(request, understood(found.request, options, self.runs / "questions"))
        given = asked.model_dump(mode="json", exclude_unset=True, exclude=set(found.writes))
        for field in UPLOADED & given.keys():
            text = given[field]
            if not isinstance(text, str) or (field == "task" and text in names()):
                continue  # a generated task is no file, whatever lies here
            if (file := Path(text).expanduser()).is_file():
                given[field] = await self._upload(file)
        job = await self._job(found.name, given, done, note)
        folder = self.runs / job
        await self._fetch(job, folder, found.needs)
        result = found.stored.load(folder)
        found.stored.deliver(asked, result)
        return result

    async def adistil(self, request: DistillRequest | None = None, **options: Any) -> DistillResult:
        """The old name of `adistill`; it goes with the next version."""
        return cast("DistillResult", await self.aexecute("distil", request, **options))

    def distil(self, request: DistillRequest | None = None, **options: Any) -> DistillResult:
        """The old name of `distill`; it goes with the next version."""
        return wait(self.adistil(request, **options))

    async def ajob(
        self,
        pipeline: str,
        request: BaseModel | None = None,
        *,
        done: Callable[[], None] = quiet,
        note: Callable[[str], None] = quiet,
        **options: Any,
    ) -> str:
        """Run any pipeline of the service to its end; the job's id. `note` hears its log lines, `done` each reply.

        Cancelling this waits no longer; the job goes on. Raises what the pipeline raised.
        """
        given = request.model_dump(mode="json", exclude_unset=True) if request else options
        return await self._job(pipeline, given, done, note)

    async def _job(
        self, pipeline: str, given: Mapping[str, Any], done: Callable[[], None], note: Callable[[str], None]
    ) -> str:
        body: dict[str, Any] = {"pipeline": pipeline, "request": given}
        if budget := self.budget.model_dump(exclude_none=True):
            body["budget"] = budget
        job = await self._json("POST", "/v1/jobs", body)
        replies, last = 0, 0
        async for kind, data in self._events(job["id"], last):
            if kind == "log":
                last = data["number"]
                note(data["text"])
            elif kind == "progress":
                for _ in range(data["replies"] - replies):
                    done()
                replies = max(replies, data["replies"])
            elif data["status"] != "succeeded":
                raise CollegiumError(f"job {job['id']} {data['status']}: {data['error'] or ''}")
        return str(job["id"])

    async def afetch(self, job: str, folder: Path) -> list[Path]:
        """Copy what a job left (report, tables, replies) into a folder."""
        return await self._fetch(job, folder, None)

    async def _fetch(self, job: str, folder: Path, wanted: Sequence[str] | None) -> list[Path]:
        listed = [file["name"] for file in (await self._json("GET", f"/v1/jobs/{job}/files"))["data"]]
        folder.mkdir(parents=True, exist_ok=True)
        return [await self._download(job, name, folder) for name in listed if wanted is None or name in wanted]

    async def arank(self, questions: Sequence[str]) -> list[Ranking]:
        """As `Collegium.arank`, by the service's own router, which has heard all feedback."""
        from router.ranking import Evidence, Ranking, RankingEntry

        found = (await self._json("POST", "/v1/route", {"questions": list(questions)}))["data"]
        return [
            Ranking(
                tuple(RankingEntry(**entry) for entry in one["ranking"]),
                tuple(Evidence(**reason) for reason in one["evidence"]),
            )
            for one in found
        ]

    async def afeedback(self, question: str, expert: str, score: float) -> None:
        """Judge an expert's answer, 0 (wrong) to 1 (right): the service's router learns from it."""
        await self._json("POST", "/v1/feedback", {"question": question, "expert": expert, "score": score})

    async def amodels(self) -> list[str]:
        """What can be chatted with."""
        return [model["id"] for model in (await self._json("GET", "/v1/models"))["data"]]

    def job(self, pipeline: str, request: BaseModel | None = None, **options: Any) -> str:
        """As `ajob`, from ordinary code."""
        return wait(self.ajob(pipeline, request, **options))

    def fetch(self, job: str, folder: str | Path) -> list[Path]:
        """As `afetch`, from ordinary code."""
        return wait(self.afetch(job, Path(folder)))

    def rank(self, questions: Sequence[str]) -> list[Ranking]:
        """As `arank`, from ordinary code."""
        return wait(self.arank(questions))

    def feedback(self, question: str, expert: str, score: float) -> None:
        """As `afeedback`, from ordinary code."""
        wait(self.afeedback(question, expert, score))

    def models(self) -> list[str]:
        """As `amodels`, from ordinary code."""
        return wait(self.amodels())

    def close(self) -> None:
        """Nothing is kept open."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # HTTP ---------------------------------------------------------------------------------------------------

    def _client(self) -> httpx.AsyncClient:
        import httpx

        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        timeout = httpx.Timeout(300, connect=10)
        return httpx.AsyncClient(base_url=self.url, headers=headers, timeout=timeout, transport=self._transport)

    async def _upload(self, file: Path) -> str:
        """The service's id of a file. One that it has already is not sent again: its name there has its content's hash,
        so that the same call is the same run."""
        content = await asyncio.to_thread(file.read_bytes)
        stem, dot, suffixes = file.name.partition(".")
        name = f"{stem[:80]}-{hashlib.sha256(content).hexdigest()[:16]}{dot}{suffixes}"
        for known in (await self._json("GET", "/v1/files?purpose=user_data&limit=1000"))["data"]:
            if (known["filename"], known["bytes"]) == (name, len(content)):
                return str(known["id"])
        parts = {"file": (name, content), "purpose": (None, b"user_data")}
        return str((await self._json("POST", "/v1/files", files=parts))["id"])

    async def _json(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        files: Mapping[str, tuple[str | None, bytes]] | None = None,
    ) -> dict[str, Any]:
        import httpx

        # The same key each time: a submission whose answer was lost is not made twice.
        headers = {"Idempotency-Key": secrets.token_hex(16)} if path == "/v1/jobs" else {}
        for attempt in range(TRIES):
            try:
                async with self._client() as client:
                    response = await client.request(method, path, json=body, files=files, headers=headers)
                if response.status_code < 400:
                    found: dict[str, Any] = response.json()
                    return found
                error = error_of(response, response.content)
                if response.status_code not in (429, 503) or not error.retry or attempt + 1 == TRIES:
                    raise error
            except httpx.TransportError as error:
                if attempt + 1 == TRIES:
                    raise ExpertFailed(f"{self.url}: {type(error).__name__}: {error}") from error
            await asyncio.sleep(0.5 * 2**attempt)
        raise AssertionError

    async def _events(self, job: str, after: int) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        """The job's events until its end, whatever happens to the connection."""
        import httpx
        from httpx_sse import EventSource

        failures = 0
        while True:
            try:
                async with (
                    self._client() as client,
                    client.stream("GET", f"/v1/jobs/{job}/events", params={"after": after}) as response,
                    contextlib.aclosing(EventSource(response).aiter_sse()) as events,
                ):
                    if response.status_code != 200:
                        raise error_of(response, await response.aread())
                    async for event in events:
                        if event.data.startswith("{"):
                            data = event.json()
                            after = data["number"] if event.event == "log" else after
                            failures = 0
                            yield event.event, data
                            if event.event == "end":
                                return
            except (httpx.TransportError, ExpertFailed) as error:
                failures += 1
                if failures == 60:
                    raise ExpertFailed(f"{self.url}: {error}") from error
            await asyncio.sleep(1)

    async def _download(self, job: str, name: str, folder: Path) -> Path:
        path = folder / Path(name).name
        async with self._client() as client, client.stream("GET", f"/v1/jobs/{job}/files/{path.name}") as response:
            if response.status_code != 200:
                raise error_of(response, await response.aread())
            size = 0
            with path.open("wb") as file:
                async for chunk in response.aiter_bytes():
                    size += len(chunk)
                    if size > MAX_BYTES:
                        raise RequestError(f"{name}: larger than {MAX_BYTES} bytes")
                    file.write(chunk)
        return path


def error_of(response: httpx.Response, content: bytes) -> CollegiumError:
    """The service's error as the class that it was there: by its code, else by its status."""
    status = response.status_code
    try:
        error_body = json.loads(content)["error"]
        message, code = str(error_body["message"])[:2000], error_body.get("code")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        message, code = content[:200].decode("utf-8", "replace"), None
    try:
        later = float(response.headers.get("retry-after", ""))
    except ValueError:
        later = None
    found = of_code(code, status, retry=later is not None)
    if issubclass(found, Overloaded):
        return found(message, later or 1.0)
    return found(f"HTTP {status}: {message}", retry_after=later)
