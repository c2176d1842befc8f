"""Ray jobs: the same submission is the same job; results come home. On a real Ray cluster in `make soak`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestrator.errors import BadInput, CollegiumError
from orchestrator.submission import Submission
from tests.scripts.fake_ray import FakeRay, Job, Status, submission


async def test_the_same_submission_is_the_same_job(ray: FakeRay, tmp_path: Path) -> None:
    first, again = submission(ray), submission(ray)
    assert first.start(tmp_path / "staging")
    assert not again.start(tmp_path / "staging")
    assert first.id == again.id
    job = ray.jobs[first.id]
    assert job.files == {"mine.yaml": "zoo: demo\n"}
    assert job.entrypoint.startswith(sys.executable)
    heard: list[str] = []
    assert await first.follow(heard.append) == "SUCCEEDED"
    assert "".join(heard) == "one\ntwo\n"
    ray.jobs[f"{first.id}-fetch-1"] = Job(f"{first.id}-fetch-1", "", Status.RUNNING, {})  # is not told apart by Ray
    resumed = submission(ray)
    assert resumed.start(tmp_path / "staging")
    assert resumed.id == f"{first.id}-2"
    assert resumed.runs == first.runs
    (tmp_path / "mine.yaml").write_text("zoo: demo\nseed: 1\n")
    assert submission(ray).name != first.name


def test_results_come_home(ray: FakeRay, tmp_path: Path) -> None:
    made = submission(ray)
    made.start(tmp_path / "staging")
    there = Path(os.path.expanduser(made.runs)) / "run-1234"
    there.mkdir(parents=True)
    (there / "report.html").write_text("<html>" + "x" * 100_000)
    assert made.fetch(tmp_path / "home") == ["run-1234"]
    assert (tmp_path / "home/run-1234/report.html").read_text().startswith("<html>")
    assert list(ray.jobs) == [made.id]


def test_a_cluster_that_has_just_started_is_asked_again(
    ray: FakeRay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit, refusals = ray.submit_job, iter(["status code 500: No available agent to submit job", "bad entrypoint"])

    def refusing(**job: Any) -> None:
        if (why := next(refusals, None)) is not None:
            raise RuntimeError(why)
        submit(**job)

    monkeypatch.setattr(ray, "submit_job", refusing)
    monkeypatch.setattr("orchestrator.submission.POLL", 0.01)
    made = submission(ray)
    with pytest.raises(CollegiumError, match="bad entrypoint"):
        made.start(tmp_path / "staging")
    assert made.start(tmp_path / "staging")
    assert list(ray.jobs) == [made.id]


def test_a_fetch_that_fails_says_so(ray: FakeRay, monkeypatch: pytest.MonkeyPatch) -> None:
    made = submission(ray)
    monkeypatch.setattr(ray, "get_job_logs", lambda id: "No module named orchestrator")
    with pytest.raises(CollegiumError, match="No module named"):
        made.fetch(Path("home"))


def test_nothing_to_submit() -> None:
    with pytest.raises(BadInput, match="nothing to submit"):
        Submission(FakeRay(), [], python="python", environment={})


@pytest.mark.soak
def test_on_a_ray_cluster_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`ray start --head` with a token, `collegium submit` twice, and plain `ray job submit`."""
    # Other Ray clusters may run on this machine: no port is left at its default.
    port, dashboard, agent, clients = 26379, 28265, 28266, 28267
    monkeypatch.chdir(tmp_path)
    config = {
        "experts": {"a": {"script": "orchestrator.inference.engines.scripted:echo"}},
        "workers": {"engine": "scripted", "cpus": 0.5},
        "state": str(tmp_path / "state"),
    }
    Path("mine.yaml").write_text(yaml.safe_dump(config))
    (tmp_path / "token").write_text("a-token-of-this-test")
    environment = {**os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(tmp_path / "token")}
    environment.pop("RAY_ADDRESS", None)
    ray = str(Path(sys.executable).with_name("ray"))
    collegium = str(Path(sys.executable).with_name("collegium"))

    def call(*words: str) -> str:
        done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=180, check=False)
        assert done.returncode == 0, (done.stdout[-3000:], done.stderr[-3000:])
        return done.stdout + done.stderr

    start = ["start", "--head", "--num-cpus", "2", "--port", str(port), "--dashboard-port", str(dashboard)]
    start += ["--dashboard-agent-listen-port", str(agent), "--ray-client-server-port", str(clients)]
    head = subprocess.Popen([ray, *start, "--block"], env=environment, stdout=subprocess.DEVNULL)
    try:
        wait_for(dashboard)
        asked = ("run", "--task", "coin_flip", "--methods", "each", "--questions", "4", "--config", "mine.yaml")
        address = f"http://127.0.0.1:{dashboard}"
        told = call(collegium, "submit", "--address", address, "--", *asked)
        assert "submitted" in told
        (folder,) = Path("runs").iterdir()
        assert (folder / "report.html").exists()
        assert "-2: submitted" in call(collegium, "submit", "--address", address, "--", *asked)
        plain = (sys.executable, "-m", "orchestrator", *asked[:-1], str(tmp_path / "mine.yaml"))
        assert "succeeded" in call(ray, "job", "submit", "--address", address, "--", *plain)
    finally:
        head.terminate()
        head.wait(60)


def wait_for(port: int) -> None:
    import socket
    import time

    end = time.monotonic() + 90
    while time.monotonic() < end:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                time.sleep(5)
                return
        time.sleep(0.5)
    raise AssertionError("the Ray head did not start")
