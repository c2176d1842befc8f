"""Known providers: no more is needed than a name and a key variable."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator.config import validate
from orchestrator.errors import ConfigError
from orchestrator.experts.zoo import UNKNOWN_CONTEXT, resolve
from orchestrator.inference.budget import Budget
from orchestrator.inference.expert import Expert
from orchestrator.inference.request import Request, Sampling
from orchestrator.providers import defaults, names, table


def expert(tmp_path: Path, **entry: Any) -> Expert:
    data = {"experts": {"far": entry}, "state": str(tmp_path / "state")}
    return resolve(validate(data, tmp_path / "collegium.yaml"))["far"]


def test_a_name_and_a_model_are_enough(tmp_path: Path) -> None:
    known = expert(tmp_path, provider="openai", model="gpt-4.1-mini")
    assert known.remote is not None
    assert (known.remote.url, known.remote.api_key_env) == ("https://api.openai.com/v1", "OPENAI_API_KEY")
    assert known.prices is not None
    assert (known.prices.input, known.prices.cached, known.prices.output) == (0.4, 0.1, 1.6)
    assert (known.context, known.longest_reply) == (1_047_576, 32_768)
    # Without max_tokens a call may cost what the model's longest reply costs, and no more.
    request = Request("k", "far", (("user", "abc"),), Sampling(max_tokens=2**20))
    assert Budget(None, 1.0).maximum(request, known) == (32_769, pytest.approx((1 * 0.4 + 32_768 * 1.6) / 1e6))


def test_what_is_given_goes_before_what_is_known(tmp_path: Path) -> None:
    own = expert(
        tmp_path, provider="openai", model="gpt-4.1-mini", api_key_env="MINE", prices={"input": 7}, context=4096
    )
    assert own.remote is not None
    assert own.prices is not None
    assert (own.remote.api_key_env, own.prices.input, own.prices.output, own.context) == ("MINE", 7.0, 0.0, 4096)


def test_a_price_is_not_guessed(tmp_path: Path) -> None:
    assert expert(tmp_path, provider="openai", model="gpt-of-tomorrow").prices is None
    elsewhere = expert(tmp_path, url="https://proxy.example/v1", model="gpt-4.1-mini")
    assert (elsewhere.prices, elsewhere.context) == (None, UNKNOWN_CONTEXT)  # another server, another price
    by_url = expert(tmp_path, url="https://api.openai.com/v1/", model="gpt-4.1-mini")
    assert by_url.prices == expert(tmp_path, provider="openai", model="gpt-4.1-mini").prices


def test_an_unknown_provider_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="provider: 'openia' is not known; did you mean 'openai'"):
        expert(tmp_path, provider="openia", model="x")
    with pytest.raises(ConfigError, match="set model"):
        expert(tmp_path, provider="openai")


@pytest.mark.parametrize("name", names())
def test_each_row_of_the_table_is_whole(name: str) -> None:
    assert defaults(name)["url"].startswith("https://")
    assert defaults(name)["api_key_env"].endswith("_API_KEY")
    for model, known in table()["providers"][name]["models"].items():
        assert ("input" in known) == ("output" in known), model
        assert 0 <= known.get("cached", 0) <= max(known.get("input", 0), 0), model
        assert 0 <= known.get("input", 0) < 1000, model
    assert table()["date"]
    assert "LiteLLM" in table()["source"]
