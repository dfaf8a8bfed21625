"""How numbers and names are written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from triptych.report import words


def test_spread() -> None:
    assert words.spread([0.10, 0.12, 0.14]) == "0.1200 ± 0.0200 (n = 3)"
    assert words.spread([0.5]) == "0.5000 (n = 1)"
    assert words.spread([]) == "no score (n = 0)"


def test_signed_and_interval() -> None:
    assert words.signed(0.04667) == "+0.0467"
    assert words.signed(-0.04667) == "−0.0467"
    assert words.signed(None) == "–"
    found = {"low": -0.04594, "high": 0.13927, "level": 0.95}
    assert words.interval(found) == "−0.0459 to +0.1393 (95 %)"
    assert words.interval(None) == "none"


@pytest.mark.parametrize(
    ("level", "text"),
    [(0.95, "95 %"), (0.975, "97.5 %"), (1 - 0.05 / 8, "99.4 %"), (0.99975, "99.975 %")],
)
def test_percent(level: float, text: str) -> None:
    assert words.percent(level) == text


@pytest.mark.parametrize(
    ("value", "text"), [(None, "–"), (0.2342, "0.234"), (0.00036, "4e-4"), (3e-12, "3e-12")]
)
def test_probability(value: float | None, text: str) -> None:
    assert words.probability(value) == text


def test_costs_that_differ_between_seeds_are_a_range() -> None:
    assert words.count(25546) == "25,546"
    assert words.count([384, 96, None]) == "96 to 384"
    assert words.count(None) == words.count([None, None]) == "–"
    assert words.seconds_range([1234.4, 1300.2, 310]) == "310 to 1,300"
    assert words.seconds_range([0.26, 0.31]) == "0.3"
    assert words.seconds_range([]) == "–"


def test_units() -> None:
    assert [words.unit(name) for name in ("top1", "mIoU", "val_loss")] == [
        "fraction",
        "fraction",
        "nats",
    ]


NASTY = "a|b *c* `d` <e> [f](g) _h_ weight_decay ~~i~~ \\ &amp; 10 * 20 * 30 #"


@given(st.text(st.sampled_from("ab1 |*`<>[]()_~\\&#;!"), max_size=30))
def test_escaped_text_is_shown_as_it_is(text: str) -> None:
    for each in (text, NASTY):
        shown = MarkdownIt("commonmark").renderInline(words.escape(f"x{each}x"))
        plain = " ".join(f"x{each}x".split())
        html = plain.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        assert shown == html
