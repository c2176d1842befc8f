"""Programs that nobody trusts: what passes, what fails, and what they cannot reach."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.errors import BadInput
from orchestrator.evaluation import sandbox

isolated = pytest.mark.skipif(sandbox.isolation() is None, reason="this machine has neither bubblewrap nor namespaces")
KINDS = ["limits", pytest.param("isolated", marks=isolated)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("program", "passes"),
    [
        ("assert 1 + 1 == 2", True),
        ("assert 1 + 1 == 3", False),
        ("import sys; sys.exit(0)", False),
        ("import os; os._exit(0)", False),
        ("x = bytearray(3 << 30)", False),
        ("def f(:", False),
        ("open('a', 'w').write('x'); assert open('a').read() == 'x'", True),
    ],
)
def test_a_program_passes_if_it_comes_to_its_end(kind: sandbox.SandboxKind, program: str, passes: bool) -> None:
    assert sandbox.runs(program, kind) is passes


def test_time_is_bounded() -> None:
    assert not sandbox.runs("import time; time.sleep(60)", "limits", seconds=0.2)


@isolated
def test_files_and_network_of_the_machine_are_out_of_reach(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s")
    # Each program passes with limits alone, so that it is the sandbox that stops it.
    for program in (f"open({str(secret)!r}).read()", f"open({str(tmp_path / 'new')!r}, 'w')"):
        assert sandbox.runs(program, "limits")
        assert not sandbox.runs(program, "isolated")
    assert not sandbox.runs("open('/usr/collegium-was-here', 'w')", "isolated")
    assert not Path("/usr/collegium-was-here").exists()
    assert sandbox.runs("import os; assert 'HOME' not in os.environ", "isolated")
    network = "import socket\nassert [name for _, name in socket.if_nameindex()] == ['lo']"
    assert sandbox.runs(network, "isolated")


def test_without_a_sandbox_nothing_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "isolation", lambda: None)
    with pytest.raises(BadInput, match="no sandbox here: install bubblewrap"):
        sandbox.runs("pass", "isolated")
    assert sandbox.runs("pass", "limits")
