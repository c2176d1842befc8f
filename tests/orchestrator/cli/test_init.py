"""`collegium init`: what answers is written, what does not is named and left out; nothing is overwritten."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from orchestrator.cli import group, init
from orchestrator.config import read
from orchestrator.errors import BadInput, CollegiumError, ExpertError
from orchestrator.inference.expert import RemoteModel
from tests.scripts.misbehaving import Misbehaving, misbehaving
from tests.scripts.small_safetensors import checkpoint

FILE = Path("collegium.yaml")


@pytest.fixture(scope="module")
def upstream() -> Iterator[Misbehaving]:
    with misbehaving() as server:
        yield server


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "no-cache"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    return tmp_path


def call(*arguments: str, typed: str | None = None) -> Result:
    return CliRunner().invoke(group, ["init", "--no-ports", *arguments], input=typed, catch_exceptions=True)


def test_what_answers_is_written_and_what_fails_is_commented_out(upstream: Misbehaving) -> None:
    done = call("--yes", "--url", upstream.url)
    assert done.exit_code == 0, (done.output, done.exception)
    assert list(read(FILE).experts) == ["fine"]
    text = FILE.read_text()
    assert f"  fine:\n    url: {upstream.url}\n    model: fine\n" in text
    assert "  # broken:\n  #   url:" in text
    assert "HTTP 500" in text
    assert "✓ fine: Served at" in done.output
    assert "✗ broken:" in done.output
    assert "Wrote collegium.yaml: 1 expert, 1 left out." in done.output
    assert max(map(len, (done.output + text).splitlines())) < 100


def test_a_file_is_overwritten_only_by_force(upstream: Misbehaving) -> None:
    FILE.write_text("# mine\n")
    refused = call("--yes", "--url", upstream.url)
    assert isinstance(refused.exception, BadInput)
    assert "--force" in str(refused.exception)
    assert FILE.read_text() == "# mine\n"
    assert call("--yes", "--url", upstream.url, "--force").exit_code == 0
    assert "# mine" not in FILE.read_text()


def test_where_nothing_answers_nothing_is_written(upstream: Misbehaving) -> None:
    for arguments in (["--yes"], ["--yes", "--url", upstream.url, "--only", "broken"]):
        done = call(*arguments)
        assert isinstance(done.exception, ExpertError)
        assert "is not written" in str(done.exception)
    assert not FILE.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--url", "http://127.0.0.1:9/v1"], "--url http://127.0.0.1:9/v1: "),
        (["--folder", "nowhere"], "--folder nowhere: no such folder"),
        (["--provider", "openai/gpt-5-mini"], "OPENAI_API_KEY, which is not set: export OPENAI_API_KEY="),
        (["--provider", "openia/x"], "did you mean 'openai'"),
        (["--provider", "openai"], "PROVIDER/MODEL was expected"),
        (["--only", "nobody"], "'nobody' was not found"),
        (["--config", "no/such/place.yaml"], "no such folder"),
    ],
)
def test_what_the_user_named_wrongly_is_said(arguments: list[str], message: str) -> None:
    done = call("--yes", *arguments)
    assert isinstance(done.exception, CollegiumError)
    assert message in str(done.exception)
    assert "\n" not in str(done.exception)


def test_no_server_of_a_provider_is_asked_before_somebody_agrees(
    monkeypatch: pytest.MonkeyPatch, upstream: Misbehaving
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret-key")
    asked: list[str] = []

    def listed(remote: RemoteModel, seconds: float) -> list[dict[str, str]]:
        asked.append(remote.url)
        return [{"id": "fine"}]

    monkeypatch.setattr("orchestrator.experts.candidates.listed_models", listed)
    assert call("--yes", "--url", upstream.url).exit_code == 0
    assert asked == [upstream.url]
    assert "openai" not in FILE.read_text()
    assert "secret-key" not in FILE.read_text()


def test_questions_choose_what_is_taken(monkeypatch: pytest.MonkeyPatch, upstream: Misbehaving) -> None:
    monkeypatch.setattr(init, "at_a_terminal", lambda: True)
    monkeypatch.setenv("OPENAI_API_KEY", "secret-key")
    done = call("--url", upstream.url, "--no-try", typed="broken\ngpt-4.1-mini\n")
    assert done.exit_code == 0, (done.output, done.exception)
    experts = read(FILE).experts
    assert list(experts) == ["broken", "gpt-4.1-mini"]
    assert experts["gpt-4.1-mini"].provider == "openai"
    assert "secret-key" not in FILE.read_text() + done.output


def test_a_folders_files_are_read_and_what_is_wrong_with_them_is_said(tmp_path: Path, upstream: Misbehaving) -> None:
    checkpoint(tmp_path / "bare", architectures=["LlamaForCausalLM"])
    done = call("--yes", "--url", upstream.url, "--only", "fine,bare")
    assert done.exit_code == 0, (done.output, done.exception)
    assert "✗ bare: Checkpoint from" in done.output
    assert "  # bare:\n  #   model: ./bare\n" in FILE.read_text()


def test_no_more_are_tried_than_asked_for(upstream: Misbehaving) -> None:
    before = upstream.asked["broken"]
    done = call("--yes", "--url", upstream.url, "--max-experts", "1", "--json")
    found = json.loads(done.stdout)
    assert [one["name"] for one in found["experts"]] == ["fine"]
    assert "not tried: --max-experts is 1" in found["left_out"]["broken"]
    assert upstream.asked["broken"] == before


def test_what_breaks_the_engine_hides_no_other_expert(monkeypatch: pytest.MonkeyPatch, upstream: Misbehaving) -> None:
    whole = init._asked

    def asked(chosen, *, quiet):  # type: ignore[no-untyped-def]
        if any(one.name == "broken" for one in chosen):
            raise MemoryError("no room")
        return whole(chosen, quiet=quiet)

    monkeypatch.setattr(init, "_asked", asked)
    done = call("--yes", "--url", upstream.url)
    assert done.exit_code == 0, (done.output, done.exception)
    assert "✗ broken: Served at" in done.output
    assert "MemoryError: no room" in " ".join(done.output.split())
    assert list(read(FILE).experts) == ["fine"]
