"""The data that a score is of, in words and by its content."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from triptych.compare import scored_on


@pytest.mark.parametrize(
    ("metric", "name", "content"), [("top1", "objects test", "t"), ("val_top1", "objects val", "v")]
)
def test_a_score_of_val_is_on_val(metric: str, name: str, content: str, tmp_path: Path) -> None:
    run = tmp_path / "a" / "seed-0"
    run.mkdir(parents=True)
    splits = {"fingerprint": {"train": "r", "val": "v", "test": "t"}}
    (run / "recipe.json").write_text(json.dumps(splits))
    cells = {"a": {0: {"state": "done", "result": {"data": "objects test"}}}}
    found = scored_on.of_arms(tmp_path, cells, metric)
    assert found == {"a": scored_on.Scored(name, content)}
    assert scored_on.named(found) == name
