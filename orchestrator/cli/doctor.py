"""`collegium doctor`: what this machine can do, what is wrong, and what to do about it."""

from __future__ import annotations

import dataclasses
import json
import sys

import click

from orchestrator.cli.diagnosis import Finding, diagnose
from orchestrator.cli.lines import tell
from orchestrator.cli.options import DEFAULT_CONFIG, configuration, configured

MARKS = {"ok": "✓", "note": "·", "broken": "✗"}


@click.command("doctor")
@configured
def command(config: str | None, overrides: tuple[str, ...], as_json: bool) -> None:
    """Say what this machine can do and what is wrong: one line each, with its remedy. Exit code 1 if something is
    broken.

    Nothing is loaded. Servers of the configuration's experts are asked for their list of models.
    """
    place = config or (str(DEFAULT_CONFIG) if DEFAULT_CONFIG.exists() else "the demo zoo (no ./collegium.yaml)")
    findings = []
    for finding in diagnose(lambda: configuration(config, overrides), place):
        findings.append(finding)
        if not as_json:
            tell(line(finding), indent="    ")
    broken = sum(one.state == "broken" for one in findings)
    if as_json:
        listed = [dataclasses.asdict(one) for one in findings]
        click.echo(json.dumps({"broken": broken, "findings": listed}, ensure_ascii=False))
    elif broken:
        tell(f"{broken} of {len(findings)} findings are broken (✗): their remedies stand behind the arrows.")
    else:
        tell("Nothing is broken. Next: collegium chat, or collegium run --task QUESTIONS.csv")
    sys.exit(1 if broken else 0)


def line(finding: Finding) -> str:
    """A finding on one line."""
    remedy = f" → {finding.remedy}" if finding.remedy else ""
    return f"{MARKS[finding.state]} {finding.topic}: {finding.words}{remedy}"
