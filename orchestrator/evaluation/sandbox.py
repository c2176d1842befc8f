"""Runs a Python program that nobody trusts: `isolated` in namespaces of its own (bubblewrap, or util-linux's unshare),
or with `limits` alone, which the user must ask for by name.

Both: bounded processor time, wall time, memory and file size, no environment, no standard input, an empty folder.
`isolated` also has no network, sees no files but the interpreter's and the system's libraries, writes to its own empty
folder only, and its processes (at most 64, unless root runs Collegium) end with it. `limits` protects from none of
that: the program can read and delete what its user can, use the network, and leave processes behind. Neither protects
from faults of the kernel, and both believe a program that takes its own tests apart on purpose.
"""

from __future__ import annotations

import contextlib
import os
import resource
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Literal

from orchestrator.errors import BadInput

SandboxKind = Literal["isolated", "limits"]
SECONDS = 10.0
MEMORY = 1 << 30
FILE = 16 << 20
_SYSTEM = ("/usr", "/lib", "/lib32", "/lib64", "/bin")
_WAIT = 2.0

_UNSHARE = r"""
set -e
mount --make-rprivate /
mount -t tmpfs -o size=64m tmpfs "$BOX"
for one in $SEEN; do
  mkdir -p "$BOX$one"
  mount --bind "$one" "$BOX$one"
  mount -o remount,bind,ro,nosuid "$BOX$one"
done
mkdir -p "$BOX/box" "$BOX/dev" "$BOX/old"
touch "$BOX/dev/null" && mount --bind /dev/null "$BOX/dev/null"
cat > "$BOX/box/program.py"
cd "$BOX" && pivot_root . old && umount -l /old && rmdir /old
cd /box
exec prlimit --nproc=64 unshare --user -- "$PYTHON" -I program.py
"""


def runs(program: str, kind: SandboxKind, seconds: float = SECONDS) -> bool:
    """Whether a program comes to its end without an error. An early exit, even with status 0, is no end.

    Raises:
        BadInput: `isolated`, and this machine has no sandbox.
    """
    token = secrets.token_hex(16)
    text = f"{program}\n\nprint({token!r}, flush=True)\n"
    with tempfile.TemporaryDirectory(prefix="collegium-code-") as folder:
        command, environment, given = _command(kind, folder, text)
        with tempfile.TemporaryFile() as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE if given else subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.DEVNULL,
                env=environment,
                cwd=folder,
                start_new_session=True,
                preexec_fn=lambda: _limit(seconds),
            )
            try:
                process.communicate(text.encode(errors="replace") if given else None, timeout=seconds + _WAIT)
            except subprocess.TimeoutExpired:
                return False
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            output.seek(0, os.SEEK_END)
            output.seek(max(0, output.tell() - len(token) - 2))
            return process.returncode == 0 and output.read().strip().endswith(token.encode())


@cache
def isolation() -> str | None:
    """What isolates programs on this machine, `bwrap` or `unshare`, proved by running one; None where nothing does."""
    for name in ("bwrap", "unshare"):
        if shutil.which(name) is None:
            continue
        try:
            with tempfile.TemporaryDirectory() as folder:
                command, environment, given = _isolated(name, folder, "print('runs')")
                done = subprocess.run(
                    command, input=given, env=environment, cwd=folder, capture_output=True, timeout=30, check=False
                )
        except (OSError, subprocess.TimeoutExpired):
            continue
        if done.returncode == 0 and done.stdout.strip() == b"runs":
            return name
    return None


def check(kind: SandboxKind) -> None:
    """Raises `BadInput` where this kind cannot be had on this machine."""
    if kind == "isolated" and isolation() is None:
        raise BadInput(
            "--score code: no sandbox here: install bubblewrap, or allow user namespaces (unshare); "
            "`--score code-limits` runs replies with limits of time and memory alone: they may then read and delete "
            "your files"
        )


def _command(kind: SandboxKind, folder: str, text: str) -> tuple[list[str], dict[str, str], bytes | None]:
    check(kind)
    if kind == "isolated":
        return _isolated(str(isolation()), folder, text)
    Path(folder, "program.py").write_text(text, encoding="utf-8", errors="replace")
    return [_python(), "-I", "program.py"], {"PATH": "/usr/bin:/bin"}, None


def _isolated(name: str, folder: str, text: str) -> tuple[list[str], dict[str, str], bytes | None]:
    seen = [one for one in dict.fromkeys((*_SYSTEM, sys.base_prefix)) if Path(one).is_dir()]
    if name == "unshare":
        environment = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "BOX": folder,
            "PYTHON": _python(),
            "SEEN": " ".join(seen),
        }
        flags = ["--user", "--map-root-user", "--mount", "--net", "--ipc", "--uts", "--pid", "--fork", "--kill-child"]
        return ["unshare", *flags, "--", "/bin/sh", "-c", _UNSHARE], environment, text.encode(errors="replace")
    Path(folder, "program.py").write_text(text, encoding="utf-8", errors="replace")
    binds = [part for one in seen for part in ("--ro-bind", one, one)]
    command = [
        "bwrap",
        "--unshare-all",
        "--die-with-parent",
        "--new-session",
        *binds,
        "--dev",
        "/dev",
        "--tmpfs",
        "/tmp",
    ]
    command += ["--bind", folder, "/box", "--chdir", "/box", "--clearenv", "prlimit", "--nproc=64", _python()]
    command += ["-I", "program.py"]
    return command, {"PATH": "/usr/bin:/bin"}, None


def _python() -> str:
    """The interpreter itself, not a virtual environment's: programs see no installed packages."""
    return str(Path(getattr(sys, "_base_executable", sys.executable)).resolve())


def _limit(seconds: float) -> None:
    whole = int(seconds) + 1
    for name, most in (("CPU", whole), ("AS", MEMORY), ("FSIZE", FILE), ("CORE", 0)):
        resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (most, most))


__all__ = ["SandboxKind", "check", "isolation", "runs"]
