"""What README and docs say to type can be typed."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace
from pathlib import Path

import click
import pytest

from triptych import recipe as recipes
from triptych.cli import app
from triptych.errors import UserError

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page: Path, *languages: str) -> list[str]:
    """What stands between the fences of those languages."""
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
    return [text for language, text in fenced if language in languages]


def commands(page: Path) -> list[str]:
    """Lines of a page's blocks that begin with `triptych`, without the comments on their right."""
    found = []
    for block in blocks(page, "", "sh", "bash"):
        for line in block.replace("\\\n", " ").splitlines():
            if line.startswith("triptych "):
                found.append(re.sub(r"(?<=\S) +# .*", "", line))
    return found


COMMANDS = [(page.name, line) for page in PAGES for line in commands(page)]


def test_commands_are_found() -> None:
    assert len(COMMANDS) > 30
    assert {name for name, _ in COMMANDS} >= {"README.md", "cluster.md", "detect.md"}


@pytest.mark.parametrize(("page", "line"), COMMANDS)
def test_options_exist(page: str, line: str) -> None:
    words = shlex.split(line)[1:]
    group: click.Command = app
    context = click.Context(app)
    while isinstance(group, click.Group):
        found = group.get_command(context, words[0])
        assert found is not None, f"{page}: {line}"
        group, words = found, words[1:]
    # Files need not be there, and values of the reader's own need not fit.
    parser = group.make_parser(click.Context(group))
    parser.parse_args(list(words))
    with pytest.raises(click.NoSuchOption):
        parser.parse_args([*words, "--no-such-option"])


def test_recipes_exist() -> None:
    known = recipes.names()
    for page in PAGES:
        for name in re.findall(
            r"triptych train ((?:segment|detect|classify)/[\w-]+)", page.read_text()
        ):
            assert name in known, (page.name, name)


def test_python_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """As far as the comparison that is asked for, which is a controlled one."""
    from triptych.compare import Comparison, check, describe, run
    from triptych.study import get

    asked: list[Comparison] = []
    # The names that the block imports are looked up in these modules when it does.
    monkeypatch.setattr(run, "compare", lambda comparison, out: asked.append(comparison))
    monkeypatch.setattr(describe, "describe", lambda verdict: "a verdict")
    (block,) = blocks(ROOT / "README.md", "python")
    exec(block, {})
    assert capsys.readouterr().out == "a verdict\n"
    (comparison,) = asked
    study = get(comparison.study)
    check(comparison, study.metrics, study.beside)
    arms = {**comparison.arms, "other": recipes.get("classify/small")}
    wrong = replace(comparison, arms=arms)
    with pytest.raises(UserError, match="lr"):
        check(wrong, study.metrics, study.beside)


def test_the_comparison_in_the_docs_is_controlled() -> None:
    from triptych.compare import check
    from triptych.study import get

    question, _ = blocks(ROOT / "docs/compare.md", "python")
    defined: dict[str, object] = {}
    exec(question, defined)
    comparison = defined["comparison"]()  # type: ignore[operator]
    study = get(comparison.study)
    check(comparison, study.metrics, study.beside)


def test_the_models_in_the_docs_are_models(tmp_path: Path) -> None:
    from triptych.classify.models import create
    from triptych.segment.models import create as create_labeller

    _, models = blocks(ROOT / "docs/compare.md", "python")
    (tmp_path / "mine.py").write_text(models)
    create(f"{tmp_path}/mine.py:build", classes=5, image_size=32)
    create_labeller(f"{tmp_path}/mine.py:label", classes=5)
