"""What the documentation shows works: commands exist or run, snippets run against a service, generated pages are
current."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from click import Command, Context, Group
from click.testing import CliRunner

from orchestrator.cli import group

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
CONFIG = {
    "experts": {name: {"script": "orchestrator.inference.engines.scripted:echo"} for name in ("letters", "arithmetic")},
    "workers": {"engine": "scripted", "in_process": True},
    "state": "state",
    "service": {"log": "none"},
}


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)


def commands() -> list[tuple[str, list[str]]]:
    found = []
    for page in sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")):
        for block in blocks(page, "bash"):
            lines = [line.partition("#")[0].strip() for line in block.splitlines()]
            found += [(page, line.split()) for line in lines if line.startswith("collegium ")]
    return found


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reference", DOCS / "reference.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "page",
    ["configuration.md", "pipelines.md", "sdk.md", "../orchestrator/options.py", "../orchestrator/methods.py"],
)
def test_generated_pages_are_current(reference: ModuleType, page: str) -> None:
    assert (DOCS / page).read_text() == reference.PAGES[page](), "run python docs/reference.py"


def test_every_key_of_the_configuration_is_documented(reference: ModuleType) -> None:
    from orchestrator.config import ServiceConfig, WorkersConfig

    for model in (ServiceConfig, WorkersConfig):
        assert all(field.description for field in model.model_fields.values())


@pytest.mark.parametrize(("page", "words"), commands(), ids=lambda value: value if isinstance(value, str) else None)
def test_commands_exist_with_their_flags(page: str, words: list[str]) -> None:
    found: Command = group
    for word in words[1:]:
        if not isinstance(found, Group) or word.startswith("-"):
            break
        inner = found.get_command(Context(found), word)
        assert inner is not None, f"no command {word!r}"
        found = inner
    flags = {flag for parameter in found.params for flag in parameter.opts}
    own = words[: words.index("--")] if "--" in words else words
    assert {word.partition("=")[0] for word in own if word.startswith("--")} <= flags | {"--help"}


def test_links_lead_somewhere() -> None:
    for path in [ROOT / "README.md", *DOCS.rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", path.read_text()):
            assert target.startswith("http") or (path.parent / target).exists(), f"{path.name}: {target}"


@pytest.fixture
def zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COLLEGIUM_API_KEYS", raising=False)
    Path("collegium.yaml").write_text(yaml.safe_dump(CONFIG))
    return CONFIG


def test_the_commands_about_keys_run(zoo: dict[str, Any]) -> None:
    for _, words in commands():
        if words[1] == "keys":
            result = CliRunner().invoke(group, words[1:])
            assert result.exit_code == 0, (words, result.output, result.exception)


@pytest.fixture
def service(zoo: dict[str, Any]) -> Iterator[str]:
    import uvicorn

    from orchestrator.config import read
    from orchestrator.service.application import application
    from orchestrator.service.runtime import ServiceRuntime

    house = ServiceRuntime(read(Path("collegium.yaml").absolute()))
    server = uvicorn.Server(uvicorn.Config(application(house), port=0, log_config=None))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not (server.started and house.ready):
        assert thread.is_alive()
        threading.Event().wait(0.01)
    yield f"http://localhost:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(30)


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # the snippets leave their clients to the garbage collector
def test_the_services_page_runs_as_it_is_written(service: str, capsys: pytest.CaptureFixture[str]) -> None:
    if not shutil.which("curl"):
        pytest.skip("curl is not installed")
    text = (DOCS / "service.md").read_text()
    for language, block in re.findall(r"```(bash|python)\n(.*?)```", text, re.DOTALL):
        block = block.replace("http://localhost:8000", service)
        if language == "python":
            exec(compile(block, "service.md", "exec"), {})
            continue
        for line in block.splitlines():
            if not line.startswith("curl "):
                continue
            done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=300, check=True)
            # Before the job that makes a profile has run there is none to route by.
            assert '"error":{' not in done.stdout.replace(" ", "") or "not_ready" in done.stdout, (line, done.stdout)
    assert "vote" in capsys.readouterr().out


def test_the_examples_for_ray_name_what_exists() -> None:
    serve = yaml.safe_load((ROOT / "examples" / "serve_config.yaml").read_text())
    kuberay = yaml.safe_load((ROOT / "examples" / "kuberay.yaml").read_text())
    inside = yaml.safe_load(kuberay["spec"]["serveConfigV2"])
    assert kuberay["kind"] == "RayService"
    for config in (serve, inside):
        (application,) = config["applications"]
        module, _, name = application["import_path"].partition(":")
        assert callable(getattr(__import__(module, fromlist=[name]), name))
        assert set(application["args"]) == {"config"}
