"""What all fitted routers share: files of their own, or refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from safetensors.numpy import load_file, save_file

from router import Features, Table
from router.routers import (
    BestRouter,
    FittedRouter,
    KnnRouter,
)

World = tuple[Table, Features]


def test_a_folder_that_holds_no_router_is_refused(fitted: World, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"router\.json"):
        FittedRouter.load(tmp_path)
    router = KnnRouter.fit(*fitted)
    router.save(tmp_path)
    with pytest.raises(ValueError, match="holds a KnnRouter, not a BestRouter"):
        BestRouter.load(tmp_path)
    path = tmp_path / "router.json"
    good = json.loads(path.read_text())
    for change in ({"format": 99}, {"router": {"kind": "os.system", "fields": {}}}, {"router": {"kind": "KnnRouter"}}):
        path.write_text(json.dumps(good | change))
        with pytest.raises(ValueError, match=r"router\.json: not a saved router"):
            FittedRouter.load(tmp_path)
    path.write_text(json.dumps(good))
    arrays = load_file(tmp_path / "router.safetensors")
    save_file(arrays | {"prior.mean": arrays["prior.mean"][:2]}, tmp_path / "router.safetensors")
    with pytest.raises(ValueError, match="prior"):
        FittedRouter.load(tmp_path)
