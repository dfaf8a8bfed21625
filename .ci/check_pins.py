"""Every package that uv resolves must be pinned in pyproject.toml, and every pin be in use.

`uv.lock` holds download addresses and is not committed; the pins are the lock. With `--write` both
lists in pyproject.toml are made anew (of a package that was resolved to several versions for
several versions of Python, the oldest is pinned, which all of them can use).
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROJECT = ROOT / "pyproject.toml"
LISTS = ("constraint-dependencies", "build-constraint-dependencies")


def resolved() -> dict[str, list[str]]:
    lock = tomllib.loads((ROOT / "uv.lock").read_text())
    packages = {(p["name"], p["version"]) for p in lock["package"] if p["name"] != "triptych"}
    build = tomllib.loads(PROJECT.read_text())["build-system"]["requires"]
    lines = subprocess.run(
        ["uv", "pip", "compile", "--quiet", "--no-annotate", "--no-header", "-"],
        input="\n".join(build),
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    return {LISTS[0]: sorted(f"{n}=={v}" for n, v in packages), LISTS[1]: sorted(lines)}


def oldest_of_each(pins: list[str]) -> list[str]:
    chosen: dict[str, str] = {}
    for name, version in (pin.split("==") for pin in pins):
        if name not in chosen or _order(version) < _order(chosen[name]):
            chosen[name] = version
    return [f"{name}=={version}" for name, version in chosen.items()]


def _order(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version)]


def write(lists: dict[str, list[str]]) -> None:
    text = PROJECT.read_text()
    for key, pins in lists.items():
        lines = "".join(f'  "{pin}",\n' for pin in oldest_of_each(pins))
        block = re.compile(rf"^{key} = \[.*?\]", re.MULTILINE | re.DOTALL)
        text = block.sub(f"{key} = [\n{lines}]", text)
    PROJECT.write_text(text)


def main() -> int:
    lists = resolved()
    if "--write" in sys.argv[1:]:
        write(lists)
        return 0
    pinned = tomllib.loads(PROJECT.read_text())["tool"]["uv"]
    wrong = 0
    for key, pins in lists.items():
        for name in sorted({*pins} ^ {*pinned[key]}):
            which = "not in use" if name in pinned[key] else "missing"
            print(f"pyproject.toml, {key}: {name} is {which}", file=sys.stderr)
            wrong += 1
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
