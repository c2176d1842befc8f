"""Machine code is kept and loaded without numba; what cannot be kept is refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

MODULE = """
from __future__ import annotations
import numpy as np
from numpy.typing import NDArray
from merging.compiled import compiled, inner

@inner
def twice(value: float) -> float:
    return value + value

@compiled()
def grow(rows: NDArray[np.float32], out: NDArray[np.float64], times: int, all_: bool) -> bool:
    for k in range(rows.shape[0]):
        for i in range(rows.shape[1]):
            out[i] += twice(rows[k, i]) * times
    return all_ and out[0] > 0
"""
PROGRAM = """
import sys
import numpy as np
from grown import grow
rows, out = np.arange(6, dtype=np.float32).reshape(2, 3), np.zeros(3)
print(grow(rows, out, 3, True), grow(rows, out, 0, False), out.tolist(), "numba" in sys.modules)
"""


def run(folder: Path, **environment: str) -> str:
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-B", "-c", PROGRAM],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": f"{folder}:{root}", "HOME": str(folder), **environment},
    )
    return done.stdout.strip()


def test_the_second_process_needs_no_numba(tmp_path: Path) -> None:
    (tmp_path / "grown.py").write_text(MODULE)
    wanted = "True False [18.0, 30.0, 42.0]"
    assert run(tmp_path) == f"{wanted} True"
    assert run(tmp_path) == f"{wanted} False"
    # Changed code is compiled anew.
    (tmp_path / "grown.py").write_text(MODULE.replace("value + value", "value"))
    assert run(tmp_path) == "True False [9.0, 15.0, 21.0] True"


def test_where_its_folder_cannot_be_written_the_users_cache_is_used(tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "grown.py").write_text(MODULE)
    # A file in the way stops everybody, root too.
    (tmp_path / "code" / "__pycache__").write_text("")
    assert run(tmp_path / "code", XDG_CACHE_HOME=str(tmp_path / "cache")).endswith("True")
    assert run(tmp_path / "code", XDG_CACHE_HOME=str(tmp_path / "cache")).endswith("False")
    assert [path.suffix for path in (tmp_path / "cache" / "collegium").iterdir()] == [".native"]


def test_arrays_of_other_orders_are_refused() -> None:
    from merging import kernels

    rows = np.ones((4, 6), np.float32)
    with pytest.raises(TypeError, match="contiguous"):
        kernels.subtract(rows.T, np.ones(4, np.float32))
    # Another type is compiled on the spot.
    out = np.zeros(2)
    kernels.add_absolute(-np.ones((2, 3)), out)
    assert out.tolist() == [3.0, 3.0]
