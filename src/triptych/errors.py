"""What may go wrong, as the exit codes of the command line see it.

The command line prints the message of these errors as one line and no traceback (`--debug`
shows it), so a message names the file or option and says what to do.
"""


class TriptychError(Exception):
    """Base of the errors that end a command with one clear line."""

    exit_code = 1


class WorkFailed(TriptychError):
    """The request was right and the work failed: a full disk, a broken download. Exit code 1."""

    exit_code = 1


class UserError(TriptychError):
    """The request was wrong and the user can mend it: file, option, name. Exit code 2."""

    exit_code = 2


class Stopped(TriptychError):
    """Stopped before the end by a time limit or a signal; run again to go on. Exit code 3."""

    exit_code = 3


class InUse(UserError):
    """A folder that another process is working in."""
