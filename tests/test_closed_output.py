"""The command line where nobody reads on (`| head`), and where its input ended."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from triptych import cli

BUFFERED = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"}
"""As users have it: what could not be written is still in the buffer when the program ends."""


def run_into_closed_pipe(*line: str) -> tuple[int, str]:
    """Exit code and errors of a command whose output nobody reads."""
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "triptych", *line]
    try:
        done = subprocess.run(
            command, stdout=writing, stderr=subprocess.PIPE, text=True, env=BUFFERED
        )
    finally:
        os.close(writing)
    return done.returncode, done.stderr


@pytest.mark.parametrize("line", ["--help", "--version", "models --help", "train list --json"])
def test_a_reader_who_has_seen_enough_is_no_failure(line: str) -> None:
    assert run_into_closed_pipe(*line.split()) == (0, "")


def test_head(tmp_path: Path) -> None:
    # More than a pipe holds, so that the program still writes when its reader goes.
    script = tmp_path / "long.py"
    script.write_text(
        "import sys, click\n"
        "from triptych import cli\n"
        "@cli.app.command()\n"
        "def long():\n"
        "    click.echo('line\\n' * 1_000_000)\n"
        "sys.exit(cli.main(['long']))\n"
    )
    pipe = f'set -o pipefail; "{sys.executable}" "{script}" | head -n 1'
    done = subprocess.run(["bash", "-c", pipe], capture_output=True, text=True, env=BUFFERED)
    assert (done.returncode, done.stdout, done.stderr) == (0, "line\n", "")


def test_another_pipe_that_broke_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken() -> None:
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr("triptych.recipe.names", broken)
    assert cli.main(["train", "list"]) == 1
    assert capsys.readouterr().err == "triptych: error: Broken pipe\n"
    script = (
        "import sys\n"
        "from triptych import cli\n"
        "@cli.app.command()\n"
        "def send():\n"
        "    raise BrokenPipeError(32, 'Broken pipe')\n"
        "sys.exit(cli.main(['send']))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, "triptych: error: Broken pipe\n")


def test_an_end_of_file_is_no_stop(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def ended() -> None:
        raise EOFError("ran out of input")

    monkeypatch.setattr("triptych.recipe.names", ended)
    assert cli.main(["train", "list"]) == 1
    error = capsys.readouterr().err
    assert error == (
        "triptych: error: unexpected EOFError: ran out of input (--debug shows where)\n"
    )


def test_a_stop_is_code_3(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped() -> None:
        raise KeyboardInterrupt("SIGTERM")

    monkeypatch.setattr("triptych.recipe.names", stopped)
    assert cli.main(["train", "list"]) == 3
    assert capsys.readouterr().err.strip() == "triptych: error: stopped by SIGTERM"


def test_a_verb_may_end_with_a_code(monkeypatch: pytest.MonkeyPatch) -> None:
    def ended() -> None:
        raise click.exceptions.Exit(5)

    monkeypatch.setattr("triptych.recipe.names", ended)
    assert cli.main(["train", "list"]) == 5


def test_shells_can_ask_for_completions() -> None:
    asked = {"_TRIPTYCH_COMPLETE": "bash_complete", "COMP_WORDS": "triptych rep", "COMP_CWORD": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "triptych"],
        env=os.environ | asked, capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout == "plain,report\n"
