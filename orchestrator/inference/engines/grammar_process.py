"""Compiles grammars in a process of its own, so that one that takes for ever costs its request alone.

What a schema or an expression expands to cannot be told from its length (`schema.check_size` refuses what is plainly
too much). So whoever wants a grammar compiled asks here first: a process that may take `SECONDS` and `MIB`, and is
ended when it takes more. What compiled here compiles again elsewhere, in about the same time and memory.

    python -m orchestrator.inference.engines.grammar_process        JSON lines in, JSON lines out
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from typing import Any

from orchestrator.inference.engines.schema import StructuredError, parse_structured

SECONDS = 10.0
"""For one grammar, start of the process not counted."""
START_SECONDS = 120.0
MIB = 1024
"""Memory of the process beyond what it has after its start."""
COMPILED_MIB = 256
"""Memory of one compiled grammar, which the engine holds."""
MAX_BLANKS = 16
"""White space between two parts of JSON: a small model that may go on for ever does."""
TOO_LARGE = "structured output: a grammar that takes more than"


class GrammarTooLarge(StructuredError):
    """A grammar that does not compile within the bounds."""


class GrammarProcess:
    """Asked by one thread. The process starts with the first grammar and again after one that was too much."""

    def __init__(self, seconds: float = SECONDS, mib: int = MIB) -> None:
        self._seconds, self._mib = seconds, mib
        self._child: subprocess.Popen[str] | None = None
        self._known = ""
        """Hash of the tokenizer that the process has."""
        self._closed = False

    def check(self, structured: str, tokenizer: str) -> None:
        """Raises `GrammarTooLarge`, or `StructuredError` for what xgrammar does not compile.

        structured: as `Sampling.structured`; tokenizer: xgrammar's `TokenizerInfo` as JSON.
        """
        digest = hashlib.sha256(tokenizer.encode()).hexdigest()
        child = self._started()
        if digest != self._known:
            self._asked(child, {"digest": digest, "tokenizer": tokenizer})
            self._known = digest
        if error := self._asked(child, {"digest": digest, "structured": structured}).get("error"):
            raise GrammarTooLarge(error) if error.startswith(TOO_LARGE) else StructuredError(error)

    def close(self) -> None:
        """End the process. Idempotent, from any thread."""
        self._closed = True
        if (child := self._child) is not None:
            _end(child)

    def _started(self) -> subprocess.Popen[str]:
        if self._closed:
            raise StructuredError("the engine is closed")
        if self._child is None or self._child.poll() is not None:
            command = [sys.executable, "-m", __name__, str(self._mib)]
            self._known = ""
            self._child = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
            )
            if self._line(self._child, START_SECONDS) is None:
                raise StructuredError("structured output needs the package xgrammar; run `collegium setup`")
        return self._child

    def _asked(self, child: subprocess.Popen[str], message: dict[str, str]) -> dict[str, str]:
        assert child.stdin is not None
        with contextlib.suppress(BrokenPipeError, ValueError):
            child.stdin.write(json.dumps(message) + "\n")
            child.stdin.flush()
        answer = self._line(child, self._seconds)
        if answer is None:
            raise GrammarTooLarge(f"{TOO_LARGE} {self._seconds:.0f} s and {self._mib} MiB to compile")
        return answer

    def _line(self, child: subprocess.Popen[str], seconds: float) -> dict[str, str] | None:
        """The next answer; None if the process died, or was ended for being late."""
        assert child.stdout is not None
        late = threading.Timer(seconds, child.kill)
        late.start()
        try:
            line = child.stdout.readline()
        except ValueError:  # closed by another thread
            line = ""
        finally:
            late.cancel()
        if line:
            answer: dict[str, str] = json.loads(line)
            return answer
        _end(child)
        return None


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
        choices = " | ".join(json.dumps(choice, ensure_ascii=False) for choice in value)
        return compiler.compile_grammar(f"root ::= {choices}")
    except (RuntimeError, ValueError) as error:
        raise StructuredError(f"structured output: {error}") from error


def _answers(lines: Iterable[str], compilers: dict[str, Any]) -> Iterator[dict[str, str]]:
    import xgrammar

    for line in lines:
        asked = json.loads(line)
        if text := asked.get("tokenizer"):
            info = xgrammar.TokenizerInfo.deserialize_json(text)
            compilers.clear()  # one at a time: a worker's experts mostly share it
            compilers[asked["digest"]] = xgrammar.GrammarCompiler(info, max_threads=1, cache_enabled=False)
            yield {}
            continue
        try:
            compiled = compile_grammar(compilers[asked["digest"]], asked["structured"])
        except StructuredError as error:
            yield {"error": str(error)[:600]}
            continue
        large = compiled.memory_size_bytes > COMPILED_MIB * 2**20
        yield {"error": f"{TOO_LARGE} {COMPILED_MIB} MiB"} if large else {}


def _bound_memory(mib: int) -> None:
    """Nothing beyond `mib` more than there is now (Linux: of private memory)."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource
        from pathlib import Path

        used = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmData"))
        limit = (int(used.split()[1]) << 10) + (mib << 20)
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


if __name__ == "__main__":
    import xgrammar  # noqa: F401 - before the memory is bounded

    print("{}", flush=True)
    _bound_memory(int(sys.argv[1]))
    for answer in _answers(sys.stdin, {}):
        print(json.dumps(answer), flush=True)
