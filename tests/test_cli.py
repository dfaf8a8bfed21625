"""The command line: its verbs and options are frozen here, its errors are one line."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from triptych import cli

VERBS = {
    "demo": "--debug --device --json --out --seed",
    "predict": "INPUT --alpha --audio --debug --device --json --min-score --model --no-audio "
    "--no-stability --out --runtime --save-labels --scales --size --stability --tile --view "
    "--weights",
    "evaluate": "--batch-size --data --debug --device --json --map --model --no-strict "
    "--out --runtime --scales --size --split --strict --tile --weights",
    "train": "STUDY/RECIPE --address --debug --device --engine --json --max-minutes --out --seed "
    "--set --status",
    "compare": "list|NAME|FILE.py|RECIPE... --address --data --debug --device --engine --json "
    "--margin --max-minutes --metric --out --predictions --reach --record --seeds --set --size "
    "--split --status --until-decided --varies",
    "audit": "RUN|COMPARISON --debug --json",
    "report": "DIR... --anonymous --debug --export --json --out --watch",
    "verify": "FILE --debug --json",
    "bench": "--debug --device --frames --json --model --out --runtime --scores --seconds --size "
    "--weights",
    "export": "--debug --format --json --model --out --size --weights",
    "models": "--debug --json --near",
    "weights list": "--debug --json",
    "weights fetch": "MODEL... --debug --json",
    "data list": "--debug --json",
    "data fetch": "NAME... --debug --json --out",
    "data check": "SPEC --debug --json",
}


def verbs(group: click.Group, prefix: str = "") -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from verbs(command, f"{prefix}{name} ")
        else:
            yield prefix + name, command


def surface(command: click.Command) -> str:
    arguments = [p.metavar or p.name for p in command.params if isinstance(p, click.Argument)]
    options = [
        o for p in command.params if isinstance(p, click.Option)
        for o in (*p.opts, *p.secondary_opts)
    ]  # fmt: skip
    return " ".join([*map(str, arguments), *sorted(options)])


def test_verbs_and_options_are_frozen() -> None:
    assert {name: surface(command) for name, command in verbs(cli.app)} == VERBS


def test_every_help_names_every_option_and_imports_no_torch() -> None:
    script = (
        "import sys\n"
        "from triptych import cli\n"
        "code = cli.main(sys.argv[1:] + ['--help'])\n"
        "heavy = {'torch', 'ray', 'cv2', 'openvino', 'av', 'numpy'} & set(sys.modules)\n"
        "sys.exit(code or (f'imported {heavy}' if heavy else 0))\n"
    )
    for name, options in {"": "--version", **VERBS}.items():
        started = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-c", script, *name.split()], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        assert all(option in done.stdout for option in options.split())
        # A gross bound, against an import that slips in; the figure itself is in docs/log.md.
        assert time.monotonic() - started < 3


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("foo", "No such command 'foo'"),
        ("predict", "Missing argument 'INPUT'"),
        ("predict x.mp4 --view up", "'up' is not one of"),
        ("predict x.mp4 --size 640", "WIDTHxHEIGHT"),
        ("predict x.mp4 --sise 640x480", "--size"),
        ("predict x.mp4 --scales 0.5,2", "1, the image's own size, must be among them"),
        ("predict x.mp4 --scales half", "with commas"),
        ("predict x.mp4 --tile 512", "WIDTHxHEIGHT"),
        ("evaluate --data streets --scales 0,1", "must be positive"),
        ("evaluate", "Missing option '--data'"),
        ("train segment/tinny", "did you mean segment/tiny"),
        ("train segment/tiny --set epoch=1", "did you mean 'epochs'"),
        ("train segment/tiny --max-minutes 0", "not in the range"),
    ],
)
def test_a_wrong_request_is_one_line_and_code_2(
    line: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(line.split()) == 2
    streams = capsys.readouterr()
    assert streams.out == ""
    assert streams.err.count("\n") == 1
    assert message in streams.err


def test_report_and_verify(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["report", str(tmp_path / "none"), "--out", str(tmp_path / "x.html")]) == 2
    assert "none is not there" in capsys.readouterr().err
    run = tmp_path / "run"
    run.mkdir()
    record = {"recipe": {"name": "classify/tiny", "lr": 0.1}, "seed": 3, "fingerprint": {}}
    (run / "recipe.json").write_text(json.dumps(record))
    page = tmp_path / "x.html"
    assert cli.main(["report", str(run), "--out", str(page), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["sections"] == ["classify/tiny, seed 3"]
    assert cli.main(["verify", str(page)]) == 0
    assert "every number holds" in capsys.readouterr().out
    page.write_text(page.read_text().replace("<td ", "<td>9</td><td ", 1).replace(">0.1<", ">9<"))
    assert cli.main(["verify", str(page), "--json"]) == 1
    streams = capsys.readouterr()
    assert "row 'lr', column 'value'" in " ".join(json.loads(streams.out)["problems"])
    assert streams.err.count("\n") == 1
    assert cli.main(["verify", str(tmp_path / "none")]) == 2


def test_debug_shows_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["train", "segment/none", "--debug"]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_an_unforeseen_error_is_one_line_and_code_1(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise RuntimeError("first line\nsecond line")

    monkeypatch.setattr("triptych.recipe.names", broken)
    assert cli.main(["train", "list"]) == 1
    error = capsys.readouterr().err
    assert error == (
        "triptych: error: unexpected RuntimeError: first line second line (--debug shows where)\n"
    )


def test_json_is_one_object_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["train", "list", "--json"]) == 0
    assert "segment/tiny" in json.loads(capsys.readouterr().out)


def test_python_dash_m_is_the_installed_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "triptych", "--version"], capture_output=True, text=True
    )
    assert done.stdout.startswith("triptych, version")
