"""Shared by all tests: where real data and weights lie, where there are any."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared() -> Path:
    """A folder with real data and weights beside the repository; skips where there is none."""
    default = Path(__file__).parents[1].parent / "shared"
    folder = Path(os.environ.get("TRIPTYCH_SHARED", default))
    if not (folder / "data").is_dir():
        pytest.skip("needs real data: a folder named by TRIPTYCH_SHARED")
    return folder


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's cache."""
    if "TRIPTYCH_CACHE" not in os.environ:
        monkeypatch.setenv("TRIPTYCH_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
