"""A checkpoint in the making: whole under its name, or nothing."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from merging.merge import merge
from merging.recipe_file import parse
from merging.writer import WriteError, Writer

Family = Callable[[int], list[Path]]


def linear(folders: list[Path], **more: Any) -> dict[str, Any]:
    models = [{"model": str(folder), "parameters": {"weight": 1}} for folder in folders]
    return {"merge_method": "linear", "models": models, **more}


def test_a_folder_that_is_taken_is_left_alone(family: Family, tmp_path: Path) -> None:
    folders = family(0)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("x")
    with pytest.raises(WriteError, match="exists already"):
        merge(parse(linear(folders)), tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine"]


def test_a_full_disk_leaves_nothing(family: Family, tmp_path: Path) -> None:
    folders = family(1)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        with pytest.raises(WriteError, match="no room on the disk"):
            merge(parse(linear(folders)), tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert not [path for path in tmp_path.iterdir() if "out" in path.name]


def test_a_killed_merge_leaves_no_model_and_the_next_one_cleans_up(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from merging.writer import Writer\n"
        "with Writer(Path(sys.argv[1]), {'x': ('F32', (4,))}) as writer:\n"
        "    print('laid out', flush=True); time.sleep(60)"
    )
    out = tmp_path / "out"
    child = subprocess.Popen([sys.executable, "-c", program, str(out)], stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline() == b"laid out\n"
    with pytest.raises(WriteError, match="another merge is writing there"):
        Writer(out, {"x": ("F32", (4,))})
    child.kill()
    child.wait()
    child.stdout.close()
    assert not out.exists()
    assert (tmp_path / ".out.merging" / "model.safetensors").exists()
    with Writer(out, {"x": ("F32", (4,))}) as writer:
        writer.write("x", 0, np.arange(4, dtype="<f4"))
        writer.finish()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]
    assert [path.name for path in out.iterdir()] == ["model.safetensors"]
