"""A page as one HTML file: template, style and script in it, nothing fetched from anywhere."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

from jinja2 import DictLoader, Environment, StrictUndefined
from markupsafe import Markup

from triptych.report.page import Page, with_problems
from triptych.report.style import COLOURS

RECORDS_ID = "triptych-records"
FILES = ("page.html", "blocks.html", "page.css", "page.js")


@cache
def _texts() -> dict[str, str]:
    folder = resources.files("triptych.report") / "templates"
    return {name: (folder / name).read_text(encoding="utf-8") for name in FILES}


@cache
def template_digest() -> str:
    """A digest of template, style and script: pages that share it look alike."""
    content = "\0".join([*_texts().values(), repr(COLOURS)])
    return hashlib.sha256(content.encode()).hexdigest()[:16]


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=DictLoader(_texts()),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["svg"] = Markup  # of figures alone, see `blocks.inline_svg`
    return environment


def render(
    page: Page, records: str = "", media: Mapping[str, str] | None = None, reload: int | None = None
) -> str:
    """The text of the file. `records` is the store as JSON, `media` id → data address, `reload`
    seconds after which the page loads itself again."""
    texts = _texts()
    problems = with_problems(page)
    sections = [*([problems] if problems else []), *page.sections]
    values: dict[str, Any] = {
        "page": page,
        "sections": sections,
        "media": media or {},
        "reload": reload,
        "records_id": RECORDS_ID,
        # The store escapes what could end a script; style and script are the program's own.
        "records": Markup(records),
        "style": Markup(texts["page.css"]),
        "script": Markup(texts["page.js"]),
        "colours": COLOURS,
    }
    return _environment().get_template("page.html").render(values)
