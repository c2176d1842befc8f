"""Compiles grammars in a process of its own, so that one that takes for ever costs its request alone.

What a schema or an expression expands to cannot be told from its length (`schema.check_size` refuses what is plainly
too much). So whoever wants a grammar compiled asks here first: the process forks for each, and ends a fork that takes
more than `SECONDS` or `MIB`. What compiled here compiles again elsewhere, in about the same time and memory.

    python -m orchestrator.inference.engines.grammar_process        JSON lines in, JSON lines out
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from orchestrator.inference.engines.schema import StructuredError, parse_structured

SECONDS = 10.0
"""For one grammar."""
START_SECONDS = 120.0
MIB = 1024
"""Memory to compile one grammar in."""
COMPILED_MIB = 256
"""Memory of one compiled grammar, which the engine holds."""
MAX_BLANKS = 16
"""White space between two parts of JSON: a small model that may go on for ever does."""
TOO_LARGE = "structured output: a grammar that takes more than"


class GrammarRefused(StructuredError):
    """A grammar that does not compile within the bounds."""


class GrammarProcess:
    """Asked by one thread. The process starts with the first grammar."""

    def __init__(self, seconds: float = SECONDS, mib: int = MIB) -> None:
        """seconds, mib: bounds of one grammar."""
        self.seconds, self.mib = seconds, mib
        self._child: subprocess.Popen[str] | None = None
        self._known = ""
        """Hash of the tokenizer that the process has."""
        self._closed = False

    def check(self, structured: str, tokenizer: str) -> None:
        """Raises `GrammarRefused`, or `StructuredError` for what xgrammar does not compile.

        structured: as `Sampling.structured`; tokenizer: xgrammar's `TokenizerInfo` as JSON.
        """
        digest = hashlib.sha256(tokenizer.encode()).hexdigest()
        child = self._started()
        if digest != self._known:
            self._asked(child, {"tokenizer": tokenizer})
            self._known = digest
        bounds = {"seconds": self.seconds, "mib": self.mib}
        if error := self._asked(child, {"structured": structured, **bounds}).get("error"):
            raise GrammarRefused(error) if error.startswith(TOO_LARGE) else StructuredError(error)

    def close(self) -> None:
        """End the process. Idempotent, from any thread."""
        self._closed = True
        if (child := self._child) is not None:
            _end(child)

    def _started(self) -> subprocess.Popen[str]:
        if self._closed:
            raise StructuredError("structured output: the engine is closed")
        if self._child is None or self._child.poll() is not None:
            command = [sys.executable, "-m", __name__]
            self._known = ""
            self._child = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
            )
            self._line(self._child, START_SECONDS)
        return self._child

    def _asked(self, child: subprocess.Popen[str], message: dict[str, Any]) -> dict[str, str]:
        assert child.stdin is not None
        with contextlib.suppress(BrokenPipeError, ValueError):
            child.stdin.write(json.dumps(message) + "\n")
            child.stdin.flush()
        return self._line(child, self.seconds + START_SECONDS)

    def _line(self, child: subprocess.Popen[str], seconds: float) -> dict[str, str]:
        """The next answer. Raises `StructuredError` if the process died, or does not answer at all."""
        assert child.stdout is not None
        late = threading.Timer(seconds, child.kill)
        late.start()
        line = ""
        with contextlib.suppress(ValueError):  # closed by another thread
            line = child.stdout.readline()
        late.cancel()
        if not line:
            _end(child)
            raise StructuredError("structured output: xgrammar does not run here (`collegium setup` installs it)")
        answer: dict[str, str] = json.loads(line)
        return answer


def _end(child: subprocess.Popen[str]) -> None:
    child.kill()
    child.wait()
    for pipe in (child.stdin, child.stdout):
        with contextlib.suppress(BrokenPipeError, ValueError):  # what was not sent; another thread reads
            if pipe is not None:
                pipe.close()


def compile_grammar(compiler: Any, structured: str) -> Any:
    """xgrammar's compiled grammar. Raises `StructuredError`."""
    kind, value = parse_structured(structured)
    try:
        if kind == "json":
            return compiler.compile_json_schema(json.dumps(value), max_whitespace_cnt=MAX_BLANKS)
        if kind == "regex":
            return compiler.compile_regex(value)
        if kind == "grammar":
            return compiler.compile_grammar(value)
        choices = " | ".join(json.dumps(choice, ensure_ascii=False) for choice in value)
        return compiler.compile_grammar(f"root ::= {choices}")
    except (RuntimeError, ValueError) as error:
        raise StructuredError(f"structured output: {error}") from error


def _answers(lines: Iterable[str]) -> Iterator[dict[str, str]]:
    import xgrammar

    info: Any = None
    for line in lines:
        asked = json.loads(line)
        if text := asked.get("tokenizer"):
            info = xgrammar.TokenizerInfo.deserialize_json(text)
            yield {}
        else:
            yield _apart(asked["structured"], info, asked["seconds"], asked["mib"])


def _apart(structured: str, info: Any, seconds: float, mib: int) -> dict[str, str]:
    """Compile in a fork, which the bounds end; what it says."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        with contextlib.suppress(BaseException):
            _bound_memory(mib)
            os.write(writing, json.dumps(_compiled(structured, info)).encode())
        os._exit(0)
    os.close(writing)
    with open(reading, "rb") as stream:
        in_time, _, _ = select.select([stream], [], [], seconds)
        said = stream.read() if in_time else b""
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    if not said:
        return {"error": f"{TOO_LARGE} {seconds:g} s or {mib} MiB to compile"}
    answer: dict[str, str] = json.loads(said)
    return answer


def _compiled(structured: str, info: Any) -> dict[str, str]:
    import xgrammar

    try:
        compiled = compile_grammar(xgrammar.GrammarCompiler(info, max_threads=1, cache_enabled=False), structured)
    except StructuredError as error:
        return {"error": str(error)[:600]}
    large = compiled.memory_size_bytes > COMPILED_MIB * 2**20
    return {"error": f"{TOO_LARGE} {COMPILED_MIB} MiB"} if large else {}


def _bound_memory(mib: int) -> None:
    """Nothing beyond `mib` more than there is now (Linux: of private memory)."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        status = Path("/proc/self/status").read_text().splitlines()
        used = next(int(line.split()[1]) << 10 for line in status if line.startswith("VmData"))
        resource.setrlimit(resource.RLIMIT_DATA, (used + (mib << 20), used + (mib << 20)))


if __name__ == "__main__":
    import xgrammar  # noqa: F401 - once, for all forks

    print("{}", flush=True)
    for answer in _answers(sys.stdin):
        print(json.dumps(answer), flush=True)
