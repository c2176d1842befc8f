"""The service's page in Chromium: first paint, long lists, and how long a streamed token is on its way to the screen.

python -m benchmarks.page          (Debian's Chromium and the extra `browser` are needed)
"""

from __future__ import annotations

import json
import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from benchmarks.machine import conditions, write_result
from benchmarks.served import served
from tests.scripts.many_runs import many_runs

LOADS, TOKENS, PACE = 10, 120, 0.03
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
WATCH = """() => {
  window.delays = [];
  const seen = new Set();
  new MutationObserver(() => requestAnimationFrame(() => {
    const now = Date.now();
    for (const [, stamp] of document.querySelector("#panes").textContent.matchAll(/<(\\d{13})>/g))
      if (!seen.has(stamp)) { seen.add(stamp); window.delays.push(now - Number(stamp)); }
  })).observe(document.querySelector("#panes"), { childList: true, subtree: true, characterData: true });
}"""
"""Each token is the time at which it was sent; a frame later the page has it on the screen."""
SCROLL = """async (selector) => {
  const box = document.querySelector(selector), gaps = [];
  let last = performance.now();
  for (let i = 1; i <= 120; i++) {
    box.scrollTop = (box.scrollHeight - box.clientHeight) * i / 120;
    await new Promise(requestAnimationFrame);
    gaps.push(performance.now() - last);
    last = performance.now();
  }
  return gaps;
}"""


class Upstream(BaseHTTPRequestHandler):
    """A server that streams times, one every `PACE` seconds."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for number in range(TOKENS):
            time.sleep(PACE)
            self._send({"content": f"<{int(time.time() * 1000)}>"}, None if number < TOKENS - 1 else "stop")
        self.wfile.write(b"data: [DONE]\n\n")

    def _send(self, delta: dict[str, str], reason: str | None) -> None:
        chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "clock"}
        chunk |= {"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}
        self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())
        self.wfile.flush()

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def upstream() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    server.shutdown()


def measured(url: str) -> dict[str, list[float]]:
    from playwright.sync_api import sync_playwright

    found: dict[str, list[float]] = {"paint": []}
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for _ in range(LOADS):
            page = browser.new_context().new_page()
            page.goto(url)
            page.wait_for_function(PAINT)
            found["paint"].append(page.evaluate(PAINT))
            page.context.close()
        page = browser.new_context().new_page()
        started = time.perf_counter()
        page.goto(f"{url}#runs/run-199")
        page.get_by_text("200 of 200 runs").wait_for()
        page.get_by_text("100,000 of 100,000 questions").wait_for()
        found["lists"] = [1000 * (time.perf_counter() - started)]
        found["scroll_runs"] = page.evaluate(SCROLL, "#runs-list")
        found["scroll_questions"] = page.evaluate(SCROLL, "#run .virtual")
        page.goto(f"{url}#ask")
        page.get_by_label("Model 1").select_option("clock")
        page.evaluate(WATCH)
        page.get_by_label("Your question").fill("What time is it?")
        page.keyboard.press("Enter")
        page.get_by_text("Who was asked, and why").wait_for()
        found["delays"] = page.evaluate("window.delays")
        browser.close()
    assert len(found["delays"]) > TOKENS / 2
    return found


def main() -> None:
    result: dict[str, Any] = {"conditions": conditions()}
    with tempfile.TemporaryDirectory() as runs, upstream() as clock:
        many_runs(Path(runs))
        config = {
            "experts": {"clock": {"url": clock, "model": "clock"}},
            "workers": {"engine": "scripted", "in_process": True},
            "runs": runs,
            "service": {"log": "none"},
        }
        with served(config) as url:
            result |= measured(url)

    def spread(name: str) -> str:
        values = sorted(result[name])
        return f"{statistics.median(values):.0f} ms; p95 {values[int(0.95 * (len(values) - 1))]:.0f}; {values[-1]:.0f}"

    rows = [
        (f"first paint, {LOADS} loads: median; p95; longest", spread("paint"), "under 1,000 ms"),
        ("200 runs and 100,000 questions listed", f"{result['lists'][0]:.0f} ms", ""),
        ("a frame while the runs scroll", spread("scroll_runs"), ""),
        ("a frame while 100,000 questions scroll, from end to end", spread("scroll_questions"), ""),
        (f"a token, from the expert's server to the screen ({TOKENS} tokens)", spread("delays"), "at most 50 ms"),
    ]
    write_result("page", "The service's page in a browser", rows, result)


if __name__ == "__main__":
    main()
