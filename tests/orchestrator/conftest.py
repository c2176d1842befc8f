"""Databases: SQLite files, and a PostgreSQL server of the session's own; a table to route by, and embedded words."""

from __future__ import annotations

import hashlib
import json
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from demo_clusters import clustered

from orchestrator import Collegium
from orchestrator.config import demo_zoo, read
from orchestrator.evaluation.report.data import Clustering
from orchestrator.experts.zoo import resolve
from orchestrator.inference.expert import Expert
from orchestrator.pipelines.cluster import ClusterRequest
from router.embedding import Features
from router.row import Row
from router.table import Table
from tests.scripts.fake_ray import FakeRay


def _server_programs() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).resolve().parent if on_path else None


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[Callable[[str], str]]:
    """`postgresql_server(NAME)`: the URL of a new, empty database. The server refuses to run as root: then it is
    postgres, or nobody."""
    programs = _server_programs()
    if programs is None:
        pytest.skip("no PostgreSQL server here: on Debian `apt-get install postgresql`")
    pytest.importorskip("psycopg")
    who: dict[str, Any] = {}
    name = pwd.getpwuid(os.getuid()).pw_name
    if os.getuid() == 0:
        known = {entry.pw_name: entry for entry in pwd.getpwall()}
        user = known.get("postgres") or known["nobody"]
        who, name = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}, user.pw_name
    folder = Path(tempfile.mkdtemp(prefix="pg"))
    if who:
        os.chown(folder, who["user"], who["group"])

    def run(program: str, *words: str) -> None:
        environment = {"PATH": os.environ["PATH"], "LC_ALL": "C", "HOME": str(folder)}
        subprocess.run([str(programs / program), *words], check=True, capture_output=True, cwd=folder, env=environment,
                       timeout=120, **who)  # fmt: skip

    options = f"-k {folder} -c listen_addresses='' -c fsync=off -c max_connections=200"
    made = 0
    try:
        run("initdb", "-D", str(folder / "data"), "-A", "trust", "-E", "UTF8", "--no-sync")
        run("pg_ctl", "-D", str(folder / "data"), "-l", str(folder / "log"), "-w", "-o", options, "start")

        def create(prefix: str) -> str:
            nonlocal made
            made += 1
            run("createdb", "-h", str(folder), f"{prefix}{made}")
            return f"postgresql://{name}@/{prefix}{made}?host={folder}"

        yield create
    finally:
        if (folder / "data" / "postmaster.pid").exists():
            run("pg_ctl", "-D", str(folder / "data"), "-w", "-m", "immediate", "stop")
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str | None:
    """The URL of an empty database; None: SQLite in a file of the test's."""
    if request.param == "sqlite":
        return None
    made: str = request.getfixturevalue("postgresql_server")("test")
    return made


class Words:
    """An embedder without a model: a vector a word, added up."""

    def embed(self, texts: Sequence[str]) -> np.ndarray[Any, np.dtype[np.float32]]:
        rows = []
        for text in texts:
            row = np.zeros(32)
            for word in text.split() or [text]:
                seed = int.from_bytes(hashlib.sha256(word.encode(errors="replace")).digest()[:4])
                row += np.random.default_rng(seed).standard_normal(32)
            rows.append(row / np.linalg.norm(row))
        return np.array(rows, np.float32)

    def features(self, texts: Sequence[str], skills: Sequence[Sequence[str]] = ()) -> Features:
        tags = tuple(tuple(row) for row in skills)
        distinct = sorted({tag for row in tags for tag in row})
        vectors = dict(zip(distinct, self.embed(distinct), strict=True)) if distinct else {}
        return Features(self.embed(texts), tags if distinct else (), vectors)


def routed(n: int = 60, **more: Any) -> Table:
    """Sums, which `sums` knows, and rivers, which `rivers` knows; every seventh they mix up."""
    rows = []
    for number in range(n):
        about = ("sums", "rivers")[number % 2]
        right = {"sums": about == "sums", "rivers": about == "rivers"}
        if number % 7 == 0:
            right = {name: not value for name, value in right.items()}
        rows.append(
            Row(
                f"q{number}",
                f"{'What is the sum of' if about == 'sums' else 'Where does the river flow'} {number} ?",
                {name: float(value) for name, value in right.items()},
                split="val" if number < n // 2 else "dev",
                category=about,
                answer="A",
                predictions={name: "A" if value else "B" for name, value in right.items()},
                extra={"cost": {"sums": 2.0, "rivers": 1.0}},
            )
        )
    return Table.from_rows(rows)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a zoo of two experts and one newcomer, and a table of the two."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr("orchestrator.collegium.embedder_of", lambda config: Words())
    experts = {name: {"script": "acted:words"} for name in ("sums", "rivers", "newcomer")}
    config = {"experts": experts, "runs": str(tmp_path / "runs"), "state": str(tmp_path / "state")}
    (tmp_path / "collegium.yaml").write_text(yaml.safe_dump(config))
    routed().write(tmp_path / "table.jsonl")
    return tmp_path


@pytest.fixture
def table() -> Callable[..., Table]:
    return routed


@pytest.fixture
def echo_zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Collegium]:
    """Two experts that repeat what they are asked, configured in the current folder."""
    monkeypatch.chdir(tmp_path)
    experts = {name: {"script": "orchestrator.inference.engines.scripted:echo"} for name in ("one", "two")}
    config = {"experts": experts, "workers": {"engine": "scripted", "in_process": True}, "state": "state"}
    Path("collegium.yaml").write_text(json.dumps(config))
    with Collegium(Path("collegium.yaml")) as made:
        yield made


@pytest.fixture
def ray(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeRay:
    """A job server, with a configuration in the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "mine.yaml").write_text("zoo: demo\n")
    (tmp_path / "staging").mkdir()
    return FakeRay()


@pytest.fixture(scope="session")
def demo_experts() -> dict[str, Expert]:
    return resolve(read(demo_zoo()))


@pytest.fixture(scope="session")
def by_task_vectors(demo_experts: dict[str, Expert]) -> Clustering:
    """The demo zoo, compared by task vectors."""
    return clustered(ClusterRequest(), demo_experts)
