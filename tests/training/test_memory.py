"""Kept memory: what the kernel is asked for in later rounds."""

from __future__ import annotations

import subprocess
import sys

import pytest

ROUNDS = """
import resource, sys, torch
from triptych.training.memory import keep_memory
kept = keep_memory() if sys.argv[1] == "keep" else False
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        torch.ones(16 * 2**20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
# Where the heap grows depends on what lies in it: a few rounds until it has settled.
for _ in range(6):
    faults()
print(int(kept), faults())
"""


def rounds(how: str) -> tuple[bool, int]:
    done = subprocess.run(
        [sys.executable, "-c", ROUNDS, how], check=True, capture_output=True, text=True
    )
    kept, faults = done.stdout.split()
    return kept == "1", int(faults)


def test_freed_memory_is_used_again() -> None:
    kept, faults = rounds("keep")
    if not kept:
        pytest.skip("not glibc")
    # Four tensors of 64 MiB, cleared afresh, are some 65,000 pages of 4 KiB.
    assert faults < 1_000
    assert rounds("leave")[1] > 20_000
