"""README, docs/ and what they link to as one searchable site: mkdocs calls these hooks (`make docs`, `mkdocs.yml`).

Pages link to each other as they lie in the repository, so that they can be read there, too. Here every link is turned
to its place in the site; a linked file outside docs/ comes along, a linked folder becomes a list of its files.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
HEAD = {"README.md": "index.md", "ARCHITECTURE.md": "architecture.md", "CONTRIBUTING.md": "contributing.md"}
"""Pages at the top of the repository -> their places in the site."""
LINK = re.compile(r"(\]\()([^)\s#:]+)(#[^)\s]*)?(\))")
"""A Markdown link to a file: no address of another host, no anchor of its own page."""
CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)


def place(path: str) -> str:
    """Where a file of the repository lies in the site, both with / and without a leading one."""
    if path in HEAD:
        return HEAD[path]
    if (ROOT / path).is_dir():
        return f"{path}/index.md"
    return path.removeprefix("docs/") if path.startswith("docs/") else path


def linked(source: str, text: str) -> Iterator[tuple[re.Match[str], str]]:
    """Links in a page of the repository, each with the file or folder that it names; code is passed over."""
    code = [match.span() for match in CODE.finditer(text)]
    for match in LINK.finditer(text):
        if not any(start <= match.start() < end for start, end in code):
            yield match, posixpath.normpath(posixpath.join(posixpath.dirname(source), match[2]))


def turned(source: str, text: str) -> str:
    """The page with its links turned to their places in the site. Raises ValueError for one that leads nowhere."""
    here, parts, end = posixpath.dirname(place(source)) or ".", [], 0
    for match, path in linked(source, text):
        if not (ROOT / path).exists():
            raise ValueError(f"{source}: the link {match[2]} leads nowhere")
        parts += [text[end : match.start()], match[1], posixpath.relpath(place(path), here), match[3] or "", match[4]]
        end = match.end()
    return "".join([*parts, text[end:]])


def outside() -> dict[str, str]:
    """Every page and file outside docs/ that the site needs: place -> path in the repository."""
    found, open_pages = dict(HEAD), [*HEAD, *(str(one.relative_to(ROOT)) for one in (ROOT / "docs").rglob("*.md"))]
    while open_pages:
        source = open_pages.pop()
        for _, path in linked(source, (ROOT / source).read_text("utf-8")):
            entries = [path, *_entries(path)] if (ROOT / path).is_dir() else [path]
            for one in entries:
                if (
                    one not in found
                    and (not one.startswith("docs/") or (ROOT / one).is_dir())
                    and (ROOT / one).exists()
                ):
                    found[one] = place(one)
                    open_pages += [one] if one.endswith(".md") else []
    return {there: path for path, there in found.items()}


def _entries(folder: str) -> list[str]:
    """Files of a folder, pages where there are any."""
    files = sorted(one for one in (ROOT / folder).iterdir() if one.is_file() and not one.name.startswith("."))
    pages = [one for one in files if one.suffix == ".md"]
    return [str(one.relative_to(ROOT)) for one in pages or files]


def listing(folder: str) -> str:
    """A folder as a page that links to its files."""
    lines = [f"- [{Path(one).name}]({Path(one).name})" for one in _entries(folder)]
    return "\n".join([f"# {folder}", "", *lines, ""])


def on_files(files: Any, config: Any) -> Any:
    """mkdocs: which files the site is made of."""
    from mkdocs.structure.files import File

    for there, path in outside().items():
        if (ROOT / path).is_dir():
            files.append(File.generated(config, there, content=listing(path)))
        else:
            files.append(File.generated(config, there, abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """mkdocs: a page before it is rendered."""
    there = page.file.src_uri
    source = next((path for path, one in HEAD.items() if one == there), None)
    if source is None:
        source = there if (ROOT / there).exists() else f"docs/{there}"
    return markdown if not (ROOT / source).is_file() else turned(source, markdown)
