"""The worked example of docs/statistics.md gives what the page says."""

from __future__ import annotations

import doctest
from pathlib import Path


def test_the_example_of_the_page() -> None:
    page = Path(__file__).parents[2] / "docs" / "statistics.md"
    result = doctest.testfile(str(page), module_relative=False)
    assert result.attempted > 0
    assert result.failed == 0
