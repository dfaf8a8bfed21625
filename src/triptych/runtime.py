"""What a record says of the machine and the program: everything that does not decide a result."""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

_LIBRARIES = ("torch", "openvino", "numpy", "opencv-python-headless", "av")


def runtime_record(device: str) -> dict[str, Any]:
    """Command, versions, device and commit, for `runtime.json`."""
    return {
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "device": device,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "versions": {
            "triptych": importlib.metadata.version("triptych"),
            **{name: importlib.metadata.version(name) for name in _LIBRARIES},
        },
        "commit": _commit(),
    }


def _commit() -> str | None:
    """The git commit of the program's own checkout, with a mark where it was changed."""
    try:
        # An installed copy may lie inside a repository that is not its own.
        _git("ls-files", "--error-unmatch", Path(__file__).name)
        return _git("describe", "--always", "--dirty", "--abbrev=12") or None
    except (OSError, subprocess.SubprocessError):
        return None


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(Path(__file__).parent), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True)
    return done.stdout.strip()
