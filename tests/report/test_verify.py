"""Verification: an honest page holds; each kind of edit is named."""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from triptych.errors import UserError
from triptych.report.html import RECORDS_ID
from triptych.report.store import digest_of
from triptych.report.verify import describe, verify
from triptych.report.write import report

Edit = Callable[[Callable[[str], str]], list[str]]


@pytest.fixture(scope="module")
def page(folders: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A small page, so that it is built again quickly: one comparison."""
    root = tmp_path_factory.mktemp("verify")
    folders.make_comparison(root / "c", "classify", items=24, media=True)
    report([root / "c"], root / "page.html")
    return (root / "page.html").read_text()


@pytest.fixture(scope="module")
def wide(folders: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A page of the two other studies."""
    root = tmp_path_factory.mktemp("wide")
    for study in ("detect", "segment"):
        folders.make_comparison(root / study, study, items=24)
    report([root], root / "page.html")
    return (root / "page.html").read_text()


@pytest.fixture
def edited(page: str, tmp_path: Path) -> Edit:
    """The problems of the page after an edit, which must change something."""

    def problems(edit: Callable[[str], str]) -> list[str]:
        changed = edit(page)
        assert changed != page
        file = tmp_path / "page.html"
        file.write_text(changed)
        found: list[str] = verify(file)["problems"]
        return found

    return problems


def cell(page: str, name: str) -> re.Match[str]:
    found = re.search(rf'data-cell="{re.escape(name)}">(?:<span[^>]*></span>)?([^<]*)<', page)
    assert found is not None, name
    return found


def with_cell(name: str, text: str) -> Callable[[str], str]:
    def edit(page: str) -> str:
        start, end = cell(page, name).span(1)
        return page[:start] + text + page[end:]

    return edit


def with_store(change: Callable[[dict], None]) -> Callable[[str], str]:  # type: ignore[type-arg]
    """The page with its store changed by `change`."""

    def edit(page: str) -> str:
        head, mark, rest = page.partition(f'id="{RECORDS_ID}">')
        text, end, tail = rest.partition("</script>")
        store = json.loads(text)
        change(store)
        return head + mark + json.dumps(store).replace("<", "\\u003c") + end + tail

    return edit


def record(store: dict, ending: str) -> dict:  # type: ignore[type-arg]
    return next(each for each in store["records"] if each["name"].endswith(ending))


def test_an_honest_page_holds(page: str, tmp_path: Path) -> None:
    (tmp_path / "p.html").write_text(page)
    found = verify(tmp_path / "p.html")
    assert found["problems"] == []
    assert found["notes"] == []
    assert found["checked"]["cells"] > 100
    assert found["checked"]["figures"] == 3
    assert found["checked"]["media"] > 0
    assert "every number holds" in describe(found)


@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("s1.arms.1.2", "table 'Arms', row 'first', column 'top1, mean"),
        ("s1.verdict.1", "line 1 of 'Verdict'"),
        ("s1-conduct.cost.1.3", "table 'What it cost'"),
        ("s1-detail.runs.1.4", "table 'Every run'"),
        ("s1-conduct.environment.1", "line 1 of 'Environment and data'"),
    ],
)
def test_an_edited_cell_is_named(name: str, where: str, edited: Edit, page: str) -> None:
    (problem,) = edited(with_cell(name, "0.9999"))
    assert f"cell {name} (" in problem
    assert where in problem
    assert "shows '0.9999'" in problem
    assert cell(page, name)[1].split()[0] in problem


def test_edited_cells_of_other_studies_are_named_all_at_once(wide: str, tmp_path: Path) -> None:
    places = {
        "s1-study.ap50.1.2": "table 'AP50 by class', row 'car (24)', column 'first'",
        "s2-study.iou.2.3": "table 'IoU by class', row 'sky', column 'second'",
        "s2-study.frames-0.1.5": "column 'difference'",
        "s2-study.luminance-miou.2.2": "row '60-90 (4)'",
    }
    text = wide
    for name in places:
        text = with_cell(name, "0.9999")(text)
    (tmp_path / "p.html").write_text(text)
    problems = verify(tmp_path / "p.html")["problems"]
    assert len(problems) == len(places)
    for name, where in places.items():
        assert any(f"cell {name} (" in line and where in line for line in problems), problems


def test_removed_added_and_doubled_cells(edited: Edit) -> None:
    row = '<table><tr><td data-cell="s1.arms.9.9">1.0</td></tr></table>'
    twice = '<p data-cell="s1.arms.2.2">0.99</p><p>top1 0.99</p></main>'

    def edit(text: str) -> str:
        text = text.replace(' data-cell="s1.arms.1.2"', "")
        return text.replace("</main>", row + twice)

    problems = "\n".join(edited(edit))
    assert "column 'top1, mean ± std (n), fraction' in 'Which is better?') is missing" in problems
    assert "cell s1.arms.9.9 was added" in problems
    assert "cell s1.arms.2.2" in problems
    assert "is there twice" in problems
    assert "outside the cells" in problems


MARKUP: dict[str, Callable[[str], str]] = {
    "a rule": lambda page: page.replace("</style>", "td { visibility: hidden; }</style>", 1),
    "a second style": lambda page: page.replace(
        "</body>", "<style>td::after { content: '0.9999'; }</style></body>", 1
    ),
    "script": lambda page: page.replace("</body>", "<script>alert(1)</script></body>", 1),
    "hidden": lambda page: page.replace("<main", "<main hidden", 1),
    "a picture": lambda page: page.replace("</body>", '<img src="data:,"></body>', 1),
}


@pytest.mark.parametrize("what", MARKUP)
def test_what_changes_how_cells_look_is_named(what: str, edited: Edit) -> None:
    (problem,) = edited(MARKUP[what])
    assert problem.startswith("style, script or markup was edited: ")


def test_a_page_of_another_template_is_not_compared_in_that(page: str, tmp_path: Path) -> None:
    def other(store: dict) -> None:  # type: ignore[type-arg]
        store["about"]["template"] = "0123456789abcdef"
        store["about_sha256"] = digest_of(store["about"])

    file = tmp_path / "page.html"
    file.write_text(with_store(other)(MARKUP["a rule"](page)))
    found = verify(file)
    assert found["problems"] == []
    assert any("its style and script were not compared" in note for note in found["notes"])


def test_an_edited_figure_is_named(edited: Edit) -> None:
    begin = 'data-cell="s1.forest"'

    def relabelled(text: str) -> str:
        head, mark, rest = text.partition(begin)
        return (
            head
            + mark
            + rest.replace(">better<", ">worse<", 1).replace(">undecided<", ">better<", 1)
        )

    (problem,) = edited(relabelled)
    assert "cell s1.forest (figure 'Differences with their intervals'" in problem

    def moved(text: str) -> str:
        head, mark, rest = text.partition(begin)
        return head + mark + re.sub(r' d="M (\d)', r' d="M 7\1', rest, count=1)

    (problem,) = edited(moved)
    assert "what is drawn was edited" in problem


def test_an_edited_score_is_named_and_all_that_follows(edited: Edit) -> None:
    def better(store: dict) -> None:  # type: ignore[type-arg]
        entry = record(store, "1/first/seed-0/result.json")
        entry["text"] = re.sub(r'"top1": [\d.]+', '"top1": 0.99', entry["text"])

    problems = edited(with_store(better))
    assert problems[0] == "record '1/first/seed-0/result.json': was edited (its digest is another)"
    assert any(line.startswith("cell s1.arms.1.2 ") for line in problems)
    assert any(line.startswith("cell s1.verdict.1 ") for line in problems)


def test_a_record_edited_with_its_digest_still_shows_in_cells(edited: Edit) -> None:
    import hashlib

    def better(store: dict) -> None:  # type: ignore[type-arg]
        entry = record(store, "1/first/seed-0/result.json")
        entry["text"] = re.sub(r'"top1": [\d.]+', '"top1": 0.99', entry["text"])
        entry["sha256"] = hashlib.sha256(entry["text"].encode()).hexdigest()

    assert any(line.startswith("cell s1.arms.1.2 ") for line in edited(with_store(better)))


def test_edited_items_and_about_are_named(edited: Edit) -> None:
    def other(store: dict) -> None:  # type: ignore[type-arg]
        entry = record(store, "first/seed-0/evaluations/streets-test/items.npz")
        content = bytearray(zlib.decompress(base64.b64decode(entry["zlib"])))
        content[len(content) // 2] ^= 1
        entry["zlib"] = base64.b64encode(zlib.compress(bytes(content))).decode()

    problems = edited(with_store(other))
    assert "items.npz': was edited" in problems[0]

    def later(store: dict) -> None:  # type: ignore[type-arg]
        store["about"]["written"] = "2001-01-01 00:00 UTC"

    problems = edited(with_store(later))
    assert problems[0].startswith("record 'about'")
    assert any(line.startswith("cell made ") for line in problems)


def test_a_removed_record_is_missed(edited: Edit) -> None:
    def fewer(store: dict) -> None:  # type: ignore[type-arg]
        store["records"].remove(record(store, "1/first/seed-1/result.json"))

    assert any("cell s1.arms.1.2 " in line for line in edited(with_store(fewer)))


def test_a_broken_record_and_one_that_would_leave_its_folder(edited: Edit) -> None:
    def broken(store: dict) -> None:  # type: ignore[type-arg]
        entry = record(store, "1/comparison.json")
        entry.pop("text", None)
        entry["zlib"] = "AAAA"
        record(store, "1/first/seed-1/result.json")["name"] = "1/../../x.json"

    problems = "\n".join(edited(with_store(broken)))
    assert "record '1/comparison.json': cannot be read" in problems
    assert "'1/../../x.json': no name that a record can have" in problems


def test_an_edited_picture_is_named(edited: Edit) -> None:
    def other(text: str) -> str:
        return re.sub(r"(data:image/jpeg;base64,.{400}).", r"\1A", text, count=1)

    problems = edited(other)
    assert len(problems) == 1
    assert "was edited or is missing" in problems[0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<p>hello</p>", "carries no records"),
        (b"\xff\xfe\x00", "is no text"),
        (b'<script id="triptych-records">{}</script>', "records are broken"),
        (b'<script id="triptych-records">{"format": 99}</script>', "have format 99"),
    ],
)
def test_what_is_no_page(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "x.html").write_bytes(content)
    with pytest.raises(UserError, match=message):
        verify(tmp_path / "x.html")
    with pytest.raises(UserError, match="cannot read"):
        verify(tmp_path / "none.html")
