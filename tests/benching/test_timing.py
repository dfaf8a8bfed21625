"""Times of calls, and the memory of a process."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from triptych.benching import p95
from triptych.benching.table import unique_names


def test_the_slowest_of_a_hundred() -> None:
    """Of few calls no percentile is given; of many it is numpy's."""
    assert p95([1.0] * 19) is None
    assert p95([0.001] * 19 + [2.001]) == pytest.approx(1 + 0.05 * 2000)
    assert p95(np.arange(101) / 1000) == pytest.approx(95)


def test_peak_memory_is_the_process_s_own() -> None:
    """Linux hands a parent's peak down to its children's getrusage; ours must not count."""
    script = (
        "import subprocess, sys\n"
        "big = bytearray(b'x' * (1 << 30))\n"
        "code = 'from triptych.benching import peak_memory as p; print(p())'\n"
        "subprocess.run([sys.executable, '-c', code])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert 2**20 < int(done.stdout) < 2**29


def test_names_are_unique() -> None:
    assert unique_names(["tiny", "r/seed-0", "r/seed-0"]) == ["tiny", "r/seed-0", "r/seed-0 (2)"]
    # Also where a number is part of a name.
    assert unique_names(["r/seed-0 (2)", "r/seed-0", "r/seed-0"]) == [
        "r/seed-0 (2)", "r/seed-0", "r/seed-0 (3)",
    ]  # fmt: skip


def test_what_a_measuring_process_imports_is_light() -> None:
    """Its memory is what is measured."""
    code = (
        "import sys, triptych.benching\n"
        "print({'torch', 'pyarrow', 'matplotlib'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
