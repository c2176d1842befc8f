"""Everything that runs: experts, engines, the scheduler, pipelines, reports, the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    __version__: str
    from orchestrator.collegium import Collegium
    from orchestrator.pipelines.run_list import open_run

__all__ = ["Collegium", "__version__", "open_run"]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version("collegium")  # of the last tag when it was built
        except PackageNotFoundError:
            return "0+unknown"  # a checkout that nobody installed
    if name == "Collegium":
        from orchestrator.collegium import Collegium

        return Collegium
    if name == "open_run":
        from orchestrator.pipelines.run_list import open_run

        return open_run
    raise AttributeError(f"module 'orchestrator' has no attribute {name!r}")
