from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from triptych.stopping import StopRequest


def test_no_reason_without_a_limit_or_a_signal() -> None:
    assert StopRequest().reason is None
    assert StopRequest(max_minutes=60).reason is None


def test_time_limit() -> None:
    stop = StopRequest(max_minutes=0.001)
    time.sleep(0.07)
    assert stop.reason == "--max-minutes 0.001"


@pytest.mark.parametrize(
    ("number", "name"), [(signal.SIGTERM, "SIGTERM"), (signal.SIGINT, "Ctrl-C")]
)
def test_the_first_signal_is_a_request_and_the_handlers_come_back(
    number: signal.Signals, name: str
) -> None:
    before = signal.getsignal(number)
    with StopRequest().listening() as stop:
        os.kill(os.getpid(), number)
        assert stop.reason == name
        # A second one ends the process at once.
        assert signal.getsignal(number) == before
    assert signal.getsignal(number) == before


@pytest.mark.parametrize(
    ("number", "name"), [(signal.SIGTERM, "SIGTERM"), (signal.SIGINT, "Ctrl-C")]
)
def test_a_command_ends_with_code_3_and_one_line(number: signal.Signals, name: str) -> None:
    script = (
        "import sys, time, click\n"
        "from triptych import cli\n"
        "@cli.app.command()\n"
        "def wait():\n"
        "    print('ready', flush=True); time.sleep(60)\n"
        "sys.exit(cli.main(['wait']))\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    _, errors = process.communicate(timeout=10)
    assert process.returncode == 3
    assert errors.strip() == f"triptych: error: stopped by {name}"
