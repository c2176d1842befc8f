"""A service elsewhere, with the methods of a local `Collegium`: `Collegium.connect(url, key)`."""

from __future__ import annotations

import asyncio
import json
import secrets
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pydantic import BaseModel

from orchestrator.errors import BadInput, CollegiumError, ExpertFailed, Overloaded, RequestError, SetupError

if TYPE_CHECKING:
    import httpx
    from langchain_core.language_models import BaseChatModel

    from orchestrator.evaluation.answer import AnswerRequest, AnswerResult
    from orchestrator.evaluation.profile import Profile, ProfileRequest
    from orchestrator.pipelines.distill import DistillRequest
    from orchestrator.pipelines.distill_compare import DistillResult
    from orchestrator.pipelines.distill_generate import Generated, GenerateRequest
    from orchestrator.pipelines.glue import GlueRequest, GlueResult
    from router.ranking import Ranking

MAX_BYTES = 2**30
"""Of one file that a job left."""
TRIES = 5
"""Attempts where the connection breaks or the service says "later"."""


class RemoteCollegium:
    """Everything runs at the service; chats and pipelines have the same names and results as `Collegium`'s.

        with Collegium.connect("http://localhost:8000", key) as collegium:
            print(collegium.chat("mixture").invoke("What is gravity?").content)
            result = collegium.run(task="mixed", methods=["best", "mixture"])

    A pipeline is a job: it goes on if this process ends, and the same call finds it again.
    """

    def __init__(self, url: str, key: str | None = None, *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        """`url` with or without /v1. `transport` replaces the network, for tests."""
        self.url = url.rstrip("/").removesuffix("/v1")
        if not self.url.startswith(("http://", "https://")):
            raise BadInput(f"{url}: an address beginning with http:// or https:// was expected")
        self._key = key
        self._transport = transport

    def __repr__(self) -> str:
        return f"Collegium.connect({self.url!r})"

    def chat(self, model: str, **settings: Any) -> BaseChatModel:
        """An expert, `mixture` or another method as a LangChain chat model. Needs the package langchain-openai."""
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

    async def aprofile(
        self, request: ProfileRequest | None = None, *, done: Callable[[], None] = lambda: None, **options: Any
    ) -> Profile:
        """As `Collegium.aprofile`; the experts' replies stay at the service."""
        from orchestrator.evaluation.profile import Profile
        from orchestrator.evaluation.report.data import Matrix
        from router.table import Table

        job = await self.ajob("profile", request, done=done, **options)
        with tempfile.TemporaryDirectory() as folder:
            await self.afetch(job, Path(folder))
            table = Table.read(Path(folder) / "table.jsonl")
            matrix = Matrix.model_validate_json((Path(folder) / "results.json").read_bytes())
        return Profile(table, {}, matrix)

    async def arun(
        self, request: AnswerRequest | None = None, *, done: Callable[[], None] = lambda: None, **options: Any
    ) -> AnswerResult:
        """As `Collegium.arun`; single replies stay at the service (`afetch` has them as Parquet)."""
        from orchestrator.evaluation.answer import AnswerResult
        from orchestrator.evaluation.report.data import RunReport

        job = await self.ajob("answer", request, done=done, **options)
        report = RunReport.model_validate(await self._json("GET", f"/v1/jobs/{job}/result"))
        return AnswerResult(report, (), {}, None)

    async def aglue(
        self, request: GlueRequest | None = None, *, done: Callable[[], None] = lambda: None, **options: Any
    ) -> GlueResult:
        """As `Collegium.aglue`; checkpoints that it wrote, and replies, stay at the service."""
        import yaml

        from orchestrator.evaluation.profile import Profile
        from orchestrator.evaluation.report.data import Matrix, RunReport
        from orchestrator.pipelines.glue import GlueResult
        from router.table import Table

        job = await self.ajob("glue", request, done=done, **options)
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            await self.afetch(job, folder)
            matrix = Matrix.model_validate_json((folder / "matrix.json").read_bytes())
            return GlueResult(
                RunReport.model_validate_json((folder / "results.json").read_bytes()),
                yaml.safe_load((folder / "zoo.yaml").read_text("utf-8")),
                Profile(Table.read(folder / "table.jsonl"), {}, matrix),
            )

    async def agenerate(
        self, request: GenerateRequest | None = None, *, done: Callable[[], None] = lambda: None, **options: Any
    ) -> Generated:
        """As `Collegium.agenerate`; the transcripts are fetched into `runs`, below the job's id."""
        from orchestrator.pipelines.distill_generate import Generated

        job = await self.ajob("distill-generate", request, done=done, **options)
        told = await self._json("GET", f"/v1/jobs/{job}/result")
        folder = Path("runs") / job
        await self.afetch(job, folder)
        return Generated(**{**told, "path": folder / told["path"]})

    async def adistil(
        self, request: DistillRequest | None = None, *, done: Callable[[], None] = lambda: None, **options: Any
    ) -> DistillResult:
        """As `Collegium.adistil`; students stay at the service."""
        from orchestrator.evaluation.report.data import RunReport
        from orchestrator.pipelines.distill_compare import DistillResult

        job = await self.ajob("distill", request, done=done, **options)
        report = RunReport.model_validate(await self._json("GET", f"/v1/jobs/{job}/result"))
        return DistillResult(report, (), ())

    async def ajob(
        self,
        pipeline: str,
        request: BaseModel | None = None,
        *,
        done: Callable[[], None] = lambda: None,
        told: Callable[[str], None] = lambda line: None,
        **options: Any,
    ) -> str:
        """Run any pipeline of the service to its end; the job's id. `told` hears its log lines, `done` each reply.

        Cancelling this waits no longer; the job goes on. Raises what the pipeline raised.
        """
        given = request.model_dump(mode="json", exclude_defaults=True) if request else options
        body = {"pipeline": pipeline, "request": given}
        job = await self._json("POST", "/v1/jobs", body)
        replies, last = 0, 0
        async for kind, data in self._events(job["id"], last):
            if kind == "log":
                last = data["number"]
                told(data["text"])
            elif kind == "progress":
                for _ in range(data["replies"] - replies):
                    done()
                replies = max(replies, data["replies"])
            elif data["status"] != "succeeded":
                raise CollegiumError(f"job {job['id']} {data['status']}: {data['error'] or ''}")
        return str(job["id"])

    async def afetch(self, job: str, folder: Path) -> list[Path]:
        """Copy what a job left (report, tables, replies) into a folder."""
        listed = await self._json("GET", f"/v1/jobs/{job}/files")
        folder.mkdir(parents=True, exist_ok=True)
        return [await self._download(job, file["name"], folder) for file in listed["data"]]

    async def aroute(self, questions: list[str]) -> list[Ranking]:
        """Experts for each question, best first, with reasons."""
        from router.ranking import Evidence, Ranking, RankingEntry

        found = (await self._json("POST", "/v1/route", {"questions": questions}))["data"]
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

    def profile(self, request: ProfileRequest | None = None, **options: Any) -> Profile:
        """As `aprofile`, from ordinary code."""
        return asyncio.run(self.aprofile(request, **options))

    def run(self, request: AnswerRequest | None = None, **options: Any) -> AnswerResult:
        """As `arun`, from ordinary code."""
        return asyncio.run(self.arun(request, **options))

    def glue(self, request: GlueRequest | None = None, **options: Any) -> GlueResult:
        """As `aglue`, from ordinary code."""
        return asyncio.run(self.aglue(request, **options))

    def generate(self, request: GenerateRequest | None = None, **options: Any) -> Generated:
        """As `agenerate`, from ordinary code."""
        return asyncio.run(self.agenerate(request, **options))

    def distil(self, request: DistillRequest | None = None, **options: Any) -> DistillResult:
        """As `adistil`, from ordinary code."""
        return asyncio.run(self.adistil(request, **options))

    def job(self, pipeline: str, request: BaseModel | None = None, **options: Any) -> str:
        """As `ajob`, from ordinary code."""
        return asyncio.run(self.ajob(pipeline, request, **options))

    def fetch(self, job: str, folder: str | Path) -> list[Path]:
        """As `afetch`, from ordinary code."""
        return asyncio.run(self.afetch(job, Path(folder)))

    def route(self, questions: list[str]) -> list[Ranking]:
        """As `aroute`, from ordinary code."""
        return asyncio.run(self.aroute(questions))

    def feedback(self, question: str, expert: str, score: float) -> None:
        """As `afeedback`, from ordinary code."""
        asyncio.run(self.afeedback(question, expert, score))

    def models(self) -> list[str]:
        """As `amodels`, from ordinary code."""
        return asyncio.run(self.amodels())

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

    async def _json(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        import httpx

        # The same key each time: a submission whose answer was lost is not made twice.
        headers = {"Idempotency-Key": secrets.token_hex(16)} if path == "/v1/jobs" else {}
        for attempt in range(TRIES):
            try:
                async with self._client() as client:
                    response = await client.request(method, path, json=body, headers=headers)
                if response.status_code < 400:
                    found: dict[str, Any] = response.json()
                    return found
                if response.status_code not in (429, 503) or attempt + 1 == TRIES:
                    raise _error(response.status_code, response.content)
            except httpx.TransportError as error:
                if attempt + 1 == TRIES:
                    raise ExpertFailed(f"{self.url}: {type(error).__name__}: {error}") from error
            await asyncio.sleep(0.5 * 2**attempt)
        raise AssertionError

    async def _events(self, job: str, after: int) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        """The job's events until its end, whatever happens to the connection."""
        import httpx

        failures = 0
        while True:
            try:
                async with (
                    self._client() as client,
                    client.stream("GET", f"/v1/jobs/{job}/events", params={"after": after}) as response,
                ):
                    if response.status_code != 200:
                        raise _error(response.status_code, await response.aread())
                    kind = ""
                    async for line in response.aiter_lines():
                        if line.startswith("event: "):
                            kind = line[7:]
                        elif line.startswith("data: {"):
                            data = json.loads(line[6:])
                            after = data["number"] if kind == "log" else after
                            failures = 0
                            yield kind, data
                            if kind == "end":
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
                raise _error(response.status_code, await response.aread())
            size = 0
            with path.open("wb") as file:
                async for chunk in response.aiter_bytes():
                    size += len(chunk)
                    if size > MAX_BYTES:
                        raise RequestError(f"{name}: larger than {MAX_BYTES} bytes")
                    file.write(chunk)
        return path


def _error(status: int, content: bytes) -> CollegiumError:
    try:
        message = str(json.loads(content)["error"]["message"])[:2000]
    except (ValueError, KeyError, TypeError, RecursionError):
        message = content[:200].decode("utf-8", "replace")
    if status == 429:
        return Overloaded(message, 1.0)
    if status >= 500:
        return ExpertFailed(f"HTTP {status}: {message}")
    return RequestError(f"HTTP {status}: {message}")
