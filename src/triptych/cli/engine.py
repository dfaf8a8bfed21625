"""`--engine` and `--address`: where trainings run."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from triptych.errors import UserError

if TYPE_CHECKING:
    from triptych.engines.ray import RayCluster


@contextlib.contextmanager
def cluster_of(engine: str, address: str | None) -> Iterator[RayCluster | None]:
    """The cluster that was asked for; None trains in this process. Raises UserError."""
    if engine == "local":
        if address is not None:
            raise UserError(f"--address {address} is that of a cluster: add --engine ray")
        yield None
        return
    from triptych.engines.ray import connected

    with connected(address) as cluster:
        yield cluster
