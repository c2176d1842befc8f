"""`collegium serve`."""

from __future__ import annotations

import importlib.util
import signal

import click

from orchestrator.cli.options import configuration, configured
from orchestrator.config import Config
from orchestrator.errors import SetupError


@click.command("serve")
@click.option("--host", metavar="ADDRESS", help="Address to listen on; default: service.host.")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on; default: service.port.")
@click.option("--ray", "on_ray", is_flag=True, help="On Ray Serve (workers.address names the Ray cluster).")
@configured
def command(
    config: str | None,
    overrides: tuple[str, ...],
    as_json: bool,
    host: str | None,
    port: int | None,
    on_ray: bool,
) -> None:
    """Serve the zoo as an OpenAI-compatible endpoint: every expert, mixture and every other method is a model."""
    if not all(map(importlib.util.find_spec, ("fastapi", "uvicorn", "prometheus_client"))):
        raise SetupError("the service needs further packages: pip install 'collegium[service]'")

    def read() -> Config:
        found = configuration(config, overrides)
        given = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
        return found.model_copy(update={"service": found.service.model_copy(update=given)})

    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # the server has its own way to end
    loaded = read()
    if on_ray:
        service, models = loaded.service, f"{', '.join(loaded.experts)}, mixture, ..."
        click.echo(f"http://{service.host}:{service.port}/v1: models {models}", err=True)
        from orchestrator.service.ray_serve import serve as serve_on_ray

        serve_on_ray(loaded)
        return
    from orchestrator.service.serve import serve

    serve(loaded, read)
