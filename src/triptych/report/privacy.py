"""`--anonymous`: records without user, host, home and paths, also where a person wrote them."""

from __future__ import annotations

import getpass
import re
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from triptych.report import cleaning


@dataclass(frozen=True)
class Anonymous:
    """What must not be seen: of this machine and of the program's checkout."""

    words: tuple[str, ...]
    """Home, host and git remotes, longest first; each is replaced wherever it stands."""
    user: str
    """Replaced where it stands as a person's or a folder's name: `user@`, `/user/`."""

    @staticmethod
    def of_this_machine() -> Anonymous:
        host = socket.gethostname()
        hosts = {host, host.partition(".")[0], socket.getfqdn()} - {"", "localhost"}
        words = {str(Path.home()), *hosts, *_remotes()}
        chosen = sorted((w for w in words if len(w) > 2), key=lambda w: (-len(w), w))
        return Anonymous(tuple(chosen), _user())

    def record(self, value: Any, folder: Path) -> Any:
        """A record fit to be shown to strangers: cleaned as those in `results/`, but for the
        command that made it, which keeps its words and loses its paths."""
        command = value.get("command") if isinstance(value, dict) else None
        if isinstance(command, list) and "versions" in value:
            shown = [self.text(str(word), folder) for word in command]
            return self._scrubbed(cleaning.clean({**cleaning.runtime(value)}, folder)) | {
                "command": shown
            }
        return self._scrubbed(cleaning.clean(value, folder))

    def text(self, text: str, folder: Path) -> str:
        return self._plain(cleaning.without_paths(text, folder))

    def _scrubbed(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {self.name(str(key)): self._scrubbed(each) for key, each in value.items()}
        if isinstance(value, list):
            return [self._scrubbed(each) for each in value]
        return self._plain(value) if isinstance(value, str) else value

    def name(self, text: str) -> str:
        """The name of a record, or of a field in one, such as an arm's."""
        for word in self.words:
            text = re.sub(rf"(?<!\w){re.escape(word)}(?!\w)", "~", text)
        return text

    def _plain(self, text: str) -> str:
        text = self.name(text)
        if len(self.user) > 1:
            text = re.sub(rf"(?<!\w){re.escape(self.user)}(?=[@/\\])", "~", text)
            text = re.sub(rf"(?<=[/\\]){re.escape(self.user)}(?!\w)", "~", text)
        return text


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return ""


def _remotes() -> set[str]:
    """Addresses of the checkout that the program runs from, and of the one it is called in."""
    found: set[str] = set()
    for place in (Path(__file__).parent, Path.cwd()):
        command = ["git", "-C", str(place), "config", "--get-regexp", r"remote\..*\.url"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)
        except (OSError, subprocess.SubprocessError):
            continue
        found |= {line.partition(" ")[2].strip() for line in done.stdout.splitlines()}
    return found
