"""`collegium setup`."""

from __future__ import annotations

import sys

import click


@click.command("setup")
def command() -> None:
    """Install what this machine needs from pinned locks: vLLM for CUDA or CPU, else the transformers engine. Compiles
    what merges use."""
    from orchestrator.install import main

    code = main()
    if code == 0:
        from merging.kernels import build

        build()
    sys.exit(code)
