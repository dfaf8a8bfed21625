"""The records that a page carries: what its numbers are computed from, each with its digest.

A record is a file as it lies in a run or comparison folder, reduced to what a page needs, under
`N/` for the N-th folder of the command line. Report and verification both write the records into
an empty folder and read that, so a page can show nothing that its records do not hold.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from triptych.errors import UserError

FORMAT = 1
PLAIN = 2_000
"""Bytes up to which a text is embedded as it is, so that a person can read it."""
LARGEST = 512 * 2**20
"""Bytes of a record; more is not unpacked."""
_NAME = re.compile(r"(?!.*(?:^|/)\.\.?(?:/|$))[^/\x00][^\x00]*")


@dataclass
class Store:
    """Records by name, in the order in which they were gathered."""

    about: dict[str, Any] = field(default_factory=dict)
    """When and by what the page was made, its folders, what was left out, and its media."""
    records: dict[str, bytes] = field(default_factory=dict)

    def put(self, name: str, value: Mapping[str, Any]) -> None:
        """Keep a record that is JSON; its order is that of classes in tables."""
        self.records[name] = (json.dumps(value) + "\n").encode()

    def write_into(self, folder: Path) -> None:
        """Lay the records out as files of an empty folder. Raises UserError."""
        for name, content in self.records.items():
            if not _NAME.fullmatch(name):
                raise UserError(f"{name!r} is no name that a record can have")
            file = folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)

    def to_json(self) -> str:
        """For a `<script type="application/json">`: no `<`, and so no end of it, inside."""
        value = {
            "format": FORMAT,
            "about": self.about,
            "about_sha256": digest_of(self.about),
            "records": [
                {"name": name, "sha256": hashlib.sha256(content).hexdigest(), **_encoded(content)}
                for name, content in self.records.items()
            ],
        }
        return json.dumps(value, ensure_ascii=True).replace("<", "\\u003c")


def digest_of(about: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()


def read_store(text: str) -> tuple[Store, list[str]]:
    """The store of a page, and what is wrong with it: a line for every record that was edited.

    Raises UserError where it is no store at all.
    """
    try:
        value = json.loads(text)
        if value["format"] != FORMAT:
            raise UserError(
                f"its records have format {value['format']}, this triptych reads {FORMAT}"
            )
        about, claimed = dict(value["about"]), value["about_sha256"]
        entries = [(str(each["name"]), str(each["sha256"]), each) for each in value["records"]]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"its records are broken: {type(error).__name__} {error}") from None
    store, problems = Store(about), []
    if digest_of(about) != claimed:
        problems.append("record 'about': was edited (its digest is another)")
    for name, digest, entry in entries:
        if not _NAME.fullmatch(name) or name in store.records:
            problems.append(f"record {name!r}: no name that a record can have")
            continue
        try:
            content = _decoded(entry)
        except (ValueError, KeyError, TypeError, zlib.error, binascii.Error) as error:
            problems.append(f"record {name!r}: cannot be read ({error})")
            continue
        if hashlib.sha256(content).hexdigest() != digest:
            problems.append(f"record {name!r}: was edited (its digest is another)")
        store.records[name] = content
    return store, problems


def _encoded(content: bytes) -> dict[str, str]:
    if len(content) <= PLAIN:
        try:
            return {"text": content.decode()}
        except UnicodeDecodeError:
            pass
    return {"zlib": base64.b64encode(zlib.compress(content, 6)).decode()}


def _decoded(entry: Mapping[str, Any]) -> bytes:
    if "text" in entry:
        return str(entry["text"]).encode()
    packed = base64.b64decode(entry["zlib"], validate=True)
    unpacking = zlib.decompressobj()
    content = unpacking.decompress(packed, LARGEST)
    if unpacking.unconsumed_tail or not unpacking.eof:
        raise ValueError(f"holds more than {LARGEST:,} bytes, or less than it should")
    return content
