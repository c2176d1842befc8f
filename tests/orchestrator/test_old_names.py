"""Old keys work for one version, with a warning; both names at once are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.config import validate
from orchestrator.errors import ConfigError
from orchestrator.evaluation.discussing import DiscussionOptions
from orchestrator.old_names import moved_up, renamed
from orchestrator.pipelines.glue import GlueRequest

URL = "postgresql://a@b/c"


def test_an_old_key_is_read_under_its_new_name() -> None:
    with pytest.warns(FutureWarning, match=r"workers\.deaths is now workers\.max_crashes"):
        assert renamed({"deaths": 3, "count": 1}, "workers", {"deaths": "max_crashes"}) == {
            "max_crashes": 3,
            "count": 1,
        }
    assert renamed("no mapping", "workers", {"deaths": "max_crashes"}) == "no mapping"
    with pytest.raises(ValueError, match="deaths is the old name of max_crashes"):
        renamed({"deaths": 3, "max_crashes": 3}, "workers", {"deaths": "max_crashes"})


def test_a_key_that_moved_up_is_read_where_it_is_now(tmp_path: Path) -> None:
    given = {"service": {"database": URL, "port": 1}, "state": "s"}
    with pytest.warns(FutureWarning, match=r"service\.database is now database"):
        moved = moved_up(given, "service", "database")
    assert moved == {"service": {"port": 1}, "state": "s", "database": URL}
    assert given["service"] == {"database": URL, "port": 1}
    for untouched in ({"service": None}, {"database": URL}, ["service"]):
        assert moved_up(untouched, "service", "database") is untouched
    both = {"experts": {"a": {"script": "x:y"}}, "database": URL, "service": {"database": URL}}
    with pytest.raises(ConfigError, match=r"service\.database is the old name of database"):
        validate(both, tmp_path / "collegium.yaml")


def test_requests_take_their_old_fields() -> None:
    with pytest.warns(FutureWarning, match="shown is now"):
        assert DiscussionOptions.model_validate({"shown": 30}).max_explanation == 30
    with pytest.warns(FutureWarning, match="least_gain is now"):
        assert GlueRequest.model_validate({"least_gain": 0.5}).min_gain == 0.5
