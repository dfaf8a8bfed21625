"""Nothing of what this program converts is told to anybody."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CONVERTS = """
import multiprocessing, sys
{before}
import torch
from triptych.inference.runners import OpenVinoRunner

started = []
multiprocessing.Process.start = started.append
OpenVinoRunner(torch.nn.Conv2d(3, 2, 3), (1, 3, 8, 8), "float32", torch.float32)
print(started)
"""


@pytest.mark.parametrize("before", ["", "import openvino"])
def test_a_conversion_tells_nobody_and_leaves_no_identity(before: str, tmp_path: Path) -> None:
    # In what counts as continuous integration OpenVINO itself is silent.
    own = {k: v for k, v in os.environ.items() if k not in ("CI", "TF_BUILD", "JENKINS_URL")}
    done = subprocess.run(
        [sys.executable, "-c", CONVERTS.format(before=before)],
        env=own | {"HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "[]\n"
    if not before:  # else it was there before us
        assert not (tmp_path / "intel").exists()
