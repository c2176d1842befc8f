"""Scripts for the scripted engine, importable by Ray's workers as `replies:NAME`.

The system message names the log; every call adds a line to it before anything else happens: process, node, prompt.
The reply is the prompt.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

Messages = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Asked:
    pid: int
    node: str
    prompt: str


def asked(log: Path) -> list[Asked]:
    """What the scripts that write to `log` were asked, in order."""
    if not log.exists():
        return []
    lines = [line.split("\t") for line in log.read_text("utf-8").splitlines()]
    return [Asked(int(pid), node, prompt) for pid, node, prompt in lines]


def noted(messages: Messages, seed: int) -> str:
    log, prompt = messages[0][1], messages[-1][1]
    line = f"{os.getpid()}\t{_node()}\t{prompt}\n".encode()
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        os.write(descriptor, line)  # one write: lines of several processes do not mix
    finally:
        os.close(descriptor)
    return prompt


def slow(messages: Messages, seed: int) -> str:
    """Takes 10 ms."""
    time.sleep(0.01)
    return noted(messages, seed)


def slower(messages: Messages, seed: int) -> str:
    """Takes 20 ms."""
    time.sleep(0.01)
    return slow(messages, seed)


def deadly(messages: Messages, seed: int) -> str:
    """Ends its process."""
    noted(messages, seed)
    os.kill(os.getpid(), signal.SIGKILL)
    return ""


def deadly_once(messages: Messages, seed: int) -> str:
    """Ends its process if it is asked for the word `die` for the first time."""
    before = [call.prompt for call in asked(Path(messages[0][1]))]
    reply = noted(messages, seed)
    if reply == "die" and reply not in before:
        os.kill(os.getpid(), signal.SIGKILL)
    return reply


def _node() -> str:
    import ray

    return str(ray.get_runtime_context().get_node_id()) if ray.is_initialized() else ""


def long(messages: Messages, seed: int) -> str:
    """So many words that a stream of them can be watched, for the prompt "slow"."""
    return " ".join(f"w{n}" for n in range(1_000_000)) if messages[-1][1] == "slow" else "short"


def lingering(messages: Messages, seed: int) -> str:
    """Takes 50 ms, and writes nothing down."""
    time.sleep(0.05)
    return "Answer: 1"
