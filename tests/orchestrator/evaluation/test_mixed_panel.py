"""A panel of a zoo's own expert and models elsewhere: one behind a URL that is busy at first, one of LangChain."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from agents.transcript import line
from orchestrator import Collegium

KEY = "sk-mixed-panel-0123456789"
MODULE = """
from langchain_core.language_models.fake_chat_models import FakeListChatModel

def near(messages, seed):
    return "Seen.\\nAnswer: yes\\nConfidence: 0.9"

def chain():
    return FakeListChatModel(responses=["Heard.\\nAnswer: no\\nConfidence: 0.4"])
"""


class Busy(BaseHTTPRequestHandler):
    """An OpenAI-compatible server that is busy for its first two requests."""

    asked: list[str]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.asked.append(json.loads(body)["messages"][-1]["content"])
        if len(self.asked) <= 2:
            self._send(429, f'{{"error": {{"message": "slow down, {KEY}"}}}}', "application/json")
            return
        delta = {"choices": [{"delta": {"content": "Far.\nAnswer: yes\nConfidence: 0.8"}, "finish_reason": "stop"}]}
        self._send(200, f"data: {json.dumps(delta)}\n\ndata: [DONE]\n\n", "text/event-stream")

    def _send(self, status: int, text: str, kind: str) -> None:
        self.send_response(status)
        self.send_header("Retry-After", "0.05")
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture
def server() -> Iterator[str]:
    Busy.asked = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Busy) as serving:
        thread = threading.Thread(target=serving.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{serving.server_port}/v1"
        serving.shutdown()
        thread.join()


def test_a_busy_url_and_a_langchain_model_confer_with_the_zoos_own(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mixed_panel.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "mixed_panel", raising=False)
    monkeypatch.setenv("FAR_KEY", KEY)
    rows = [{"id": f"q{n}", "question": f"Coin {n}?", "kind": "yesno", "answer": "yes"} for n in range(20)]
    splits = [row | {"split": "train" if place < 10 else "test"} for place, row in enumerate(rows)]
    (tmp_path / "coins.jsonl").write_text("\n".join(map(json.dumps, splits)))
    experts = {
        "near": {"script": "mixed_panel:near"},
        "far": {"url": server, "model": "distant", "api_key_env": "FAR_KEY", "concurrency": 1},
        "chain": {"url": "langchain:mixed_panel:chain", "model": "fake"},
    }
    workers = {"engine": "scripted", "in_process": True}
    with Collegium(
        {"experts": experts, "workers": workers, "state": str(tmp_path / "state"), "runs": str(tmp_path)}
    ) as collegium:
        result = collegium.run(
            task=str(tmp_path / "coins.jsonl"),
            fit_split="train",
            fit_questions=2,
            questions=3,
            methods=["reconcile"],
            mode="paper",
            rounds=1,
        )
    (held,) = [outcome.transcripts for outcome in result.outcomes]
    assert len(held) == 3
    for one in held:
        assert [seat.name for seat in one.seats] == ["near", "far", "chain"]
        assert [turn.answer for turn in one.turns] == ["yes", "yes", "no"] * 2
        assert (one.answer, one.failures) == ("yes", 0)
        assert KEY not in line(one).decode()
    assert len(Busy.asked) == 2 + len(set(Busy.asked))
    assert KEY not in result.report.model_dump_json()
    # What the others said reaches the server, quoted.
    assert any('"no" (1 agent)' in asked for asked in Busy.asked)
