"""Models of the user's own: names, files that will not do, and code that is not mixed up."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from triptych import own_code, own_model, study
from triptych import recipe as recipes
from triptych.compare import check, sources
from triptych.detect import study as detect
from triptych.detect.recipes import DetectRecipe
from triptych.errors import UserError
from triptych.recipe import Recipe
from triptych.report.cleaning import clean, without_paths
from triptych.report.privacy import Anonymous
from triptych.run import Run

LINEAR = """
from torch import nn
def build(classes, image_size=4):
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * image_size**2, classes))
"""
DATA = {"train": "abc"}


@pytest.fixture(autouse=True)
def forget() -> Iterator[Callable[[], None]]:
    """What has been read is forgotten, as by a new process."""

    def now() -> None:
        for modules in own_code._neighbours.values():
            for name in modules:
                sys.modules.pop(name, None)
        own_code._neighbours.clear()
        own_code._read.clear()

    yield now
    now()


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    file = tmp_path / "nets" / "mine.py"
    file.parent.mkdir()
    file.write_text(LINEAR)
    return file


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]


@pytest.mark.parametrize(
    ("name", "is_own"),
    [
        ("mine.py:build", True),
        ("/a b/c.d/mine.py:build", True),
        ("mine.py", True),
        ("mine.py:", True),
        ("vit-tiny", False),
        ("smp:linknet:resnet18", False),
        ("mine.pyc:build", False),
        ("mine:build", False),
    ],
)
def test_names(name: str, is_own: bool) -> None:
    assert own_model.is_own(name) is is_own
    assert own_model.digests("vit-tiny") is None


def test_the_function_makes_the_model(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = own_model.make(f"{mine}:build", 3, 4)
    assert own_model.logits_of_black(f"{mine}:build", model, 4, 4).shape == (1, 3)
    monkeypatch.chdir(mine.parents[1])
    assert own_model.make("nets/mine.py:build", 5)[1].out_features == 5  # type: ignore[index]
    monkeypatch.setenv("HOME", str(mine.parent))
    assert own_model.make("~/mine.py:build", 2)[1].out_features == 2  # type: ignore[index]


@pytest.mark.parametrize(
    ("source", "function", "message"),
    [
        (LINEAR, "", r"say which function makes the model: .*mine\.py:FUNCTION"),
        (LINEAR, ":", r"mine\.py:: say which function"),
        (LINEAR, ":a.b", "say which function"),
        (LINEAR, ":biuld", "has no function biuld; did you mean build"),
        ("build = 3", ":build", "has no function build"),
        ("def build(:", ":build", r"cannot be run: SyntaxError: .*line 1"),
        ("import no_such_thing", ":build", "ModuleNotFoundError: No module named 'no_such_thing'"),
        ("raise SystemExit(3)", ":build", "cannot be run: SystemExit: 3"),
        ("def build(n): raise ValueError('a\\nb')", ":build", r"build\(3\) raises ValueError: a b"),
        ("def build(n): assert n == 2", ":build", r"build\(3\) raises AssertionError$"),
        ("def build(): pass", ":build", r"build\(3\) raises TypeError: build\(\) takes 0"),
        ("def build(n): pass", ":build", r"build\(3\) returns nothing, not a torch\.nn\.Module"),
        ("def build(n): return {}", ":build", r"returns a dict, not a torch\.nn\.Module"),
        ("from torch import nn\ndef build(n): return nn.ReLU()", ":build", "without parameters"),
    ],
)  # fmt: skip
def test_files_that_will_not_do(mine: Path, source: str, function: str, message: str) -> None:
    mine.write_text(source)
    with pytest.raises(UserError, match=message) as error:
        own_model.make(f"{mine}{function}", 3)
    assert "\n" not in str(error.value)
    assert str(mine) in str(error.value)
    if "raises" in str(error.value) or "cannot be run" in str(error.value):
        assert error.value.__cause__ is not None


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    for name in ("gone.py", "folder.py"):
        (tmp_path / "folder.py").mkdir(exist_ok=True)
        with pytest.raises(UserError, match=rf"there is no file .*{name} \(a relative path"):
            own_model.check(f"{tmp_path / name}:build")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("raise KeyError('x')", "fails on one image of 6x4 pixels: KeyError: 'x'"),
        ("return {'out': x}", "gives a dict for an image, not a tensor of logits"),
    ],
)
def test_what_a_model_says_of_a_black_image(mine: Path, body: str, message: str) -> None:
    mine.write_text(
        "from torch import nn\nclass Net(nn.Linear):\n"
        f"    def forward(self, x):\n        {body}\ndef build(n): return Net(2, n)\n"
    )
    model = own_model.make(f"{mine}:build", 3)
    with pytest.raises(UserError, match=message):
        own_model.logits_of_black(f"{mine}:build", model, 4, 6)
    assert model.training


def test_a_file_that_was_mended_is_read_again(mine: Path) -> None:
    (mine.parent / "own_part.py").write_text("SIZE = 4")
    mine.write_text(f"import own_part\n{LINEAR}\nundefined")
    before = set(sys.modules)
    with pytest.raises(UserError, match="NameError"):
        own_model.check(f"{mine}:build")
    assert set(sys.modules) == before
    (mine.parent / "own_part.py").write_text("SIZE = 444")
    mine.write_text(f"import own_part\n{LINEAR}\nsize = own_part.SIZE")
    own_model.check(f"{mine}:build")
    assert own_code.code_of(mine).module.size == 444


def test_a_process_reads_a_file_once_and_says_so(
    mine: Path, caplog: pytest.LogCaptureFixture
) -> None:
    name = f"{mine}:build"
    before = own_model.digests(name)
    assert warnings(caplog) == []
    mine.write_text(LINEAR.replace("classes)", "classes + 1)"))
    assert own_model.make(name, 3)[1].out_features == 3  # type: ignore[index]
    assert own_model.digests(name) == before
    (warning,) = warnings(caplog)
    assert "mine.py has changed since it was read (mine.py)" in warning


def test_what_is_imported_from_beside_it_is_part_of_it(
    mine: Path, forget: Callable[[], None]
) -> None:
    package = mine.parent / "own_parts"
    package.mkdir()
    (package / "__init__.py").write_text("from . import heads")
    (package / "heads.py").write_text("from .deep import DEPTH")
    (package / "deep.py").write_text("DEPTH = 1")
    (package / "unused.py").write_text("")
    (mine.parent / "own_lazy.py").write_text("")
    mine.write_text(f"import json, own_parts.heads\n{LINEAR}    import own_lazy\n")
    name = f"{mine}:build"
    first = own_model.digests(name)
    assert first is not None
    beside = {"own_lazy", "own_parts", "own_parts.heads", "own_parts.deep"}
    assert set(first) == {"mine.py", *beside}
    forget()
    (package / "deep.py").write_text("DEPTH = 2")
    (package / "unused.py").write_text("X = 2")
    assert own_code.differing(first, own_model.digests(name) or {}) == ["own_parts.deep"]


def test_two_files_with_neighbours_of_one_name(tmp_path: Path) -> None:
    for size in (1, 2):
        (tmp_path / f"v{size}").mkdir()
        (tmp_path / f"v{size}" / "own_blocks.py").write_text(f"SIZE = {size}")
        (tmp_path / f"v{size}" / "own_late.py").write_text(f"SIZE = {size}")
        (tmp_path / f"v{size}" / "net.py").write_text(
            "from torch import nn\nimport own_blocks\n"
            "def build(n):\n    import own_late\n"
            "    return nn.Linear(own_blocks.SIZE, own_late.SIZE)\n"
        )
    for size in (1, 2, 1):
        made = own_model.make(f"{tmp_path}/v{size}/net.py:build", 3)
        assert (made.in_features, made.out_features) == (size, size)
        # torch.compile looks up by name what the code refers to.
        assert vars(sys.modules["own_blocks"])["SIZE"] == size
    assert str(tmp_path / "v1") not in sys.path


def test_a_neighbour_that_is_hidden_by_another_module_is_refused(
    mine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (mine.parent / "pytest.py").write_text("")
    mine.write_text(f"import pytest\n{LINEAR}")
    with pytest.raises(UserError, match=r"pytest beside it is hidden by .*: rename it"):
        own_model.check(f"{mine}:build")
    assert sys.modules["pytest"] is pytest


def test_reading_a_file_draws_no_random_number(mine: Path, forget: Callable[[], None]) -> None:
    mine.write_text(f"import torch\ntorch.rand(9)\n{LINEAR}")
    drawn = []
    for _ in range(2):  # the second time it is not read
        torch.manual_seed(3)
        drawn.append(own_model.make(f"{mine}:build", 3)[1].weight)  # type: ignore[index]
    assert torch.equal(*drawn)


class TestRuns:
    """A run's folder knows the code of its model."""

    @pytest.fixture
    def recipe(self, mine: Path) -> Recipe:
        name = f"{mine}:build"
        return Recipe(name="x/y", model=name, data="camvid:here", epochs=1, batch_size=2, lr=0.1)

    def test_it_is_on_record_beside_the_data(self, tmp_path: Path, recipe: Recipe) -> None:
        with Run.open(tmp_path / "run", recipe, 0, DATA):
            pass
        record = json.loads((tmp_path / "run" / "recipe.json").read_text())
        assert record["fingerprint"] == DATA
        assert record["code"] == own_model.digests(recipe.model)
        assert list(record["code"]) == ["mine.py"]
        assert str(tmp_path) not in json.dumps(record["code"])

    def test_other_code_is_refused(
        self, tmp_path: Path, mine: Path, recipe: Recipe, forget: Callable[[], None]
    ) -> None:
        with Run.open(tmp_path / "run", recipe, 0, DATA):
            pass
        forget()
        with Run.open(tmp_path / "run", recipe, 0, DATA):
            pass
        before = mine.read_text()
        mine.write_text(f"{before}\n# a word\n")
        forget()
        said = r"other code: what .*mine\.py:build is made of has changed since \(mine\.py\)"
        with pytest.raises(UserError, match=said) as error:
            Run.open(tmp_path / "run", recipe, 0, DATA)
        assert "\n" not in str(error.value)
        mine.write_text(before)
        forget()
        with Run.open(tmp_path / "run", recipe, 0, DATA):
            pass

    def test_a_missing_file_leaves_no_folder(
        self, tmp_path: Path, mine: Path, recipe: Recipe
    ) -> None:
        mine.unlink()
        with pytest.raises(UserError, match="there is no file"):
            Run.open(tmp_path / "run", recipe, 0, DATA)
        assert not (tmp_path / "run").exists()


def test_a_detector_is_not_made_by_a_file(mine: Path) -> None:
    recipe = recipes.override(recipes.get("detect/tiny"), [f"model={mine}:build"])
    assert isinstance(recipe, DetectRecipe)
    with pytest.raises(UserError, match=r"timm:ARCHITECTURE.*--predictions FILE\.json") as error:
        detect.check(recipe)
    assert "\n" not in str(error.value)


def compared(*arms: str) -> list[str]:
    made = sources.from_recipes(arms, metric="top1", margin=0.1, varies=frozenset({"model"}))
    check(made, study.get("classify").metrics)
    return list(made.arms)


class TestArms:
    def test_they_are_called_without_folders(self) -> None:
        own = "classify/tiny:model=/home/ann lee/a,b/my net.py:build"
        assert compared("classify/tiny", own) == ["tiny", "tiny-model-my-net.py-build"]
        given = "classify/tiny:model=../v2/mine.py:build,epochs=3"
        (arm,) = compared("classify/tiny:epochs=3", given)[1:]
        assert arm == "tiny-model-mine.py-build-epochs-3"
        assert sources.folder_name([given], ()) == "classify-tiny-model-mine.py-build-epochs-3"

    def test_two_of_one_name_are_refused(self) -> None:
        with pytest.raises(UserError, match=r"v2/net\.py:build is one of them; give its"):
            compared("classify/tiny:model=v1/net.py:build", "classify/tiny:model=v2/net.py:build")

    def test_a_recipe_whose_function_was_forgotten_is_no_comparison(self) -> None:
        assert not sources.is_name("classify/tiny:model=mine.py")
        assert sources.is_name("nets/mine.py")
        assert sources.is_name("flaw-ladder")


class TestWithoutFolders:
    """What is published names the file and the function and not where the file lay."""

    @pytest.mark.parametrize(
        "name",
        ["mine.py:build", "nets/mine.py:build", "/home/ann lee/my nets/mine.py:build",
         "../a=b/mine.py:build", "~/x/mine.py:build"],
    )  # fmt: skip
    def test_records(self, name: str) -> None:
        record = {"arms": {"a": {"model": name}}, "differs": {"model": ["vit-tiny", name]}}
        cleaned = {"arms": {"a": {"model": "mine.py:build"}}}
        assert clean(record, Path("/c")) == cleaned | {
            "differs": {"model": ["vit-tiny", "mine.py:build"]}
        }

    @pytest.mark.parametrize(
        ("text", "shown"),
        [
            ("nets/a/mine.py:build fails on it", "mine.py:build fails on it"),
            ("'/home/ann/mine.py:build' fails", "'mine.py:build' fails"),
            ("--set model=my nets/mine.py:build", "--set model=mine.py:build"),
            ("model=a/x.py:f and model=b c/y.py:g", "model=x.py:f and model=y.py:g"),
            ("classify/tiny:model=a/x.py:f,lr=1", "classify/tiny:model=x.py:f,lr=1"),
            ("classify/tiny:model=vit-tiny at 5 images/s", None),
            ("comparisons/flaw_ladder.py, line 3", None),
        ],
    )  # fmt: skip
    def test_texts(self, text: str, shown: str | None) -> None:
        assert without_paths(text, Path("/c")) == (text if shown is None else shown)

    def test_commands(self) -> None:
        command = ["/usr/bin/triptych", "train", "classify/tiny", "--set", "model=my nets/m.py:f"]
        record = {"command": command, "versions": {}, "device": "cpu"}
        shown = Anonymous((), "ann").record(record, Path("/c"))["command"]
        assert shown[-1] == "model=m.py:f"
