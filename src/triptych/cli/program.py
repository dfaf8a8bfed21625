"""The program `triptych`: its verbs together, and what becomes of their errors."""

from __future__ import annotations

import logging
import os
import select
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

COMPLETE = "_TRIPTYCH_COMPLETE"
"""The variable of the environment by which click is asked for completions."""
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
        _invoke(line)
        return 0
    except (Exception, KeyboardInterrupt) as error:
        return _fail(error, debug="--debug" in line)


def _invoke(line: list[str]) -> None:
    """Run a verb and let its errors out.

    What `app.main` would do, but that ends the process with code 1 where nobody reads its output,
    and takes an EOFError for Ctrl-C.
    """
    if os.environ.get(COMPLETE):
        app.main(line, prog_name="triptych")  # a shell asks how the line may go on
    with app.make_context("triptych", line) as context:
        app.invoke(context)


def _nobody_reads() -> bool:
    """Whether stdout is a pipe whose reader has gone."""
    try:
        stdout = sys.stdout.fileno()
    except (AttributeError, OSError, ValueError):  # there is none, or it is no file
        return False
    poll = select.poll()
    poll.register(stdout, 0)  # an end of a pipe that lost the other is told unasked
    return any(events & (select.POLLERR | select.POLLHUP) for _, events in poll.poll(0))


def _fail(error: BaseException, debug: bool) -> int:
    """Say in one line what went wrong; return the exit code."""
    if isinstance(error, BrokenPipeError) and _nobody_reads():
        # `| head` has seen enough. That is no failure, and the code says so rather than 141, as a
        # program killed by SIGPIPE has it: under `set -o pipefail` a script would end there. What
        # is still in the buffer goes nowhere, or Python would complain of it at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
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
    elif isinstance(error, KeyboardInterrupt):
        print(file=sys.stderr)  # ends the line on which the terminal shows ^C
        reason = " ".join(map(str, error.args))
        code, message = Stopped.exit_code, f"stopped by {reason or 'Ctrl-C'}"
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
