"""Real clients against the service: each makes the calls that its users make, with its own package.

    python -m benchmarks.clients --python CLIENTS/bin/python [MORE/bin/python ...] [--node FOLDER] [--only NAME,...]

CLIENTS is an environment with openai, openai-agents, langchain-openai, langchain-tests, pytest, pytest-asyncio, dspy,
instructor, litellm, anthropic, pydantic-ai-slim[openai], smolagents[openai] and schemathesis; MORE are environments
with llama-index-llms-openai-like (0.4 or newer), aider-chat, lm-eval[api] with transformers, and open-webui with
playwright, which do not go together; Open WebUI's page is used in Debian's Chromium; FOLDER has `npm install
@continuedev/openai-adapters @openai/codex`. Each client runs in the first environment that has it; one that none has
is reported as missing, not as passed. The service runs the demo zoo on its real engine; langchain's standard tests
and schemathesis, which try the endpoint and no model, run against scripted experts (all of them with --scripted). A
program passes when it prints its result and asserts nothing wrong; nothing is timed.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile

from benchmarks.client_programs import PROGRAMS as LIBRARIES
from benchmarks.client_suites import SCRIPTED as ON_SCRIPTS
from benchmarks.client_suites import SUITES
from benchmarks.machine import RESULTS, conditions, write_result
from benchmarks.served import served

LONGEST = 560
"""Seconds that one client may take."""
PROGRAMS = {**LIBRARIES, **SUITES}
SCRIPTED = """
import json, re

WORDS = {"input": 3, "city": "Ulm", "name": "Ann"}

def talk(messages, seed):
    text = messages[-1][1]
    if text.startswith("<tool_response>"):
        return "The answer is 5."
    offered = re.findall("<tools>(.*?)</tools>", messages[0][1], re.DOTALL)
    lines = [line for line in offered[-1].splitlines() if line.startswith("{")] if offered else []
    named = re.search("named '(.+?)'", text)
    if lines and re.search("tool|weather|[Ff]unction|customer|cat", text):
        function = json.loads(lines[0])["function"]
        properties = function.get("parameters", {}).get("properties", {})
        call = {"name": function["name"], "arguments": {
            name: named[1] if named else WORDS.get(name, "Ann") for name in properties}}
        return json.dumps(call)
    if "JSON" in text:
        return json.dumps({"setup": "Why?", "punchline": "Therefore."})
    return "The capital of France is Paris."
"""


def service(scripted: bool) -> contextlib.AbstractContextManager[str]:
    """A service whose model ids `base` is one of."""
    if not scripted:
        return served({"zoo": "demo"})
    experts = {name: {"script": "talking:talk", "context": 200_000} for name in ("base", "other")}
    config = {"experts": experts, "workers": {"engine": "scripted", "in_process": True}}
    return served(config, {"talking.py": SCRIPTED})


def outcome(pythons: list[str], url: str, program: str, environment: dict[str, str]) -> tuple[str, str]:
    """(passed, failed or missing; its last line), in the first environment that has the client."""
    found = ("missing", "")
    for python in pythons:
        if (found := _outcome(python, url, program, environment))[0] != "missing":
            break
    return found


def _outcome(python: str, url: str, program: str, environment: dict[str, str]) -> tuple[str, str]:
    with tempfile.TemporaryDirectory() as folder:
        try:
            done = subprocess.run(
                [python, "-c", program, url],
                capture_output=True,
                text=True,
                timeout=LONGEST,
                check=False,
                cwd=folder,
                env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | environment,
            )
        except subprocess.TimeoutExpired:
            return "failed", f"no end within {LONGEST} s"
    lines = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines() or [""]
    if done.returncode == 0:
        return "passed", lines[-1]
    missing = any(name in lines[-1] for name in ("ModuleNotFoundError", "PackageNotFoundError"))
    if not missing:
        print(done.stderr[-3000:], flush=True)
    return ("missing" if missing else "failed"), lines[-1]


def keep(found: dict[str, tuple[str, str]]) -> None:
    """Write the table: what was found now, and what earlier parts found."""
    before = RESULTS / "clients.json"
    known = json.loads(before.read_text())["clients"] if before.exists() else {}
    results = {name: [*(found.get(name) or known.get(name) or ("not run", ""))] for name in PROGRAMS}
    rows = [(name, f"{status}: {line[:160]}".replace("|", "/"), "passed") for name, (status, line) in results.items()]
    note = f"Run in parts with --only. On scripted experts: {', '.join(sorted(ON_SCRIPTS))}; on the demo zoo: the rest."
    with contextlib.redirect_stdout(io.StringIO()):  # the last line of each client has been printed
        result = {"conditions": conditions(), "clients": results}
        write_result("clients", "Real clients against the service", rows, result, note)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", nargs="+", default=[sys.executable])
    parser.add_argument("--node", default="")
    parser.add_argument("--only", default=",".join(PROGRAMS))
    parser.add_argument("--scripted", action="store_true")
    asked = parser.parse_args()
    from orchestrator.experts.demo import FULL, locate

    environment = {"CLIENT_NODE": asked.node, "CLIENT_TOKENIZER": str(locate(FULL))}
    found: dict[str, tuple[str, str]] = {}
    names = asked.only.split(",")
    for scripted in (False, True):
        if chosen := [name for name in names if (asked.scripted or name in ON_SCRIPTS) == scripted]:
            with service(scripted) as url:
                for name in chosen:
                    found[name] = outcome(asked.python, url, PROGRAMS[name], environment)
                    print(f"{name}: {' '.join(found[name])}", flush=True)
                    if not asked.scripted:
                        keep(found)
    return sum(status != "passed" for status, _ in found.values())


if __name__ == "__main__":
    sys.exit(main())
