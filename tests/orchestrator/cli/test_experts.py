"""`collegium experts`: listed, and added with comments kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

import pytest
import tiny_llama
import yaml
from click.testing import CliRunner, Result

from orchestrator.cli import group
from orchestrator.inference.engines.engine import EngineOptions
from orchestrator.inference.engines.reference import NoReference, Reference
from orchestrator.inference.engines.scripted import ScriptedEngine
from orchestrator.pipelines import check
from tests.scripts.misbehaving import COST, misbehaving


def call(*arguments: str) -> Result:
    return CliRunner().invoke(group, list(arguments), catch_exceptions=True)


def test_experts_are_listed_and_added_with_comments_kept(zoo: Path) -> None:
    listed = json.loads(call("experts", "list", "--json").stdout)
    assert [row["expert"] for row in listed] == ["words", "coins"]
    zoo.write_text("# my zoo\n" + zoo.read_text())
    result = call("experts", "add", "far", "--url", "http://localhost:1/v1", "--model", "big")
    assert result.exit_code == 0, (result.output, result.exception)
    text = zoo.read_text()
    assert text.startswith("# my zoo")
    assert yaml.safe_load(text)["experts"]["far"] == {"url": "http://localhost:1/v1", "model": "big"}
    again = call("experts", "add", "far", "--url", "http://localhost:1/v1", "--model", "big")
    assert "there is one already" in str(again.exception)
    missing = call("experts", "add", "gone", "--model", "no/such/folder")
    assert "no such folder" in str(missing.exception)
    assert zoo.read_text() == text


def test_experts_are_added_to_a_new_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert call("experts", "add", "far", "--url", "http://localhost:1/v1", "--model", "big").exit_code == 0
    assert list(yaml.safe_load((tmp_path / "collegium.yaml").read_text())["experts"]) == ["far"]


def test_a_known_provider_is_added_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert call("experts", "add", "gpt", "--provider", "openai", "--model", "gpt-4.1-mini").exit_code == 0
    entry = yaml.safe_load((tmp_path / "collegium.yaml").read_text())["experts"]["gpt"]
    assert entry == {"provider": "openai", "model": "gpt-4.1-mini"}
    wrong = call("experts", "add", "other", "--provider", "openia", "--model", "x")
    assert "did you mean 'openai'" in str(wrong.exception)


def test_remote_experts_are_checked_by_asking_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with misbehaving() as upstream:
        models = {"fine": {}, "bad-key": {}, "no-usage": {}, "unset": {"api_key_env": "NOT_SET_ANYWHERE"}}
        experts = {name: {"url": upstream.url, "model": name, "tries": 1, **more} for name, more in models.items()}
        (tmp_path / "collegium.yaml").write_text(yaml.safe_dump({"experts": experts, "state": str(tmp_path / "state")}))
        checked = call("experts", "check", "--json")
        rows = {row["expert"]: row for row in json.loads(checked.stdout)}
        assert "2 of 4 experts failed the check" in str(checked.exception)
        assert (rows["fine"]["problem"], rows["fine"]["cost"], rows["fine"]["way"]) == (None, COST, "remote")
        assert rows["no-usage"]["cost"] is None
        assert "HTTP 401: wrong key" in rows["bad-key"]["problem"]
        assert "NOT_SET_ANYWHERE is not set" in rows["unset"]["problem"]
        good = call("experts", "check", "fine", "no-usage")
        assert good.exit_code == 0
        assert "✓ fine: answered in" in good.output
        assert "cost $0.012500" in good.output
        assert "price not known" in good.output


class Speaking(ScriptedEngine):
    """A scripted engine with a canary that a test decides."""

    says: ClassVar[list[list[tuple[int, float]]]] = []

    def canary(self) -> list[list[tuple[int, float]]]:
        return self.says


def makes_speaking(options: EngineOptions) -> Speaking:
    return Speaking()


LIKELY = [[(token, -1.0 - token) for token in range(8)]]
OTHER = [[(token, -1.0 - token) for token in range(20, 28)]]


@pytest.mark.parametrize(
    ("canary", "reference", "problem"),
    [
        (LIKELY, Reference(LIKELY, LIKELY), None),
        (LIKELY, Reference(OTHER, OTHER), "not what transformers computes"),
        (LIKELY, NoReference("it is too large"), "nothing was compared (it is too large); use --no-reference"),
        ([], Reference(LIKELY, LIKELY), "its engine has no canary to compare; use --no-reference"),
    ],
)
def test_a_check_that_compares_nothing_has_failed(
    zoo: Path, monkeypatch: pytest.MonkeyPatch, canary: Any, reference: Any, problem: str | None
) -> None:
    monkeypatch.setattr(Speaking, "says", canary)
    monkeypatch.setattr(check, "references", lambda asked, tokens: [reference for _ in asked])
    checked = call("experts", "check", "--json", "--set", f"workers.engine={__name__}:makes_speaking")
    for row in json.loads(checked.stdout):
        assert problem in row["problem"] if problem else row["problem"] is None
    assert ("2 of 2 experts failed the check" in str(checked.exception)) == bool(problem)
    bare = call("experts", "check", "--no-reference", "--set", f"workers.engine={__name__}:makes_speaking")
    assert bare.exit_code == 0


def test_an_expert_is_checked_on_the_engine_of_the_group_that_takes_it(
    zoo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Speaking, "says", LIKELY)
    monkeypatch.setattr(check, "references", lambda asked, tokens: [Reference(LIKELY, LIKELY) for _ in asked])
    config = yaml.safe_load(zoo.read_text())
    config["workers"] = [
        {"engine": f"{__name__}:makes_speaking", "in_process": True},
        {"engine": "scripted", "in_process": True, "experts": ["words"]},
    ]
    zoo.write_text(yaml.safe_dump(config, sort_keys=False))
    rows = json.loads(call("experts", "check", "--json").stdout)
    assert [row["expert"] for row in rows] == ["words", "coins"]
    assert rows[0]["problem"] == "its engine has no canary to compare; use --no-reference"
    assert (rows[1]["problem"], rows[1]["reference"]) == (None, "equal")


def test_a_model_is_added_by_its_hub_id_and_a_folder_of_that_name_goes_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from orchestrator.experts.demo import FULL, locate

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: str(locate(FULL)))
    for name in ("one", "two"):
        added = call("experts", "add", name, "--model", "Tiny/Olmo")
        if name == "one":
            assert added.exit_code == 0, added.exception
            (tmp_path / "Tiny" / "Olmo").mkdir(parents=True)
    assert "Tiny/Olmo" in str(added.exception)
    assert yaml.safe_load(Path("collegium.yaml").read_text())["experts"] == {"one": {"model": "Tiny/Olmo"}}


def test_a_template_that_is_not_there_is_refused_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tiny_llama.write(tmp_path / "mine")
    missing = call("experts", "add", "mine", "--model", "./mine", "--chat-template", "templates/chat.jinja")
    assert f"{tmp_path / 'templates' / 'chat.jinja'}: not a file" in str(missing.exception)
    assert not (tmp_path / "collegium.yaml").exists()
    written = {"experts": {"mine": {"model": "./mine", "chat_template": "templates/chat.jinja"}}}
    (tmp_path / "collegium.yaml").write_text(yaml.safe_dump(written))
    assert f"{tmp_path / 'templates' / 'chat.jinja'}: not a file" in str(call("experts", "list").exception)
