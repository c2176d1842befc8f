"""What may become an expert is found in caches, folders and at servers; what may not is named with its reason."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from orchestrator.errors import UpstreamRefused
from orchestrator.experts import candidates
from orchestrator.experts.candidates import (
    CandidateSearch,
    expert_name,
    find_in_folder,
    find_in_hub,
    find_on_ports,
    find_on_servers,
    hub_cache,
    listens,
)
from tests.scripts.misbehaving import misbehaving
from tests.scripts.small_safetensors import adapter, checkpoint

LLAMA = {"architectures": ["LlamaForCausalLM"]}


def cached(cache: Path, owner: str, name: str, commit: str = "abc") -> Path:
    """The folder of a commit in the hub's layout."""
    root = cache / f"models--{owner}--{name}"
    folder = root / "snapshots" / commit
    folder.mkdir(parents=True)
    (root / "refs").mkdir(exist_ok=True)
    (root / "refs" / "main").write_text(commit)
    return folder


def test_models_and_adapters_of_the_hubs_cache_are_found_and_others_named(tmp_path: Path) -> None:
    checkpoint(cached(tmp_path, "Some", "Llama-1B"), **LLAMA)
    adapter(cached(tmp_path, "me", "poet"), base_model_name_or_path="Some/Llama-1B")
    adapter(cached(tmp_path, "me", "orphan"), base_model_name_or_path="Other/Gone")
    checkpoint(cached(tmp_path, "st", "minilm"), architectures=["BertModel"])
    (cached(tmp_path, "old", "pickled") / "config.json").write_text("{}")
    (tmp_path / "models--old--pickled" / "snapshots" / "abc" / "pytorch_model.bin").write_text("x")
    search = CandidateSearch()
    find_in_hub(search, tmp_path)
    assert {one.name: dict(one.entry) for one in search.candidates} == {
        "llama-1b": {"model": "Some/Llama-1B"},
        "poet": {"model": "Some/Llama-1B", "adapter": "me/poet"},
    }
    assert all(one.bytes > 0 for one in search.candidates if one.name == "llama-1b")
    assert "its base Other/Gone is not in the hub's cache" in search.refused["me/orphan"]
    assert "writes no replies" in search.refused["st/minilm"]
    assert "pickles" in search.refused["old/pickled"]


def test_the_commit_that_main_names_is_meant(tmp_path: Path) -> None:
    checkpoint(cached(tmp_path, "a", "b", "old"), **LLAMA)
    (tmp_path / "models--a--b" / "snapshots" / "new").mkdir()
    search = CandidateSearch()
    find_in_hub(search, tmp_path)
    assert [one.name for one in search.candidates] == ["b"]


def test_the_cache_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert hub_cache() == Path.home() / ".cache" / "huggingface" / "hub"
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    assert hub_cache() == tmp_path / "hub"
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "other"))
    assert hub_cache() == tmp_path / "other"


def test_folders_are_searched_and_an_adapter_finds_its_base(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    base = checkpoint(tmp_path / "models" / "My Llama", **LLAMA)
    checkpoint(tmp_path / "models" / "My Llama" / "step-100", **LLAMA)
    adapter(tmp_path / "poet-lora", base_model_name_or_path="elsewhere/My Llama")
    adapter(tmp_path / "lost", base_model_name_or_path="gone")
    checkpoint(tmp_path / ".hidden", **LLAMA)
    search = CandidateSearch()
    find_in_folder(search, tmp_path)
    assert {one.name: dict(one.entry) for one in search.candidates} == {
        "my-llama": {"model": str(base)},
        "poet-lora": {"model": str(base), "adapter": str(tmp_path / "poet-lora")},
    }
    assert list(search.refused) == [str(tmp_path / "lost")]


def test_equal_names_are_numbered() -> None:
    search = CandidateSearch()
    for _ in range(3):
        search.add(candidates.ExpertCandidate("one", {"model": "a/one"}, "here"))
    assert [one.name for one in search.candidates] == ["one", "one-2", "one-3"]
    assert expert_name("Qwen/Qwen2.5-7B Instruct:q4/") == "qwen2.5-7b-instruct-q4"


def test_a_servers_models_are_found_with_or_without_its_v1() -> None:
    with misbehaving() as server:
        for url in (server.url, server.url.removesuffix("/v1")):
            search = CandidateSearch()
            find_on_servers(search, [url])
            assert [one.entry["model"] for one in search.candidates] == ["fine", "broken"]
    search = CandidateSearch()
    find_on_servers(search, ["http://127.0.0.1:9/v1"])
    assert list(search.refused) == ["http://127.0.0.1:9/v1"]


def test_of_a_collegium_the_experts_count_and_only_where_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    listed = [
        {"id": "words", "owned_by": "collegium", "kind": "expert"},
        {"id": "mixture", "owned_by": "collegium", "kind": "method"},
    ]
    monkeypatch.setattr(candidates, "listed_models", lambda remote, seconds: listed)
    search = CandidateSearch()
    find_on_servers(search, ["http://127.0.0.1:8000/v1"])
    assert [one.name for one in search.candidates] == ["words"]
    monkeypatch.setattr(candidates, "listens", lambda port: port == 8000)
    found = CandidateSearch()
    find_on_ports(found)
    assert not found.candidates
    assert "another Collegium" in found.refused["http://127.0.0.1:8000/v1"]


def test_a_port_listens_or_not() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert listens(server.getsockname()[1])
    assert not listens(9)


def test_hostile_files_are_no_candidates(tmp_path: Path) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    (folder / "adapter_config.json").write_text("[" * 100_000)
    (folder / "adapter_model.safetensors").write_bytes(b"")
    other = checkpoint(tmp_path / "other", **LLAMA)
    (other / "config.json").write_text(json.dumps({"architectures": 7}))
    search = CandidateSearch()
    find_in_folder(search, tmp_path)
    assert str(folder) in search.refused
    assert [one.name for one in search.candidates] == ["other"]  # its files are read when it is tried


@pytest.mark.parametrize(
    ("status", "key_variable", "remedy"),
    [
        (404, None, "collegium experts add NAME --url URL --model MODEL`"),
        (404, "KEY", "collegium experts add NAME --url URL --model MODEL`"),
        (401, None, "--api-key-env NAME"),
        (401, "KEY", "HTTP 401"),
    ],
)
def test_a_server_that_lists_no_models_comes_with_a_remedy(
    status: int, key_variable: str | None, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> list[object]:
        raise UpstreamRefused(f"HTTP {status}", upstream_status=status)

    monkeypatch.setattr(candidates, "listed_models", refuse)
    search = CandidateSearch()
    find_on_servers(search, ["http://127.0.0.1:9/v1"], key_variable)
    assert search.refused["http://127.0.0.1:9/v1"].endswith(remedy)
