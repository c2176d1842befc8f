"""The documentation as a site: every link of a page leads to a place in it."""

from __future__ import annotations

import importlib.util
import posixpath
import re
from pathlib import Path
from types import ModuleType

import pytest
import yaml

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def site() -> ModuleType:
    spec = importlib.util.spec_from_file_location("site_pages", ROOT / "docs" / "site.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def pages(site: ModuleType) -> dict[str, str]:
    """Every page: place in the site -> path in the repository."""
    docs = ROOT / "docs"
    inside = {one.relative_to(docs).as_posix(): str(one.relative_to(ROOT)) for one in docs.rglob("*.md")}
    return inside | {there: path for there, path in site.outside().items() if path.endswith(".md")}


def test_every_link_leads_to_a_place_in_the_site(site: ModuleType) -> None:
    places = {*pages(site), *site.outside(), "transcript.schema.json"}
    links = 0
    for there, path in pages(site).items():
        text = site.turned(path, (ROOT / path).read_text())
        for match in site.LINK.finditer(text):
            if any(start <= match.start() < end for start, end in (one.span() for one in site.CODE.finditer(text))):
                continue
            links += 1
            assert posixpath.normpath(posixpath.join(posixpath.dirname(there), match[2])) in places, (path, match[0])
    assert links > 50


def test_links_are_turned_and_what_leads_nowhere_is_named(site: ModuleType) -> None:
    assert site.turned("README.md", "[a](docs/limits.md#not-measured)") == "[a](limits.md#not-measured)"
    assert site.turned("docs/concepts/magdi.md", "[a](../../README.md)") == "[a](../index.md)"
    assert site.turned("docs/limits.md", "[a](../benchmarks/results)") == "[a](benchmarks/results/index.md)"
    same = "[a](https://example.com/x.md) [b](#here) `[c](nowhere.md)`"
    assert site.turned("docs/limits.md", same) == same
    with pytest.raises(ValueError, match=r"docs/limits\.md: the link nowhere\.md leads nowhere"):
        site.turned("docs/limits.md", "[a](nowhere.md)")


def test_a_folder_is_a_list_of_its_files(site: ModuleType) -> None:
    listed = site.listing("benchmarks/results")
    assert "- [glue.md](glue.md)" in listed
    assert "glue.json" not in listed
    assert "(panel.py)" in site.listing("examples")


def test_the_menu_has_every_page_once(site: ModuleType) -> None:
    def menu(entry: object) -> list[str]:
        if isinstance(entry, str):
            return [entry]
        parts = entry.values() if isinstance(entry, dict) else entry
        return [page for part in parts for page in menu(part)]  # type: ignore[attr-defined]

    listed = menu(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"])
    assert sorted(listed) == sorted(
        {there for there, path in pages(site).items() if path.startswith("docs/")} | {*site.HEAD.values()}
    )


def test_no_block_of_code_has_words_behind_its_language(site: ModuleType) -> None:
    """The site would show such a block as text."""
    for path in pages(site).values():
        assert not re.findall(r"^```\w+ .*$", (ROOT / path).read_text(), re.MULTILINE), path
