"""`collegium setup`."""

from __future__ import annotations

import sys

import click


@click.command("setup")
def command() -> None:
    """Install what this machine needs from pinned locks: vLLM for CUDA or CPU, else the transformers engine. Compiles
    what merges and clusters use."""
    from orchestrator.install import main

    code = main()
    if code == 0:
        import merging.similarity_kernel  # noqa: F401 - importing it compiles
        from merging import kernels, low_rank

        kernels.build()
        low_rank.build()
    sys.exit(code)
