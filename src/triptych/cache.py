"""Where downloads and measurements that may be had again are kept."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def cache_folder() -> Path:
    """`$TRIPTYCH_CACHE`, or `triptych` in the user's cache folder; it need not exist yet."""
    if own := os.environ.get("TRIPTYCH_CACHE"):
        return Path(own)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "triptych"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home())) / "triptych" / "cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "triptych"
