"""`Collegium.connect`: a service elsewhere with the methods of a local Collegium."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_llama
from safetensors.numpy import load_file

from agents import transcript
from orchestrator import Collegium
from orchestrator.config import BudgetConfig
from orchestrator.errors import BadInput, CollegiumError, RequestError
from orchestrator.pipelines import adapter_training
from tests.scripts.training_steps import STEP


def test_everything_through_a_connection(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Collegium.connect(f"{url}/v1") as collegium:
        monkeypatch.chdir(tmp_path)
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
        (ranking,) = collegium.rank(["Which coin?"])
        assert set(ranking.experts) == {"words", "coins"}
        made = collegium.generate(task="coin_flip", questions=4)
        assert made.transcripts == len(list(transcript.read(made.path))) == 4
        collegium.feedback("Which coin?", "coins", 1.0)
        with pytest.raises(BadInput, match="unknown key"):
            collegium.run(tsak="coin_flip")
        chat.root_client.close()  # type: ignore[attr-defined]


def test_each_job_keeps_to_the_budget_of_its_connection(url: str, tmp_path: Path) -> None:
    with Collegium.connect(url, runs=tmp_path, budget={"tokens": 10}) as poor:
        with pytest.raises(CollegiumError, match=r"budget\.tokens: 0 of 10 tokens are spent"):
            poor.profile(task="coin_flip", questions=5)
        with Collegium.connect(url, runs=tmp_path, budget=BudgetConfig(tokens=10**6)) as rich:
            assert len(rich.profile(task="coin_flip", questions=5).table.rows) == 5
    with pytest.raises(BadInput, match="budget: tokens: "):
        Collegium.connect(url, budget={"tokens": 0})
    with pytest.raises(BadInput, match="budget: token: "):
        Collegium.connect(url, budget={"token": 10})


def test_keys_are_sent(settings: dict[str, Any], on_socket: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLLEGIUM_API_KEYS", "a-key-that-is-long-enough")
    with on_socket(settings) as url:
        assert "words" in Collegium.connect(url, "a-key-that-is-long-enough").models()
        with pytest.raises(RequestError, match="401"):
            Collegium.connect(url, "wrong").models()


def test_pipelines_give_the_same_result_here_and_there(
    settings: dict[str, Any], on_socket: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings["service"]["paths"] = True
    with on_socket(settings) as url, Collegium.connect(url) as there, Collegium(settings) as here:
        asked: dict[str, Any] = {"task": "coin_flip", "questions": 6}
        table = here.profile(**asked, split="train", out="table.jsonl").table
        assert there.profile(**asked, split="train", out="there.jsonl").table.rows == table.rows
        assert Path("there.jsonl").read_bytes() == Path("table.jsonl").read_bytes()
        routed: dict[str, Any] = {"question": "Is 1/2 a coin?", "table": str(Path("table.jsonl").absolute())}
        assert there.route(**routed, router="best").rankings == here.route(**routed, router="best").rankings
        assert there.convincing(**asked) == here.convincing(**asked)
        ran: dict[str, Any] = {**asked, "methods": ["each", "vote"], "fit_questions": 6}
        mine, theirs = here.run(**ran).report, there.run(**ran).report
        assert [one.overall for one in theirs.methods] == [one.overall for one in mine.methods]
        with pytest.raises(CollegiumError, match="there is nothing to cluster"):
            here.cluster()
        with pytest.raises(CollegiumError, match="there is nothing to cluster"):
            there.cluster()
        with pytest.warns(FutureWarning, match="now called rank"):
            (ranking,) = there.route(["Which coin?"])  # type: ignore[arg-type, misc]
        assert set(ranking.experts) == {"words", "coins"}


def test_what_is_done_to_models_is_done_there_as_here(
    settings: dict[str, Any], on_socket: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter_training, "train", lambda spec, out, report: STEP)
    settings["service"]["paths"] = True
    texts = tmp_path / "texts"
    texts.write_text("one two\n\nthree four five\n")
    files = {"model": str(tiny_llama.write(tmp_path / "tiny")), "texts": str(texts)}
    with (
        on_socket(settings) as url,
        Collegium.connect(url, runs=tmp_path / "fetched") as there,
        Collegium(settings) as here,
    ):
        mine, theirs = (one.gather(**files, out=str(tmp_path / name)) for one, name in ((here, "a"), (there, "b")))
        assert (theirs.texts, theirs.tokens) == (mine.texts, mine.tokens)
        ours, elses = load_file(tmp_path / "a"), load_file(tmp_path / "b")
        assert ours.keys() == elses.keys()
        assert all(np.array_equal(ours[name], elses[name]) for name in ours)
        for reference, problem in ((False, None), (True, "its engine has no canary to compare; use --no-reference")):
            for one in (here, there):
                (checked,) = one.check(experts=["words"], reference=reference).experts
                assert (checked.expert, checked.problem) == ("words", problem)
                assert checked.says == "Easy. Answer: a Confidence: 0.9"
        trained = there.train(name="arithmetic")
        assert (trained.steps, trained.tokens, trained.folder.name) == (STEP.step, STEP.tokens, "arithmetic")
        with pytest.raises(CollegiumError, match="no such folder"):
            there.gather(model=str(tmp_path / "nowhere"), texts=str(texts), out=str(tmp_path / "c"))


def test_a_service_that_lets_nobody_name_files_gathers_nothing(url: str, tmp_path: Path) -> None:
    with Collegium.connect(url, runs=tmp_path) as there, pytest.raises(CollegiumError, match=r"service\.paths"):
        there.gather(model=str(tmp_path), texts="texts", out="out")


def test_questions_and_files_that_lie_here_travel_once(url: str, tmp_path: Path) -> None:
    """A service that reads no paths of its clients' gets what the files hold."""
    rows = [{"question": f"Toss {n}?", "answer": "yes", "split": "test" if n % 2 else "validation"} for n in range(8)]
    with Collegium.connect(url, runs=tmp_path / "runs") as there:
        first = there.run(task=rows, methods="vote")  # type: ignore[arg-type]
        again = there.run(questions=rows, methods="vote")  # type: ignore[arg-type]
        assert [one.outcomes for one in again.report.methods] == [one.outcomes for one in first.report.methods]
        assert again.report.methods[0].cost.cached_calls == again.report.methods[0].cost.calls
        assert first.report.methods[0].accuracies.keys() == {"given"}
        assert len(first.report.questions) == 4
        file = tmp_path / "mine.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        table = there.profile(task=str(file), out=str(tmp_path / "table.jsonl")).table
        assert {row.task.partition("-")[0] for row in table.rows} == {"mine"}
        assert there.route(question="Toss 1?", table=str(tmp_path / "table.jsonl"), router="best").rankings
        with pytest.raises(CollegiumError, match="this service knows the tasks"):
            there.profile(task=str(tmp_path / "nowhere.jsonl"))
