"""A Ray cluster of several nodes on this machine, made once; every node has a raylet of its own."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from triptych.engines import connect

QUICK = {
    # How soon a node counts as dead; by default that takes up to half a minute.
    "health_check_initial_delay_ms": 0,
    "health_check_period_ms": 300,
    "health_check_timeout_ms": 10_000,
    "health_check_failure_threshold": 4,
}
os.environ.update(connect.QUIET)  # before any test imports Ray

Died = Callable[[], bool]
NODE = {"object_store_memory": 100 * 2**20, "include_log_monitor": False}


@pytest.fixture(scope="session")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The cluster: two nodes, of one CPU each; that one of them has a GPU is not true."""
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    # Nodes inherit it; it is where the tests of this process have theirs.
    os.environ.setdefault("TRIPTYCH_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    head = NODE | {
        "num_cpus": 1,
        "num_gpus": 1,
        "include_dashboard": False,
        "_system_config": QUICK,
    }
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        cluster.add_node(num_cpus=1, **NODE)
        yield cluster
    finally:
        cluster.shutdown()


@pytest.fixture
def doomed(machines: Any) -> Callable[[], AbstractContextManager[Died]]:
    return lambda: _doomed(machines)


@contextmanager
def _doomed(machines: Any) -> Iterator[Died]:
    """A third node, and the only one with room: its raylet dies by SIGKILL as soon as a worker of
    its own is seen at work, and then there is room on the two others. To be used by a driver.

    Gives what tells whether it died: on a busy machine work may be over before it is seen, and then
    nothing was tried.
    """
    from ray.util.placement_group import placement_group, remove_placement_group

    room = placement_group([{"CPU": 1}] * 2, strategy="STRICT_SPREAD")
    assert room.wait(60)
    node = machines.add_node(num_cpus=1, **NODE)
    (raylet,) = [info.process for info in node.all_processes["raylet"]]
    over = threading.Event()

    def lurk() -> None:
        while not over.is_set():
            if any(b"ray::Worker.run" in _command(each) for each in _children(raylet.pid)):
                os.kill(raylet.pid, signal.SIGKILL)
                over.set()
                remove_placement_group(room)
            time.sleep(0.005)

    killer = threading.Thread(target=lurk)
    killer.start()
    try:
        yield lambda: over.is_set() and raylet.wait(60) == -signal.SIGKILL
    finally:
        over.set()
        killer.join()
        machines.remove_node(node, allow_graceful=False)


@pytest.fixture
def one_thread() -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def data(two_classes: Callable[..., Path]) -> Path:
    return two_classes(train=64, val=12, test=4)


@pytest.fixture
def sent(request: pytest.FixtureRequest) -> Iterator[ModuleType]:
    """Functions of the test's module reach workers, which cannot import it."""
    from ray import cloudpickle

    module = sys.modules[request.module.__name__]
    cloudpickle.register_pickle_by_value(module)
    yield module
    cloudpickle.unregister_pickle_by_value(module)


def _children(process: int) -> list[int]:
    found: list[int] = []
    for thread in Path(f"/proc/{process}/task").glob("*/children"):
        with suppress(OSError):
            found += map(int, thread.read_text().split())
    return found


def _command(process: int) -> bytes:
    try:
        return (Path("/proc") / str(process) / "cmdline").read_bytes()
    except OSError:
        return b""
