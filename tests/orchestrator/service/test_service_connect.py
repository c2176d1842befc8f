"""`Collegium.connect`: a service elsewhere with the methods of a local Collegium."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest

from agents import transcript
from orchestrator import Collegium
from orchestrator.client import RemoteCollegium
from orchestrator.errors import BadInput, ExpertFailed, RequestError


def test_the_methods_are_the_same() -> None:
    pipelines = ("profile", "run", "glue", "generate", "distil")
    for name in ("chat", "close", *pipelines, *(f"a{name}" for name in pipelines)):
        local, remote = inspect.signature(getattr(Collegium, name)), inspect.signature(getattr(RemoteCollegium, name))
        assert list(local.parameters)[1:2] == [] or len(local.parameters) == len(remote.parameters), name


def test_everything_through_a_connection(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Collegium.connect(f"{url}/v1") as collegium:
        assert {"words", "coins", "mixture"} <= set(collegium.models())
        chat = collegium.chat("words")
        assert chat.invoke("Which word?").content == "Easy.\nAnswer: a\nConfidence: 0.9"
        replies = []
        import asyncio

        found = asyncio.run(
            collegium.aprofile(task="coin_flip", questions=5, done=lambda: replies.append(1))  # type: ignore[func-returns-value]
        )
        assert found.table.experts == ("words", "coins")
        assert found.matrix.split == "validation"
        result = collegium.run(task="coin_flip", methods=["vote", "best"], questions=4, fit_questions=4)
        assert {method.method for method in result.report.methods} == {"vote", "best"}
        job = collegium.job("answer", task="coin_flip", methods=["vote"], questions=2)
        names = {path.name for path in collegium.fetch(job, tmp_path / "fetched")}
        assert {"report.html", "replies.parquet", "results.json"} <= names
        (ranking,) = collegium.route(["Which coin?"])
        assert set(ranking.experts) == {"words", "coins"}
        monkeypatch.chdir(tmp_path)
        made = collegium.generate(task="coin_flip", questions=4)
        assert made.transcripts == len(list(transcript.read(made.path))) == 4
        collegium.feedback("Which coin?", "coins", 1.0)
        with pytest.raises(RequestError, match="unknown key"):
            collegium.run(tsak="coin_flip")
        chat.root_client.close()  # type: ignore[attr-defined]


def test_a_service_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.client.TRIES", 1)
    with pytest.raises(ExpertFailed, match="ConnectError"):
        Collegium.connect("http://127.0.0.1:1").models()
    with pytest.raises(BadInput, match="http://"):
        Collegium.connect("somewhere")


def test_keys_are_sent(settings: dict[str, Any], on_socket: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLLEGIUM_API_KEYS", "a-key-that-is-long-enough")
    with on_socket(settings) as url:
        assert "words" in Collegium.connect(url, "a-key-that-is-long-enough").models()
        with pytest.raises(RequestError, match="401"):
            Collegium.connect(url, "wrong").models()
