"""`collegium submit`: any command as a Ray job."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

import click

from orchestrator.errors import BadInput, CollegiumError


@click.command("submit", context_settings={"ignore_unknown_options": True})
@click.option("--address", required=True, metavar="URL", help="The Ray cluster's job server: http://HEAD:8265.")
@click.option(
    "--python", default=sys.executable, metavar="PATH", help="The interpreter there; default: this one's path."
)
@click.option("--env", "variables", multiple=True, metavar="NAME=VALUE", help="Environment variable of the job.")
@click.option("--runs", default="runs", metavar="FOLDER", help="Where the run folders are brought to; default: runs.")
@click.option("--detach", is_flag=True, help="Submit and leave it running.")
@click.argument("words", nargs=-1, required=True, metavar="-- COMMAND...")
def command(
    address: str, python: str, variables: tuple[str, ...], runs: str, detach: bool, words: tuple[str, ...]
) -> None:
    """Run a collegium command on a Ray cluster, follow it, and fetch its run folders. The same submission again
    finds the running job, or resumes the one that ended."""
    from orchestrator.submission import Submission

    environment = dict(_pair(variable) for variable in variables)
    submission = Submission(_client(address), words, python=python, environment=environment)
    with tempfile.TemporaryDirectory() as staging:
        new = submission.start(Path(staging))
    click.echo(f"{submission.id}: {'submitted' if new else 'is running already: following it'}", err=True)
    if submission.state is not None:
        click.echo(f"its ledger on the cluster: {submission.state}", err=True)
    if detach:
        return
    try:
        status = asyncio.run(submission.follow(lambda text: click.echo(text, nl=False), Path(runs)))
    except KeyboardInterrupt:
        if click.confirm("\nLeave it running?", default=True, err=True):
            click.echo(f"{submission.id} goes on; the same command follows it again", err=True)
        else:
            submission.stop()
            click.echo(f"{submission.id} is stopped; the same command resumes it", err=True)
        raise
    if status != "SUCCEEDED":
        raise CollegiumError(f"{submission.id}: {status}; its log is above; the same command resumes it")
    for name in submission.fetch(Path(runs)):
        click.echo(str(Path(runs) / name), err=True)


def _pair(variable: str) -> tuple[str, str]:
    name, equals, value = variable.partition("=")
    if not equals or not name:
        raise BadInput(f"--env {variable}: NAME=VALUE was expected")
    return name, value


def _client(address: str) -> object:
    from ray.exceptions import AuthenticationError
    from ray.job_submission import JobSubmissionClient

    try:
        return JobSubmissionClient(address)
    except AuthenticationError as error:
        first = next(iter(str(error).splitlines()), "")
        raise BadInput(
            f"--address {address}: {first}; set RAY_AUTH_MODE=token: the token is RAY_AUTH_TOKEN's, or that of "
            "~/.ray/auth_token, and must be the Ray cluster's"
        ) from error
    except (ConnectionError, RuntimeError, ValueError) as error:
        first = next(iter(str(error).splitlines()), "")
        raise BadInput(f"--address {address}: no Ray job server: {first}") from error
