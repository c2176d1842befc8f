"""What a mixture is fitted with is checked before anything is fitted."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from orchestrator.evaluation.mixture.options import FittingOptions


def test_an_unknown_router_is_refused_by_name() -> None:
    with pytest.raises(ValidationError, match="no router 'nobody'"):
        FittingOptions(router="nobody")
    assert FittingOptions().router == "mixture"
