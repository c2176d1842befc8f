"""`collegium setup`."""

from __future__ import annotations

import sys

import click


@click.command("setup")
def command() -> None:
    """Install what this machine needs from pinned locks: vLLM for CUDA or CPU, else the transformers engine."""
    from orchestrator.install import main

    sys.exit(main())
