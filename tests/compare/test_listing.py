"""`triptych compare list`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from triptych.cli import app
from triptych.compare.listing import listing
from triptych.compare.sources import from_name
from triptych.errors import UserError

ROOT = Path(__file__).parents[2]


def test_every_name_is_one_that_compare_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    found = listing()
    assert "psp-ocr" in found
    for name, about in found.items():
        assert about.endswith((".", "?"))
        assert from_name(name).question


def test_as_text_and_as_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "comparisons").mkdir()
    (tmp_path / "comparisons/a_b.py").write_text('"""Is a\nbetter?\n\nMore."""\nraise Exception\n')
    text = CliRunner().invoke(app, ["compare", "list"], standalone_mode=False)
    assert text.output == "a-b\n    Is a better?\n"
    told = CliRunner().invoke(app, ["compare", "list", "--json"], standalone_mode=False)
    assert json.loads(told.output) == {"comparisons": {"a-b": "Is a better?"}}


def test_where_there_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="no comparisons/"):
        listing()
    (tmp_path / "comparisons").mkdir()
    (tmp_path / "comparisons/broken.py").write_text("def")
    with pytest.raises(UserError, match=r"comparisons/broken\.py cannot be read"):
        listing()
