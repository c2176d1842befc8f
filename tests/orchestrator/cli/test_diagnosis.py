"""Each finding of the doctor: what it sees, and that it names a remedy where one is needed."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.cli import diagnosis
from orchestrator.cli.diagnosis import diagnose
from orchestrator.config import Config, validate
from orchestrator.errors import ConfigError
from orchestrator.inventory import Card, Inventory
from tests.scripts.misbehaving import Misbehaving, misbehaving
from tests.scripts.small_safetensors import checkpoint


@pytest.fixture(scope="module")
def upstream() -> Iterator[Misbehaving]:
    with misbehaving() as server:
        yield server


def config(folder: Path, experts: dict[str, Any] | None = None, **more: Any) -> Config:
    found = {"experts": experts or {"one": {"script": "a:b"}}, "state": str(folder / "state")}
    return validate({**found, "runs": str(folder / "runs"), **more}, folder / "collegium.yaml")


def test_every_finding_that_is_no_good_has_a_remedy(tmp_path: Path) -> None:
    found = list(diagnose(lambda: config(tmp_path), "collegium.yaml"))
    topics = [one.topic for one in found]
    wanted = ["python", "memory", "gpu", "stack", "engine", "extras", "configuration", "state", "runs", "port"]
    assert [one for one in topics if one in wanted] == wanted
    assert topics[-1] == "expert one"
    assert all(one.remedy for one in found if one.state != "ok")


def test_a_wrong_configuration_is_one_finding_and_the_others_follow() -> None:
    def read() -> Config:
        raise ConfigError("collegium.yaml: experts.x: unknown key")

    found = {one.topic: one for one in diagnose(read, "collegium.yaml")}
    assert found["configuration"].state == "broken"
    assert "unknown key" in found["configuration"].words
    assert "hub cache" in found


@pytest.mark.parametrize(
    ("expert", "state", "words"),
    [
        ({"model": "fine"}, "ok", "serves fine"),
        ({"model": "other"}, "broken", "has no model 'other'; it has fine, broken"),
        ({"model": "fine", "api_key_env": "NOT_SET_ANYWHERE"}, "broken", "NOT_SET_ANYWHERE is not set"),
    ],
)
def test_remote_experts_are_held_against_their_servers_list(
    upstream: Misbehaving, tmp_path: Path, expert: dict[str, Any], state: str, words: str
) -> None:
    before = dict(upstream.asked)
    settings = config(tmp_path, {"far": {"url": upstream.url, **expert}})
    (found,) = diagnosis.experts(settings)
    assert (found.topic, found.state) == ("expert far", state)
    assert words in found.words
    assert dict(upstream.asked) == before  # no reply is paid for


def test_a_server_that_is_not_there_and_files_that_are_none_are_broken(tmp_path: Path) -> None:
    experts = {"gone": {"url": "http://127.0.0.1:9/v1", "model": "x"}, "bare": {"model": "./bare"}}
    checkpoint(tmp_path / "bare", architectures=["LlamaForCausalLM"])
    found = list(diagnosis.experts(config(tmp_path, experts)))
    assert [one.state for one in found] == ["broken", "broken"]
    assert all(one.remedy for one in found)
    assert "expert 'bare'" not in found[1].words


@pytest.mark.parametrize("state", [401, 403])
def test_a_refused_key_is_named(monkeypatch: pytest.MonkeyPatch, state: int) -> None:
    from orchestrator.errors import UpstreamRefused

    def refuses() -> list[str]:
        raise UpstreamRefused(f"HTTP {state}", upstream_status=state)

    assert "refuses the key" in diagnosis._served("expert x", "http://a/v1", "m", refuses).words

    def lists_nothing() -> list[str]:
        raise UpstreamRefused("HTTP 404", upstream_status=404)

    assert diagnosis._served("expert x", "http://a/v1", "m", lists_nothing).state == "note"


def test_folders_that_cannot_be_written_and_small_disks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    blocked = config(tmp_path).model_copy(update={"state": str(tmp_path / "file" / "state")})
    states = {one.topic: one for one in diagnosis.folders(blocked)}
    assert states["state"].state == "broken"
    assert "`state:`" in states["state"].remedy
    full = type("Usage", (), {"free": 10})
    monkeypatch.setattr(diagnosis.shutil, "disk_usage", lambda path: full)
    assert [one.state for one in diagnosis.folders(config(tmp_path))] == ["broken", "broken"]


def test_a_service_that_runs_on_the_state_folder_is_noticed(tmp_path: Path) -> None:
    settings = config(tmp_path)
    (tmp_path / "state").mkdir()
    lock = tmp_path / "state" / "service.lock"
    lock.write_text("name")
    assert "service" not in {one.topic for one in diagnosis.folders(settings)}
    handle = os.open(lock, os.O_RDWR)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        assert "service" in {one.topic for one in diagnosis.folders(settings)}
    finally:
        os.close(handle)
    assert lock.read_text() == "name"


def test_the_services_port(upstream: Misbehaving, tmp_path: Path) -> None:
    taken = int(upstream.url.split(":")[2].partition("/")[0])
    assert diagnosis.port(config(tmp_path, service={"port": taken})).state == "note"
    assert diagnosis.port(config(tmp_path, service={"port": 9})).state == "ok"
    open_to_all = diagnosis.port(config(tmp_path, service={"host": "0.0.0.0"}))
    assert (open_to_all.state, open_to_all.remedy) == ("broken", "collegium keys create NAME")


def test_a_gpu_that_the_stack_cannot_use_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    old = Inventory((Card("Tesla K80", (3, 7)),), (13, 0), "libcuda")
    monkeypatch.setattr(diagnosis, "inventory", lambda: old)
    assert diagnosis.card().state == "broken"
    new = Inventory((Card("NVIDIA H100", (9, 0)),), (13, 0), "libcuda")
    monkeypatch.setattr(diagnosis, "inventory", lambda: new)
    assert diagnosis.card().state == "ok"
    monkeypatch.setattr(diagnosis, "_version", lambda package: "2.13.0+cpu" if package == "torch" else None)
    stack = {one.topic: one for one in diagnosis.stack()}
    assert stack["stack"].remedy == "COLLEGIUM_STACK=cuda collegium setup"
    assert stack["engine"].state == "broken"
    monkeypatch.setattr(diagnosis, "_version", lambda package: None)
    assert [one.state for one in diagnosis.stack()] == ["broken"]


def test_keys_are_named_and_never_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROQ_API_KEY", "very-secret")
    found = diagnosis.keys()
    assert "GROQ_API_KEY" in found.words
    assert "very-secret" not in found.words
