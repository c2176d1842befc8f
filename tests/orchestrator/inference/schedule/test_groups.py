"""Which worker takes which expert, where not all workers are alike."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.config import WorkersConfig
from orchestrator.errors import ConfigError
from orchestrator.inference.expert import Expert, RemoteModel
from orchestrator.inference.schedule.groups import groups_of, kind_of, worker_kinds

A, B, C = (Expert(name, name, "s", script="x:y") for name in "abc")


def workers(**settings: Any) -> WorkersConfig:
    return WorkersConfig.model_validate(settings)


def test_a_group_takes_its_experts_and_one_without_names_the_others() -> None:
    settings = workers(count=2, groups=[{"count": 1, "experts": ["c"]}])
    assert [kind_of(expert, settings) for expert in (A, B, C)] == ["local", "local", "group-1"]
    assert worker_kinds(settings, [A, B, C]) == [["local", "local"], ["group-1"]]
    assert len(groups_of(settings)) == 2


def test_a_pinned_expert_has_a_worker_of_its_own_and_a_remote_one_is_apart() -> None:
    settings = workers(count=2, pin=["a"])
    assert worker_kinds(settings, [A, B]) == [["pinned:a", "local"]]
    assert kind_of(A, settings) == "pinned:a"
    assert kind_of(Expert("far", "f", "s", remote=RemoteModel("http://x", "m")), settings) == "remote:far"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"count": 1, "pin": ["a"]}, "leave no worker of 1 for the others"),
        ({"count": 3, "pin": ["z"]}, "'z' is no expert"),
        ({"count": 1, "groups": [{"count": 1, "experts": ["z"]}]}, "'z' is no expert"),
        ({"count": 1, "experts": ["a"], "groups": [{"count": 1, "experts": ["a", "b"]}]}, "'a' is taken by two groups"),
        ({"count": 1, "experts": ["a"], "groups": [{"count": 1, "experts": ["b"]}]}, "no group takes the expert 'c'"),
    ],
)
def test_what_cannot_be_shared_out_is_refused_by_name(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        worker_kinds(workers(**settings), [A, B, C])
