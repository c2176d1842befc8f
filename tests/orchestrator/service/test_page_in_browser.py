"""The page and the reports in a real browser, at three widths, light and dark: they work, nothing is cut, and axe-core
finds no violation of level A or AA. Needs Debian's Chromium and the extra `browser`; without them it is skipped."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.evaluation.report import write
from tests.orchestrator.evaluation.report.conftest import example_report
from tests.scripts.many_runs import many_runs

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
MISSING = [
    name
    for name, there in {
        "chromium": CHROMIUM,
        "playwright": importlib.util.find_spec("playwright"),
        "axe-playwright-python": importlib.util.find_spec("axe_playwright_python"),
    }.items()
    if not there
]
pytestmark = [
    pytest.mark.skipif(bool(MISSING), reason=f"no browser test: {', '.join(MISSING)} not installed"),
    pytest.mark.timeout(300),
]
SIZES = [(1280, "light"), (1280, "dark"), (768, "light"), (390, "light"), (390, "dark")]
VIEWS = ("ask", "runs", "zoo", "jobs")
FILLED = {"ask": ".pane", "runs": "#runs-count:not(:empty)", "zoo": "#workers table", "jobs": "#fields label"}
"""What a view shows once its data are there."""
WIDER = "document.scrollingElement.scrollWidth - document.documentElement.clientWidth"
COLLIDING = """() => {
  const found = [];
  for (const chart of document.querySelectorAll("[data-chart] svg")) {
    const boxes = [...chart.querySelectorAll("text")]
      .filter((one) => one.textContent.trim() && !one.closest("[aria-label=tip]"))
      .map((one) => ({ text: one.textContent, box: one.getBoundingClientRect() })).filter((one) => one.box.width);
    for (const [i, one] of boxes.entries()) for (const other of boxes.slice(i + 1)) {
      const across = Math.min(one.box.right, other.box.right) - Math.max(one.box.left, other.box.left);
      const down = Math.min(one.box.bottom, other.box.bottom) - Math.max(one.box.top, other.box.top);
      if (across > 2 && down > 4) found.push(`${one.text} / ${other.text}`);
    }
  }
  return found;
}"""
"""Texts of one chart whose boxes lie on one another."""
OpenPage = Callable[[int, str], Any]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        made = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield made
        made.close()


@pytest.fixture
def open_page(browser: Any) -> Iterator[OpenPage]:
    """`open_page(width, scheme)`: a page whose errors fail the test."""
    contexts, problems = [], []

    def make(width: int, scheme: str) -> Any:
        context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda line: problems.append(line.text) if line.type == "error" else None)
        return page

    yield make
    for context in contexts:
        context.close()
    assert not problems


def violations(page: Any) -> list[str]:
    """What axe-core finds against WCAG 2.2, levels A and AA."""
    import axe_playwright_python

    source = Path(axe_playwright_python.__file__).with_name("axe.min.js").read_text("utf-8")
    page.evaluate(source)
    run = "axe.run({ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'] })"
    found = page.evaluate(f"{run}.then((found) => found.violations)")
    return [f"{one['id']}: {one['nodes'][0]['html'][:200]}" for one in found]


@pytest.mark.parametrize(("width", "scheme"), SIZES)
def test_a_visitor_asks_and_sees_every_view(
    width: int, scheme: str, open_page: OpenPage, settings: dict[str, Any], on_socket: Any, tmp_path: Path
) -> None:
    with on_socket(settings) as url:
        page = open_page(width, scheme)
        page.goto(url)
        page.get_by_label("Model 1").select_option("words")
        page.get_by_label("Your question").fill("Which word is it?")
        page.keyboard.press("Enter")
        page.get_by_text("Answer: a").wait_for()
        page.get_by_text("Who was asked, and why").wait_for()
        page.get_by_role("button", name="Ask two side by side").click()
        assert page.get_by_label("Model 2").is_visible()
        for view in VIEWS:
            page.get_by_role("navigation").get_by_role("link", name=view.title()).click()
            page.locator(f"section#{view} {FILLED[view]}").first.wait_for()
            page.screenshot(path=tmp_path / f"{view}-{width}-{scheme}.png", full_page=True)
            assert page.evaluate(WIDER) <= 0, f"{view} is wider than the screen"
            assert violations(page) == [], view


@pytest.mark.parametrize("width", [1280, 390])
def test_an_answer_is_explained_by_votes_and_rounds(
    width: int, open_page: OpenPage, settings: dict[str, Any], on_socket: Any, tmp_path: Path
) -> None:
    with on_socket(settings) as url:
        page = open_page(width, "light")
        page.goto(url)
        page.get_by_label("Model 1").select_option("debate")
        page.get_by_label("Your question").fill("Is the coin or the word up, yes or no?")
        page.keyboard.press("Enter")
        page.get_by_text("Who was asked, and why").click()
        page.get_by_role("heading", name="First replies").wait_for()
        assert page.get_by_role("columnheader", name="Share").is_visible()
        page.locator(".explained details").first.click()
        page.screenshot(path=tmp_path / f"explained-{width}.png", full_page=True)
        assert page.evaluate(WIDER) <= 0
        assert violations(page) == []


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_the_zoo_shows_who_is_good_at_what(
    width: int, scheme: str, open_page: OpenPage, profiled: dict[str, Any], on_socket: Any, tmp_path: Path
) -> None:
    with on_socket(profiled) as url:
        page = open_page(width, scheme)
        page.goto(f"{url}#zoo")
        page.get_by_text("Percent right on the profile's questions").wait_for()
        page.screenshot(path=tmp_path / f"profiled-{width}.png", full_page=True)
        assert page.evaluate(WIDER) <= 0
        assert violations(page) == []


def test_the_keyboard_is_enough(open_page: OpenPage, settings: dict[str, Any], on_socket: Any) -> None:
    with on_socket(settings) as url:
        page = open_page(1280, "light")
        page.goto(url)
        page.get_by_label("Model 1").wait_for()
        reached = []
        for _ in range(12):
            page.keyboard.press("Tab")
            reached.append(page.evaluate("document.activeElement.id || document.activeElement.textContent"))
        assert reached[:4] == ["Ask", "Runs", "Zoo", "Jobs"]
        assert {"question", "send", "second", "fresh"} <= set(reached)


@pytest.mark.parametrize("width", [1280, 390])
def test_long_lists_hold_only_what_is_in_sight(
    width: int, open_page: OpenPage, settings: dict[str, Any], on_socket: Any, tmp_path: Path
) -> None:
    many_runs(Path(settings["runs"]))
    with on_socket(settings) as url:
        page = open_page(width, "light")
        page.goto(f"{url}#runs/run-199")
        page.get_by_text("200 of 200 runs").wait_for()
        page.get_by_label("List of runs").evaluate("box => box.scrollTop = box.scrollHeight")
        page.get_by_role("link", name="run-000").wait_for()
        page.get_by_text("100,000 of 100,000 questions").wait_for()
        box = page.get_by_label("Questions", exact=True)
        box.evaluate("box => box.scrollTop = box.scrollHeight")
        last = page.get_by_role("button", name="Is it 99999?")
        last.wait_for()
        assert page.locator("#runs li").count() < 120
        last.focus()
        page.keyboard.press("ArrowUp")
        assert "Is it 99998?" in page.evaluate("document.activeElement.textContent")
        page.keyboard.press("Enter")
        page.get_by_role("heading", name="made · q99998").wait_for()
        page.get_by_label("Outcome").select_option("wrong")
        page.get_by_text("50,000 of 100,000 questions").wait_for()
        page.screenshot(path=tmp_path / f"lists-{width}.png", full_page=True)
        assert page.evaluate(WIDER) <= 0
        assert violations(page) == []


@pytest.mark.parametrize(("width", "scheme"), SIZES)
def test_every_question_of_a_report_opens_and_what_is_found_is_saved(
    width: int, scheme: str, open_page: OpenPage, tmp_path: Path
) -> None:
    write(example_report(), tmp_path / "report.html")
    page = open_page(width, scheme)
    page.goto((tmp_path / "report.html").as_uri())
    list_of = page.locator("#questions")
    list_of.get_by_text("21 of 21").wait_for()
    list_of.get_by_label("Contains").fill("baker")
    list_of.get_by_text("3 of 21").wait_for()
    list_of.locator("button.row").first.click()
    assert list_of.locator(".detail article").count() == 10
    assert list_of.get_by_text("The router's ranking").is_visible()
    page.screenshot(path=tmp_path / f"questions-{width}-{scheme}.png", full_page=True)
    assert violations(page) == []
    with page.expect_download() as saved:
        list_of.get_by_role("button", name="Save as CSV").first.click()
    assert len(Path(saved.value.path()).read_text().splitlines()) == 4
    with page.expect_download() as saved:
        page.locator("#methods").get_by_role("button", name="Save as PNG").first.click()
    assert Path(saved.value.path()).read_bytes().startswith(b"\x89PNG")


def test_a_spreadsheet_computes_nothing_of_what_is_saved(open_page: OpenPage, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write(example_report(), path)
    page = open_page(1280, "light")
    page.goto(path.as_uri())
    page.locator("[data-chart=overall] svg").wait_for()
    formulas = ["=1+1", "+cmd|'/C calc'!A0", "-2+3+cmd|' /C calc'!A0", "@SUM(A1)", "\t=1"]
    texts = [*formulas, "-3.5", "+4.2%", "-1,200", "plain"]
    saved = page.evaluate("texts => Collegium.csv(texts.map((text) => [text])).split('\\r\\n')", texts)
    assert [line.startswith("'") for line in saved] == [True] * 5 + [False] * 4
    assert [line.strip('"').replace("''", "'") for line in saved[6:]] == ["+4.2%", "-1,200", "plain"]


@pytest.mark.parametrize(("width", "scheme"), SIZES)
def test_a_report_fits_and_its_labels_stay_apart(width: int, scheme: str, open_page: OpenPage, tmp_path: Path) -> None:
    report = example_report()
    longer = {"best": "teacher cards-and-card-games", "self-consistency": "teacher cards-and-board-games"}
    methods = [one.model_copy(update={"method": longer.get(one.method, one.method)}) for one in report.methods]
    lines = ["questions.csv: no splits: 24 of 120 questions, by their text, are `validation`, the others `test`"]
    write(report.model_copy(update={"methods": methods, "decisions": lines}), tmp_path / "report.html")
    page = open_page(width, scheme)
    page.goto((tmp_path / "report.html").as_uri())
    page.locator("[data-chart=overall] svg").wait_for()
    page.screenshot(path=tmp_path / f"report-{width}-{scheme}.png", full_page=True)
    assert page.evaluate(WIDER) <= 0
    assert page.evaluate(COLLIDING) == []
    labels = page.locator("[data-chart=overall] [aria-label='y-axis tick label'] text").all_text_contents()
    assert len(labels) == len(set(labels)) == len(methods) + 1
    assert page.get_by_text("Decided for you").is_visible()
    assert violations(page) == []
