"""Databases: SQLite files, and a PostgreSQL server of the session's own."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest


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
