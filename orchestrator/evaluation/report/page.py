"""A run's report as one HTML file: no network, no framework, opens from disk.

A section of the page is a view (views.py), a template and, where it draws a chart, one JavaScript function
(sections/NAME.html, sections/NAME.js), named in `SECTIONS`. Everything that comes from a run is hostile text:
templates escape it, charts set it as text, and the page's content security policy runs no script but its own.
"""

from __future__ import annotations

import base64
import hashlib
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from orchestrator.errors import StorageError
from orchestrator.evaluation.report import formats, glue_views, views
from orchestrator.evaluation.report.data import RunReport
from orchestrator.evaluation.report.distillation import distillation
from orchestrator.evaluation.report.headline import headline
from orchestrator.evaluation.report.questions import questions
from orchestrator.evaluation.report.transcripts import discussions, transcripts

FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Section:
    """A section of the report's page; it is left out where its view is None."""

    name: str
    title: str
    view: Callable[[RunReport], views.View | None]


SECTIONS = (
    Section("methods", "Methods", views.methods),
    Section("comparisons", "Comparisons", views.comparisons),
    Section("judged", "Judged answers", views.judged),
    Section("glue", "Merges and members", glue_views.glue),
    Section("clusters", "Clusters", glue_views.clusters),
    Section("experts", "Experts and tasks", views.experts),
    Section("distillation", "Distillation", distillation),
    Section("timeline", "Experts on workers", views.timeline),
    Section("cost", "Accuracy and cost", views.cost),
    Section("discussions", "Discussions", discussions),
    Section("transcripts", "Transcripts", transcripts),
    Section("questions", "Questions", questions),
    Section("manifest", "Manifest", views.manifest),
)


def render(report: RunReport) -> str:
    """The page: about 1 MB without its questions; every question is in it, long replies and large numbers of them are
    clipped."""
    displayed = [(section, view) for section in SECTIONS if (view := section.view(report)) is not None]
    return document(
        "page.html",
        [path for section, _ in displayed if _exists(path := f"sections/{section.name}.js")],
        report=report,
        headline=headline(report),
        sections=displayed,
        charts={section.name: view["chart"] for section, view in displayed if "chart" in view},
    )


def notebook_frame(report: RunReport) -> str:
    """The whole page in a frame of its own, for a notebook: shut off from the notebook's scripts and styles."""
    return f'<iframe srcdoc="{escape(render(report))}" style="width: 100%; height: 50em; border: 0"></iframe>'


def document(template: str, scripts: Sequence[str], **content: object) -> str:
    """A page from one of this folder's templates, with the chart library and `scripts` (files of this folder) in it.

    The template gets `content`, `style`, `scripts` and their `hashes` for the content security policy.
    """
    files = ["vendor/d3.min.js", "vendor/plot.umd.min.js", "page.js", "list.js", *scripts]
    sources = [*(_source(path) for path in files), Markup("Collegium.start();")]
    hashes = [_hash(source) for source in sources]
    page = _environment().get_template(template)
    return page.render(style=_source("page.css"), scripts=sources, hashes=hashes, **content)


def write(report: RunReport, path: Path) -> None:
    """Write the page to `path`, whole or not at all. Raises StorageError when it cannot be written."""
    save(render(report), path)


def save(text: str, path: Path) -> None:
    """Write a page to `path`, whole or not at all. Raises StorageError when it cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, partial = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with open(handle, "w", encoding="utf-8") as file:
                file.write(text)
            os.chmod(partial, 0o644)
            os.replace(partial, path)
        except BaseException:
            os.unlink(partial)
            raise
    except OSError as error:
        raise StorageError(f"report {path}: cannot be written: {error.strerror or error}") from error


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    names = (
        *("percent", "interval", "value", "count", "seconds", "short", "clipped", "points", "probability", "dollars"),
        *("figure", "metric_head"),
    )
    environment.filters.update({name: getattr(formats, name) for name in names})
    return environment


def _exists(path: str) -> bool:
    return (FOLDER / path).is_file()


def _source(path: str) -> Markup:
    """One of this package's own files, to stand in the page as it is."""
    return Markup((FOLDER / path).read_text(encoding="utf-8"))


def _hash(script: str) -> str:
    digest = hashlib.sha256(script.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
