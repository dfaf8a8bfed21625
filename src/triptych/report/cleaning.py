"""Records without what tells of the machine or the person: paths, host and user names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from triptych.data.without_place import DATA_FIELD, data_name
from triptych.own_model import without_place, without_places
from triptych.recipe import STUDIES

KEPT_RUNTIME = ("device", "system", "python", "versions", "commit")
# Absolute, in a home, or relative with dots: `/a/b`, `~/a`, `../a`, `file:///a`.
_PATH = re.compile(r"(?<![\w.~/-])(?:file://|~\w*|\.{1,2})?(?:/[^\s/'\"`:;,|()<>]+)+/?")


def clean(value: Any, folder: Path, key: str = "", name_data: bool = False) -> Any:
    """A record (anything that JSON holds) fit to be published; `key` is where it stands.

    Paths become the name of what they point at, the comparison's `folder` a word for it; a data
    specification keeps its kind and options, and with `name_data` its folder's name (where arms
    differ in their data); a model of a file keeps the file's name and the function's; a runtime
    keeps device, versions and a commit without changes.
    """
    if isinstance(value, Mapping):
        if key == "runtime" and "versions" in value:
            return clean(runtime(value), folder)
        return {k: clean(v, folder, k, name_data) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [clean(each, folder, key, name_data) for each in value]
    if not isinstance(value, str):
        return value
    if DATA_FIELD.fullmatch(key) and ":" in value:
        return data_name(value, name_data)
    if key == "model":
        value = without_place(value)
    if key in ("source", "weights"):
        return Path(value).name
    return without_paths(value, folder)


def without_paths(text: str, folder: Path) -> str:
    """A text in which the comparison's folder is a word for it and a path is a file's name.

    A folder of one name, as `--out tiny` makes it, stays where it is not told from the root: that
    name may as well be an arm's, or a word of the question.
    """
    text = without_places(text)
    places = {str(folder.resolve()): "COMPARISON", str(Path.home()): "~"}
    if _is_no_word(folder):
        places = {str(folder): "COMPARISON"} | places
    for place, word in places.items():
        if len(place) > 1:
            text = re.sub(rf"(?<![\w./-]){re.escape(place)}(?![\w.-])", word, text)
    return _PATH.sub(lambda found: found[0].rstrip("/").rpartition("/")[2], text)


def _is_no_word(folder: Path) -> bool:
    """Whether a folder's path can be told from a name: `runs/c`, but neither `c` nor a recipe's,
    such as `classify/tiny`."""
    return len(folder.parts) > 1 and folder.parts[0] not in STUDIES


def runtime(record: Mapping[str, Any]) -> dict[str, Any]:
    """What a runtime record says of device and versions; no commit of a changed checkout."""
    kept = {name: record[name] for name in KEPT_RUNTIME if record.get(name) is not None}
    if str(kept.get("commit", "")).endswith("-dirty"):
        del kept["commit"]
    return kept
