"""The program `triptych`: its verbs together, and what becomes of their errors."""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Sequence

import click

from triptych import __version__
from triptych.cli.audit import audit
from triptych.cli.bench import bench
from triptych.cli.compare import compare
from triptych.cli.data import data
from triptych.cli.demo import demo
from triptych.cli.evaluate import evaluate
from triptych.cli.export import export
from triptych.cli.models import models, weights
from triptych.cli.predict import predict
from triptych.cli.report import report
from triptych.cli.train import train
from triptych.cli.verify import verify
from triptych.errors import Stopped, TriptychError, UserError

EXIT_CODES = "Exit codes: 0 done, 1 the work failed, 2 the request was wrong, 3 stopped early."


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=EXIT_CODES,
    invoke_without_command=True,
)
@click.version_option(__version__, prog_name="triptych")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.pass_context
def app(context: click.Context, debug: bool) -> None:
    """Controlled comparisons of vision models.

    Begin with `triptych demo`: it needs no data, no network and under five minutes.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


for verb in (
    *(demo, predict, evaluate, train, compare, audit, report, verify, bench, export),
    *(models, weights, data),
):
    app.add_command(verb)


class _OneLine(logging.Formatter):
    """A log record as one line for a person: `triptych: warning: …`."""

    def format(self, record: logging.LogRecord) -> str:
        level = "" if record.levelno < logging.WARNING else f"{record.levelname.lower()}: "
        return f"triptych: {level}{record.getMessage()}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    line = list(sys.argv[1:] if arguments is None else arguments)
    from triptych.stopping import raise_on_signals

    raise_on_signals()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_OneLine())
    logger = logging.getLogger("triptych")
    logger.handlers[:] = [handler]
    logger.setLevel(logging.INFO)
    try:
        app.main(line, prog_name="triptych", standalone_mode=False)
        return 0
    except Exception as error:
        return _fail(error, debug="--debug" in line)


def _fail(error: Exception, debug: bool) -> int:
    """Say in one line what went wrong; return the exit code."""
    if debug:
        traceback.print_exc()
    if isinstance(error, TriptychError):
        code, message = error.exit_code, str(error)
    elif isinstance(error, click.exceptions.Exit):
        return error.exit_code
    elif isinstance(error, click.ClickException):
        code, message = UserError.exit_code, error.format_message()
        if isinstance(error, click.UsageError) and error.ctx is not None:
            message += f" (see {error.ctx.command_path} --help)"
    elif isinstance(error, click.Abort):
        # What click makes of a KeyboardInterrupt.
        reason = " ".join(map(str, error.__cause__.args)) if error.__cause__ else ""
        code, message = Stopped.exit_code, f"stopped by {reason or 'Ctrl-C'}"
    elif isinstance(error, BrokenPipeError):
        # The reader of our output went away (`| head`): nothing is left to say.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    elif isinstance(error, OSError):
        where = f" ({error.filename})" if error.filename else ""
        code, message = 1, f"{error.strerror or error}{where}"
    else:
        text = " ".join(str(error).split()) or "no message"
        code, message = 1, f"unexpected {type(error).__name__}: {text} (--debug shows where)"
    print(f"triptych: error: {' '.join(message.split())}", file=sys.stderr)
    return code


def run() -> None:
    """Entry point of the installed command."""
    sys.exit(main())
