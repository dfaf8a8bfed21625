"""Joining a Ray cluster, quietly, and saying in one line why that cannot be done."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import signal
import socket
import threading
from collections.abc import Iterator

from triptych.engines.nodes import Resources
from triptych.errors import UserError, WorkFailed

QUIET = {
    # Before `import ray`, which reads them.
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",  # else it would install this project on every node
    "RAY_SCHEDULER_EVENTS": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DEDUP_LOGS": "1",
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",  # a dying node's log would go to stdout, into --json
}
PORT = 6379
ANSWERS_WITHIN = 5.0
"""Seconds. Ray itself would try for minutes."""


@contextlib.contextmanager
def joined(address: str | None) -> Iterator[None]:
    """Be a driver of the cluster at HOST:PORT while the block runs.

    Without an address it is that of RAY_ADDRESS, or the cluster that this machine is a node of.
    Raises UserError where Ray is not installed, nothing answers, or the address is no such one.
    """
    os.environ.update(QUIET)
    try:
        import ray
    except ImportError:
        raise UserError(
            "--engine ray needs Ray, which is an extra: pip install 'triptych[ray]', on every node"
        ) from None
    address = address or os.environ.get("RAY_ADDRESS") or "auto"
    if address != "auto":
        address = _answering(address)
    handlers = _handlers()
    try:
        with _workers_as_this_process():
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except ConnectionError:
        raise UserError(
            "no Ray cluster runs on this machine: give --address HOST:PORT, or start one with "
            "`ray start --head`"
            if address == "auto"
            else f"the Ray cluster at {address} does not let this command in; where it has a "
            "token, set RAY_AUTH_MODE=token, with the token in ~/.ray/auth_token"
        ) from None
    except Exception as error:
        text = " ".join(str(error).split())
        raise WorkFailed(
            f"the Ray cluster at {address} cannot be joined from this machine, which must be a "
            f"node of it (ray start --address={address}): {text[:300]}"
        ) from None
    # Ray has put a handler of its own for SIGTERM, which would end the process in the middle.
    _restore(handlers)
    try:
        yield
    finally:
        ray.shutdown()
        _restore(handlers)


@contextlib.contextmanager
def _workers_as_this_process() -> Iterator[None]:
    """Have Ray start workers by this Python, though it was imported before `QUIET` was set.

    Under `uv run` it would else have uv make an environment for each of them from what lies in the
    current folder; where that fails, workers are started again and again.
    """
    from ray._private import ray_constants

    before = getattr(ray_constants, "RAY_ENABLE_UV_RUN_RUNTIME_ENV", None)
    if before is None:
        yield
        return
    ray_constants.RAY_ENABLE_UV_RUN_RUNTIME_ENV = False
    try:
        yield
    finally:
        ray_constants.RAY_ENABLE_UV_RUN_RUNTIME_ENV = before


def living_nodes() -> list[Resources]:
    """What each node has that answers."""
    import ray

    nodes = ray.nodes()  # type: ignore[no-untyped-call]
    return [node["Resources"] for node in nodes if node["Alive"]]


def _answering(address: str) -> str:
    """The address, with a port, once a Ray cluster answers there. Raises UserError."""
    found = re.fullmatch(r"([^:/\s]+|\[[0-9a-fA-F:]+\])(?::(\d{1,5}))?", address)
    if found is None:
        raise UserError(f"--address {address}: write it as HOST:PORT, such as 10.0.0.1:{PORT}")
    host, port = found[1], int(found[2] or PORT)
    try:
        with socket.create_connection((host.strip("[]"), port), ANSWERS_WITHIN) as connection:
            # Ray speaks gRPC, which is HTTP/2: a server's first frame, type 4, are its settings.
            connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, *[0] * 5]))
            answers = os.environ.get("RAY_USE_TLS") == "1" or connection.recv(9)[3:4] == b"\x04"
    except (OSError, OverflowError):
        answers = False
    if not answers:
        raise UserError(
            f"no Ray cluster answers at {host}:{port}; start one there with "
            f"`ray start --head --port={port}`, or give the --address of another"
        )
    return f"{host}:{port}"


_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def _handlers() -> dict[signal.Signals, signal._HANDLER]:
    return {each: signal.getsignal(each) for each in _SIGNALS}


def _restore(handlers: dict[signal.Signals, signal._HANDLER]) -> None:
    if threading.current_thread() is threading.main_thread():
        for each, handler in handlers.items():
            signal.signal(each, handler)
