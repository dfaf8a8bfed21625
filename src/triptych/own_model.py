"""Models of the user's own: `PATH.py:FUNCTION`, a function in a Python file that makes one.

A relative path begins in the working folder, as for data. No torch is imported before a file is
read.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from triptych.errors import UserError
from triptych.own_code import Digests, code_of, differing, digests_of, neighbours_of

if TYPE_CHECKING:
    from torch import Tensor, nn

log = logging.getLogger("triptych")

_FORM = re.compile(r"(?P<file>.*\.py)(?::(?P<function>.*))?", re.DOTALL)
_NAMED = r"[^/\n=]+\.py:[A-Za-z_]"
_PLACES = re.compile(
    # As a setting, where the path may have blanks, and anywhere else.
    rf"(?<=\bmodel=)[^\n=]*/(?={_NAMED})"
    r"|(?<![\w.~/-])(?:[^\s/'\"`=:;,|()<>]+/)+(?=[^\s/'\"`=:;,|()<>]+\.py:[A-Za-z_])"
)


def is_own(name: str) -> bool:
    """Whether a model's name is of the form `PATH.py:FUNCTION`, or meant to be."""
    return _FORM.fullmatch(name) is not None


def without_place(name: str) -> str:
    """`nets/mine.py:build` → `mine.py:build`."""
    return name.rpartition("/")[2] if is_own(name) else name


def without_places(text: str) -> str:
    """A text, such as a command, in which such names have no folders."""
    return _PLACES.sub("", text)


def check(name: str) -> None:
    """Raise UserError where the file is missing, cannot be run or has no such function."""
    _function(name)


def digests(name: str) -> Digests | None:
    """Of the code behind a model's name, see `own_code`; None where it is no model of a file.

    Raises UserError as `check` does.
    """
    if not is_own(name):
        return None
    check(name)
    return digests_of(_parts(name)[0])


def check_trained(name: str, trained: Digests | None, run: Path) -> None:
    """Warn where the code of a run's model is not what it was trained with.

    Raises UserError where the file is missing.
    """
    if not is_own(name):
        return
    file, _ = _parts(name)
    if not file.is_file():
        raise UserError(
            f"{run} is a run of {name}, and {file} is missing: put it back (a relative path begins "
            "in the working folder)"
        )
    if changed := differing(trained or {}, digests(name) or {}):
        log.warning(
            "%s was trained with another %s (changed since: %s); its weights go into the model "
            "that is there now",
            run,
            file,
            ", ".join(changed),
        )


def make(name: str, *numbers: int) -> nn.Module:
    """The model that the function makes of these numbers, classes first.

    Raises UserError as `check` does, and where the function raises anything or returns no module
    that can learn.
    """
    import torch

    _, function = _parts(name)
    call = f"{function}({', '.join(map(str, numbers))})"
    build = _function(name)
    with neighbours_of(code_of(_parts(name)[0]).file):
        try:
            model = build(*numbers)
        except (Exception, SystemExit) as error:
            raise UserError(f"{name}: {call} raises {_said(error)}") from error
    if not isinstance(model, torch.nn.Module):
        raise UserError(f"{name}: {call} returns {_kind(model)}, not a torch.nn.Module")
    if not any(p.requires_grad for p in model.parameters()):
        raise UserError(f"{name}: {call} returns a model without parameters that learn")
    return model


def logits_of_black(name: str, model: nn.Module, height: int, width: int) -> Tensor:
    """What the model says in evaluation of one black image (1, 3, height, width).

    Raises UserError where it fails on it or gives no tensor.
    """
    import torch

    from triptych.training.cost import evaluating

    first = next(model.parameters())
    black = torch.zeros(1, 3, height, width, device=first.device, dtype=first.dtype)
    try:
        with evaluating(model), torch.no_grad():
            logits = model(black)
    except UserError:
        raise
    except Exception as error:
        what = f"one image of {width}x{height} pixels"
        raise UserError(f"{name} fails on {what}: {_said(error)}") from error
    if not isinstance(logits, torch.Tensor):
        raise UserError(f"{name} gives {_kind(logits)} for an image, not a tensor of logits")
    return logits


def _parts(name: str) -> tuple[Path, str]:
    found = _FORM.fullmatch(name)
    assert found is not None
    file, function = found["file"], found["function"] or ""
    if not function.isidentifier():
        raise UserError(f"{name}: say which function makes the model: {file}:FUNCTION")
    return Path(file).expanduser(), function


def _function(name: str) -> Callable[..., object]:
    file, function = _parts(name)
    if not file.is_file():
        raise UserError(
            f"{name}: there is no file {file} (a relative path begins in the working folder)"
        )
    try:
        module = code_of(file).module
    except (Exception, SystemExit) as error:
        raise UserError(f"{name}: {file} cannot be run: {_said(error)}") from error
    found: object = getattr(module, function, None)
    if not callable(found):
        known = [key for key, each in vars(module).items() if callable(each)]
        near = get_close_matches(function, known, n=2)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        raise UserError(f"{name}: {file} has no function {function}{hint}")
    return found


def _said(error: BaseException) -> str:
    """An exception in one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _kind(value: object) -> str:
    return "nothing" if value is None else f"a {type(value).__name__}"
