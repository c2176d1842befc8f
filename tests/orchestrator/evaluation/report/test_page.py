from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

import orchestrator.evaluation.report.page as page
from orchestrator.errors import StorageError
from orchestrator.evaluation.report.data import Matrix, RankedExpert, RunReport, SampleAnswer
from orchestrator.evaluation.report.intervals import wilson
from orchestrator.evaluation.report.judged import JudgedPair
from orchestrator.evaluation.report.page import SECTIONS, render, write
from orchestrator.evaluation.report.record import Interval

SCRIPT = "document.title='caught'"
HOSTILE = f'</script><script>{SCRIPT}</script><img src=x onerror="{SCRIPT}">\'"{{{{ 7*7 }}}}\u2028'


class Page(HTMLParser):
    """Tags, attributes, scripts and visible text of a page, as a browser's parser would split it."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.text = ""
        self._open: str | None = None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._open = tag
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag):
        self._open = None

    def handle_data(self, data):
        if self._open == "script":
            self.scripts[-1] += data
        elif self._open != "style":
            self.text += data

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def questions(self) -> dict:
        place = [attributes.get("id") for attributes in self.named("script")].index("questions-data")
        return json.loads(gzip.decompress(base64.b64decode(self.scripts[place])))

    @property
    def charts(self) -> dict:
        place = [attributes.get("id") for attributes in self.named("script")].index("charts")
        return json.loads(self.scripts[place])


def judged_pair(**fields: object) -> JudgedPair:
    rate = Interval(value=0.625, low=0.512, high=0.731, n=40)
    equal = Interval(value=0.487, low=0.391, high=0.583, n=40)
    given = {"method": "fusion", "against": "single", "judges": ["j1", "j2"], "questions": 44, "judged": 40, "wins": 22}
    given |= {"ties": 6, "losses": 12, "unreadable": 5, "failed": 3, "calls": 176, "win_rate": rate}
    given |= {"length_controlled": equal, "between_judges": 0.775, "labelled": 9, "agreement": 2 / 3}
    return JudgedPair.model_validate(given | fields)


def hostile(report: RunReport) -> RunReport:
    """The report with every free text replaced by an attack."""
    sample, method, matrix = report.samples[0], report.methods[0], report.matrix
    answer = SampleAnswer(text=HOSTILE, answer=HOSTILE, right=False, confidence=0.5)
    names = {"experts": [f"{HOSTILE}{name}" for name in matrix.experts]}
    names |= {"tasks": [f"{HOSTILE}{name}" for name in matrix.tasks]}
    accuracies = {HOSTILE: method.overall, "second": method.overall}
    methods = [
        method.model_copy(update={"method": f"{HOSTILE}{i}", "note": HOSTILE, "accuracies": accuracies})
        for i in range(3)
    ]
    timeline = [
        stay.model_copy(update={"worker": HOSTILE, "expert": f"{HOSTILE}{stay.expert}"}) for stay in report.timeline
    ]
    asked = {
        **dict.fromkeys(("id", "task", "question", "gold"), HOSTILE),
        "choices": {HOSTILE: HOSTILE},
        "answers": {HOSTILE: answer, f"{HOSTILE}0": answer},
        "ranking": [RankedExpert(expert=HOSTILE, score=1, reason=HOSTILE)],
    }
    return report.model_copy(
        update={
            **dict.fromkeys(("title", "command", "split", "fitted_on", "engine", "machine"), HOSTILE),
            "comparisons": (),
            "judged": [judged_pair(method=HOSTILE, against=HOSTILE, judges=[HOSTILE])],
            "warnings": [HOSTILE],
            "manifest": {HOSTILE: HOSTILE},
            "methods": methods,
            "matrix": matrix.model_copy(update=names),
            "timeline": timeline,
            "samples": [sample.model_copy(update=asked)],
        }
    )


def browser() -> str | None:
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def displayed(path: Path, folder: Path) -> str:
    """The document as a browser leaves it after its scripts have run."""
    flags = "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking "
    flags += "--disable-component-update --disable-sync --virtual-time-budget=3000 --window-size=1000,900 --dump-dom"
    command = [browser(), *flags.split(), f"--user-data-dir={folder}", path.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


def test_every_section_and_the_numbers_are_readable_without_scripts(report):
    shown = Page(render(report))
    assert [attributes["id"] for attributes in shown.named("section")] == [
        section.name for section in SECTIONS if section.view(report)
    ]
    for text in ("mixture", "71.4%", "66.9–75.5", "115,920", report.command, report.warnings[0], "validation"):
        assert text in shown.text


def test_what_judges_found_is_a_section_of_its_own(report):
    assert 'id="judged"' not in render(report)
    unread = judged_pair(method="debate", judged=0, win_rate=None, length_controlled=None, agreement=None)
    shown = Page(render(report.model_copy(update={"judged": [judged_pair(), unread]})))
    assert {"id": "judged"} in shown.named("section")
    text = " ".join(shown.text.split())
    for found in ("fusion", "62.5%", "51.2–73.1", "48.7%", "39.1–58.3", "176", "77.5%", "66.7% of 9", "j1, j2"):
        assert found in text
    assert "debate" in text


def test_the_page_fetches_nothing(report):
    shown = Page(render(report))
    assert not {"link", "img", "iframe", "object", "embed", "base", "video", "audio"} & {tag for tag, _ in shown.tags}
    assert all("src" not in attributes for _, attributes in shown.tags)
    assert all(attributes["href"].startswith("#") for attributes in shown.named("a"))
    style = re.search(r"<style>(.*?)</style>", render(report), re.S).group(1)
    assert "url(" not in style
    assert "@import" not in style
    assert "default-src 'none'" in policy(shown)


def policy(shown: Page) -> str:
    return next(meta["content"] for meta in shown.named("meta") if meta.get("http-equiv") == "Content-Security-Policy")


def test_the_policy_allows_exactly_the_pages_own_scripts(report):
    shown = Page(render(report))
    elements = zip(shown.scripts, shown.named("script"), strict=True)
    own = [text for text, attributes in elements if "type" not in attributes]
    hashes = {base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in own}
    assert set(re.findall(r"'sha256-([^']+)'", policy(shown))) == hashes
    assert "unsafe-inline" not in policy(shown).split("style-src")[0]
    assert len(own) == 2 + 2 + 4 + 1, "D3, Plot, page, list, four sections, start"


def test_hostile_text_stays_text(report):
    clean, attacked = Page(render(report)), Page(render(hostile(report)))
    assert len(attacked.scripts) == len(clean.scripts)
    assert {tag for tag, _ in attacked.tags} <= {tag for tag, _ in clean.tags}
    attributes = {name for _, attributes in attacked.tags for name in attributes}
    assert not {name for name in attributes if name.startswith("on")}
    assert attacked.text.count("<img src=x onerror=") > 20
    assert "{{ 7*7 }}" in attacked.text
    assert attacked.charts["methods"]["overall"][0]["method"] == f"{HOSTILE}0"
    assert attacked.charts["timeline"]["workers"] == [HOSTILE]
    assert [row[2] for row in attacked.questions["rows"]] == [HOSTILE]


def test_charts_get_the_residencies_as_they_were(report):
    chart = Page(render(report)).charts["timeline"]
    first = min(report.timeline, key=lambda stay: stay.load_start)
    worker, expert, way, load_start, _, end, requests, tokens = chart["stays"][0]
    assert (chart["workers"][worker], chart["experts"][expert][0], way) == (first.worker, first.expert, first.way)
    assert (load_start, end) == pytest.approx((first.load_start, first.end), abs=0.001)
    assert (requests, tokens) == (first.requests, first.tokens)


def test_a_large_run_stays_below_two_megabytes(report):
    experts, tasks = [f"expert-{i:03d}" for i in range(100)], [f"task-{i:02d}" for i in range(12)]
    matrix = Matrix(experts=experts, tasks=tasks, cells=[[wilson(33, 90)] * 12] * 100, split="test", seed=0)
    stays = [stay.model_copy(update={"expert": experts[i % 100]}) for i, stay in enumerate(report.timeline * 500)]
    long = SampleAnswer(text="<&ü>" * 5_000, answer="1", right=True)
    answers = {"mixture": long, "best": long}
    samples = [sample.model_copy(update={"answers": answers}) for sample in report.samples * 20]
    text = render(report.model_copy(update={"matrix": matrix, "timeline": stays, "samples": samples}))
    assert len(text.encode()) < 2_000_000
    shown = Page(text)
    assert len(shown.questions["rows"]) == len(samples) == 420
    assert f"The chart leaves out {len(stays) - 6_000:,} stays" in shown.text
    assert shown.questions["rows"][0][6][0][3].endswith("[16,000 characters more]")


def test_a_run_shows_only_what_it_has(report):
    profile = report.model_copy(update={"methods": (), "comparisons": (), "timeline": (), "samples": ()})
    assert [tag["id"] for tag in Page(render(profile)).named("section")] == ["experts", "manifest"]
    bare = profile.model_copy(update={"matrix": None, "manifest": {}})
    assert [tag["id"] for tag in Page(render(bare)).named("section")] == ["manifest"]


def test_cells_without_questions_are_dashes_not_zeros(report):
    cells = [list(row) for row in report.matrix.cells]
    cells[0][0] = wilson(0, 0)
    text = render(report.model_copy(update={"matrix": report.matrix.model_copy(update={"cells": cells})}))
    assert text.count('<td class="heat" title="not measured">') == 1


def test_fitting_on_the_answered_split_is_warned_about(report):
    assert "accuracies flatter" not in render(report)
    assert "accuracies flatter" in render(report.model_copy(update={"fitted_on": "test"}))


def test_charts_have_text_alternatives(report):
    shown = Page(render(report))
    charts = [attributes for name, attributes in shown.tags if attributes.get("class") in ("chart", "multiples")]
    assert len(charts) == 4
    assert all("table below" in attributes["aria-label"] for attributes in charts)
    assert all(attributes.get("scope") in ("col", "row") for attributes in shown.named("th"))


@pytest.mark.skipif(browser() is None, reason="no Chromium on this machine")
@pytest.mark.parametrize("attacked", [False, True])
def test_a_browser_draws_every_chart_and_runs_no_hostile_script(report, tmp_path, attacked):
    shown = hostile(report) if attacked else report
    write(shown, tmp_path / "report.html")
    document = Page(displayed(tmp_path / "report.html", tmp_path / "profile"))
    overall, tasks, timeline, cost = 1, 2 if attacked else 7, 1, 1
    assert len(document.named("svg")) == overall + tasks + timeline + cost
    assert not document.named("img")
    assert document.text.split("Collegium")[0].strip().startswith(shown.title.strip()[:20])
    assert f"{len(shown.samples)} of {len(shown.samples)}" in document.text, "the filters are live"
    marks = [attributes for attributes in document.named("span") if "mark" in (attributes.get("class") or "")]
    assert {one["aria-label"] for one in marks} == ({"wrong"} if attacked else {"right", "wrong", "unreadable"})


def test_write_makes_the_folder_and_leaves_nothing_else(report, tmp_path):
    path = tmp_path / "run" / "report.html"
    write(report, path)
    write(report, path)
    assert path.read_text(encoding="utf-8") == render(report)
    assert list(path.parent.iterdir()) == [path]


def test_a_failed_write_names_the_file_and_keeps_the_old_one(report, tmp_path, monkeypatch):
    path = tmp_path / "report.html"
    path.write_text("old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(page.os, "replace", full)
    with pytest.raises(StorageError, match=r"report\.html: cannot be written: No space left"):
        write(report, path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_vendored_files_are_the_ones_listed():
    vendor = page.FOLDER / "vendor"
    listed = dict(re.findall(r"^\| (\S+\.js) \|.*\| ([0-9a-f]{64}) \|$", (vendor / "README.md").read_text(), re.M))
    found = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in vendor.glob("*.js")}
    assert found == listed
    assert all("Permission to use, copy" in (vendor / f"LICENSE-{name}").read_text() for name in ("d3", "plot"))


def test_no_own_source_can_close_its_script_element():
    for file in page.FOLDER.rglob("*.js"):
        text = file.read_text(encoding="utf-8").lower()
        assert "</script" not in text, file
        assert "<!--" not in text, file
