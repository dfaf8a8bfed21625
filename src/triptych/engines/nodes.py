"""What a worker takes of a node, and whether the cluster has a node with that much."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from triptych.errors import UserError

Resources = Mapping[str, float]
"""Of one node, `CPU` and `GPU` among them."""


@dataclass(frozen=True)
class Need:
    """A worker's share of its node."""

    device: str
    """`cpu` or `cuda`."""
    threads: int
    gpus: float = 0.0

    @property
    def cpus(self) -> int:
        """As many as threads: more threads than processors would only wait for each other."""
        return self.threads

    def fits(self, node: Resources) -> bool:
        return node.get("CPU", 0) >= self.cpus and node.get("GPU", 0) >= self.gpus

    def with_more_memory(self) -> Need | None:
        """A share of a GPU twice as large; None where it is a whole one or there is none."""
        return replace(self, gpus=min(2 * self.gpus, 1.0)) if 0 < self.gpus < 1 else None

    def __str__(self) -> str:
        cpus = f"{self.cpus} CPU{'s' if self.cpus > 1 else ''}"
        return cpus if not self.gpus else f"{cpus} and {self.gpus:g} of a GPU"


def need_of(
    device: str, threads: int, nodes: Sequence[Resources], *, count: int = 1, shared: bool
) -> Need:
    """What each of `count` workers takes, for `--device auto`, `cpu` or `cuda`.

    On CPUs a worker has `threads` of its own. On GPUs it has one; where `shared`, so many workers
    share a GPU that all work at once. Raises UserError where no node has that much.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise UserError(f"--device {device}: on a cluster write auto, cpu or cuda")
    gpus = int(sum(node.get("GPU", 0) for node in nodes))
    if device == "cuda" and not gpus:
        raise UserError("--device cuda: no node of the cluster has a GPU; write cpu")
    if device == "cpu" or not gpus:
        need = Need("cpu", threads)
    else:
        # Ray counts shares in ten thousandths; rounded up, the last worker would find no room.
        each = math.ceil(count / gpus) if shared else 1
        need = Need("cuda", 1, math.floor(10_000 / each) / 10_000)
    if not any(need.fits(node) for node in nodes):
        most = max((node.get("CPU", 0) for node in nodes), default=0)
        raise UserError(
            f"a worker takes {need}, and no node of the cluster has that much (the largest has "
            f"{most:g} CPUs): set OMP_NUM_THREADS to the threads that a worker may have"
        )
    return need
