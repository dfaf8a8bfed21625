"""What a worker takes of which nodes."""

from __future__ import annotations

import pytest

from triptych.engines.nodes import Need, need_of
from triptych.errors import UserError

SMALL, LARGE = {"CPU": 4.0}, {"CPU": 16.0, "GPU": 2.0}


@pytest.mark.parametrize(
    ("device", "nodes", "count", "shared", "need"),
    [
        ("auto", [SMALL], 8, True, Need("cpu", 3)),
        ("cpu", [SMALL, LARGE], 8, True, Need("cpu", 3)),
        ("auto", [SMALL, LARGE], 8, True, Need("cuda", 1, 0.25)),
        ("cuda", [LARGE], 6, True, Need("cuda", 1, 0.3333)),
        ("cuda", [LARGE], 1, True, Need("cuda", 1, 1.0)),
        ("cuda", [LARGE], 8, False, Need("cuda", 1, 1.0)),
    ],
)
def test_a_worker_takes(
    device: str, nodes: list[dict[str, float]], count: int, shared: bool, need: Need
) -> None:
    found = need_of(device, 3, nodes, count=count, shared=shared)
    assert found == need
    # All that share GPUs find room at once.
    gpus = sum(node.get("GPU", 0) for node in nodes)
    if shared and found.gpus:
        assert int(1 / found.gpus) * gpus >= count


@pytest.mark.parametrize(
    ("device", "threads", "message"),
    [
        ("cuda", 1, "no node of the cluster has a GPU"),
        ("cuda:1", 1, "write auto, cpu or cuda"),
        ("cpu", 5, r"takes 5 CPUs, and no node .* \(the largest has 4 CPUs\): set OMP_NUM_THREADS"),
    ],
)
def test_what_no_node_has_is_refused(device: str, threads: int, message: str) -> None:
    with pytest.raises(UserError, match=message):
        need_of(device, threads, [SMALL], shared=True)


def test_a_share_grows_to_a_whole_gpu() -> None:
    need: Need | None = Need("cuda", 1, 0.3)
    shares = []
    while need is not None:
        shares.append(need.gpus)
        need = need.with_more_memory()
    assert shares == [0.3, 0.6, 1.0]
    assert Need("cpu", 4).with_more_memory() is None
