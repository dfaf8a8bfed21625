"""What a training does with what its recipe asks for, and what is left of it afterwards."""

from __future__ import annotations

import json
import math
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from triptych import recipe as recipes
from triptych import study
from triptych.audit import audit_run
from triptych.data.open_detection import open_detection
from triptych.detect import train as training
from triptych.detect.evaluate import evaluate
from triptych.detect.open_predictor import open_predictor
from triptych.detect.recipes import AS_RAN, DetectRecipe
from triptych.detect.study import STUDY
from triptych.detect.train import start, train, train_epoch, validation_loss
from triptych.errors import Stopped, UserError
from triptych.run import newest_checkpoint, read_json
from triptych.stopping import StopRequest
from triptych.study import Predictions


@pytest.fixture(scope="module")
def data(boxed: Callable[..., Path]) -> Path:
    torch.set_num_threads(1)
    return boxed(train=5, val=3)


def recipe(data: Path, **changes: Any) -> DetectRecipe:
    basis = DetectRecipe(
        name="detect/test", model="frcnn-tiny", data=f"vocxml:{data}", epochs=2, batch_size=2,
        lr=0.02, scale=(0.7, 1.3), jitter=0.2, clip=5.0, warmup=0.25,
    )  # fmt: skip
    return replace(basis, **changes)


def run(asked: DetectRecipe, out: Path, seed: int = 3, **options: Any) -> dict[str, Any]:
    return train(asked, seed, out, device="cpu", show_progress=False, **options)


def events(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    folder = tmp_path_factory.mktemp("train") / "run"
    run(recipe(data, ema=0.5), folder)
    return folder


class TestARun:
    def test_the_four_losses_are_logged_of_both_splits(self, out: Path) -> None:
        found = events(out)
        assert [(e["split"], e["epoch"]) for e in found] == [
            ("train", 1), ("val", 1), ("train", 2), ("val", 2), ("val", 2),
        ]  # fmt: skip
        parts = ("classifier", "box_reg", "objectness", "rpn_box_reg")
        for event in found[:4]:
            terms = [event[f"loss_{name}"] for name in parts]
            assert event["loss"] == pytest.approx(sum(terms), rel=1e-5)
            assert min(terms) >= 0
        assert {"AP50", "AP50_11point", "AP"} <= found[1].keys() & found[4].keys()
        # Cosine down to 1 % of the peak; the last of 4 updates is at 3/4, after a quarter warm-up.
        factor = 0.01 + 0.99 * (1 + math.cos(math.pi * 2 / 3)) / 2
        assert found[2]["lr"] == pytest.approx(0.02 * factor)

    def test_its_result_says_what_it_was_and_cost(self, out: Path) -> None:
        result = read_json(out / "result.json")
        assert (result["epochs"], result["updates"], result["samples"]) == (2, 4, 8)
        assert result["data"] == "vocxml val"
        assert result["init"]["init"] == "random"
        assert result["training_GFLOP"] == pytest.approx(6 * result["MACs"] * 8 / 1e9, abs=0.1)
        # Pictures of 64x96 are resized to 128 pixels of the shorter side, and need no padding.
        assert result["MACs_size"] == [128, 192]
        assert "left_out" not in result
        assert read_json(out / "init.json") == result["init"]
        assert study.describe_result(result).startswith("detect/test seed 3: AP ")

    def test_its_folder_is_a_detector_and_its_items_give_its_scores(
        self, out: Path, data: Path
    ) -> None:
        scores = read_json(out / "result.json")["scores"]
        opened = open_predictor(str(out))
        assert opened.predictor.classes == ("blue", "red")
        val = open_detection(f"vocxml:{data}", "val")
        again = evaluate(opened.predictor, val, rules=opened.rules, batch_size=8, progress=False)
        assert {name: again[name] for name in scores} == scores
        for name in scores:
            items = STUDY.run_items(out, name)
            assert items is not None
            assert items.score() == pytest.approx(scores[name], abs=1e-9)

    def test_what_is_kept_is_the_average(self, out: Path) -> None:
        checkpoint = newest_checkpoint(out)
        plain, averaged = (
            load_file(checkpoint / f"{name}.safetensors") for name in ("model", "ema")
        )
        assert plain.keys() == averaged.keys()
        name = "roi_heads.box_predictor.cls_score.weight"
        assert not torch.equal(plain[name], averaged[name])

    def test_its_audit_finds_nothing(self, out: Path) -> None:
        lines = {line.about: line for line in audit_run(out)}
        assert [line.text for line in lines.values() if line.finding != "fair"] == []
        assert lines["images seen"].text.startswith("5 of 5")
        assert "8 samples in 4 updates" in lines["budget"].text
        parts = ["fpn", "head", "layer1", "layer2", "layer3", "layer4", "rpn", "stem"]
        told = lines["parts"].text.removeprefix("parameters changed by training: ").split(", ")
        assert [part.split()[0] for part in told] == parts
        assert " of " not in lines["parts"].text
        assert lines["copies in val"].text.startswith("0 of 3")

    def test_it_is_not_trained_again(self, out: Path, data: Path) -> None:
        before = (out / "metrics.jsonl").read_bytes()
        assert run(recipe(data, ema=0.5), out) == read_json(out / "result.json")
        assert (out / "metrics.jsonl").read_bytes() == before

    def test_a_changed_start_is_refused(self, out: Path, data: Path) -> None:
        with pytest.raises(UserError, match=f"its init is random, yours is {out}"):
            run(recipe(data, ema=0.5, init=str(out)), out)

    def test_fixed_predictions_are_scored_like_it(
        self, out: Path, data: Path, tmp_path: Path
    ) -> None:
        spec, split = STUDY.evaluated_on(recipe(data), "AP50")
        arm = Predictions(str(out))
        items = STUDY.predict_items(arm, spec, split, "AP50", tmp_path / "fixed")
        expected = read_json(out / "result.json")["scores"]["AP50"]
        assert items.score() == pytest.approx(expected, abs=1e-9)
        with pytest.raises(UserError, match="leave val_images out"):
            STUDY.evaluated_on(recipe(data, val_images=2), "AP50")


class TestFaultyData:
    """Which is refused, or left out where the recipe says so."""

    @pytest.fixture
    def faulty(self, boxed: Callable[..., Path]) -> Path:
        """A picture of each split is broken, and a box has no area."""
        root = boxed(train=4, val=3)
        for split in ("train", "val"):
            (root / split / "00.png").write_bytes(b"no picture")
        text = (root / "train" / "01.xml").read_text()
        (root / "train" / "01.xml").write_text(re.sub("<xmax>.*?</xmax>", "<xmax>0</xmax>", text))
        return root

    def test_it_is_refused_before_there_is_a_folder(self, faulty: Path, tmp_path: Path) -> None:
        with pytest.raises(UserError, match=r"00\.png: cannot be read as a picture .* 2 more"):
            run(recipe(faulty), tmp_path / "run")
        assert not (tmp_path / "run").exists()

    def test_or_left_out_said_and_on_record(
        self, faulty: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        asked = recipe(faulty, strict=False, epochs=1)
        result = run(asked, tmp_path / "run")
        train, val = result["left_out"]["train"], result["left_out"]["val"]
        assert train == {
            "unreadable": {"count": 1, "files": ["00.png"]},
            "no area": {"count": 2, "files": ["01.xml"]},
        }
        assert val == {"unreadable": {"count": 1, "files": ["00.png"]}}
        said = [r.getMessage() for r in caplog.records if "left out or cut" in r.getMessage()]
        assert said == [
            "vocxml train, left out or cut: 1 files cannot be read (00.png); "
            "2 boxes have no area (01.xml)",
            "vocxml val, left out or cut: 1 files cannot be read (00.png)",
        ]
        assert result == read_json(tmp_path / "run" / "result.json")
        scores = read_json(tmp_path / "run" / "evaluations" / "vocxml-val" / "scores.json")
        assert scores["left_out"] == val
        assert scores["images"] == 2
        # What is left is other data than all of it.
        opened = training._open(asked)
        assert len(opened.train) == 3
        (faulty / "train" / "00.png").write_bytes((faulty / "train" / "01.png").read_bytes())
        assert training._open(asked).train.fingerprint() != opened.train.fingerprint()


def test_a_run_from_before_a_field_of_the_recipe_goes_on(
    data: Path, tmp_path: Path, out: Path
) -> None:
    shutil.copytree(out, tmp_path / "run")
    record = read_json(tmp_path / "run" / "recipe.json")
    del record["recipe"]["strict"]
    (tmp_path / "run" / "recipe.json").write_text(json.dumps(record))
    asked = recipe(data, ema=0.5)
    assert run(asked, tmp_path / "run") == read_json(out / "result.json")
    assert read_json(tmp_path / "run" / "recipe.json") == record
    # Another value than the default is another recipe, and so is another field.
    with pytest.raises(UserError, match="its strict is True, yours is False"):
        run(replace(asked, strict=False), tmp_path / "run")
    with pytest.raises(UserError, match=r"its clip is 5\.0, yours is 4\.0"):
        run(replace(asked, clip=4.0), tmp_path / "run")


def test_it_learns(data: Path, tmp_path: Path) -> None:
    """Rectangles of two colours are found after a few epochs on 5 pictures, and not before."""
    asked = recipe(data, epochs=30, lr=0.05, evaluate_every=30, val_split="train", ema=0.0)
    result = run(replace(asked, flip=True, scale=(0.9, 1.1)), tmp_path / "run")
    assert result["scores"]["AP50"] > 0.15
    losses = [e["loss"] for e in events(tmp_path / "run") if e["split"] == "train" and "lr" in e]
    assert losses[-1] < losses[0] / 2


def test_stopped_and_gone_on_gives_the_same_bytes(
    data: Path, tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = training.epoch_batches, []

    def counted(*args: Any, **options: Any) -> Any:
        for batch in real(*args, **options):
            calls.append(1)
            yield batch

    class Later(StopRequest):
        @property
        def reason(self) -> str | None:
            return "the test" if len(calls) == 3 else None

    monkeypatch.setattr(training, "epoch_batches", counted)
    asked = recipe(data, ema=0.5)
    with pytest.raises(Stopped, match="stopped by the test at step 3 of 4"):
        run(asked, tmp_path / "run", stop=Later())
    assert newest_checkpoint(tmp_path / "run").name == "step-3"
    monkeypatch.undo()
    again, whole = run(asked, tmp_path / "run"), read_json(out / "result.json")
    times = again.pop("times"), whole.pop("times")
    assert times[0]["seconds"] > 0
    assert again == whole
    for name in ("metrics.jsonl", "audit.json", "init.json"):
        assert (tmp_path / "run" / name).read_bytes() == (out / name).read_bytes()
    files = [newest_checkpoint(folder) / "model.safetensors" for folder in (tmp_path / "run", out)]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_validation_loss_is_the_same_whenever_it_is_asked(data: Path) -> None:
    asked = recipe(data)
    opened = training._open(asked)
    state, _ = start(asked, 0, opened, torch.device("cpu"))
    torch.manual_seed(1)
    first = validation_loss(state, asked, opened, 0)
    torch.manual_seed(2)
    assert validation_loss(state, asked, opened, 0) == first
    assert state.model.training
    # Whatever the size of a batch: of the means over the RoIs of all its pictures alone, not of
    # the boxes that are drawn.
    assert set(first) == {"loss", *training.losses(state.model, [torch.zeros(3, 64, 64)], [
        {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)}
    ], seed=0)}  # fmt: skip


def test_a_loss_that_is_no_number_ends_the_run(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "train_epoch", lambda state, *rest: _broken(state))
    result = run(recipe(data), tmp_path / "run")
    assert result["diverged"]
    assert result["epochs"] == 1


def _broken(state: Any) -> float:
    state.count_update(2, loss=math.nan)
    state.witness.update(torch.zeros(1, 3, 64, 64), state.model, state.optimiser)
    return float(state.end_epoch()["loss"])


class TestRequests:
    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"norm": "frozen"}, "init=random with norm=frozen keeps random weights from learning"),
            ({"frozen_stages": 2}, "init=random with frozen_stages=2 keeps"),
            ({"init": "nowhere/at.pth"}, "init=nowhere/at.pth: neither random, imagenet or coco"),
            ({"init": "imagenet"}, "no imagenet weights are known for test_efficientnet"),
            ({"model": "frcnn-tyni"}, "did you mean frcnn-tiny"),
            ({"train_split": "test"}, "no split 'test' here"),
            ({"train_images": 6}, "vocxml train has 5 images, not 6"),
            ({"val_data": "streets:scenes=1,frames=1,size=96x64"}, "has other classes than"),
        ],
    )
    def test_bad_ones_leave_no_folder(
        self, data: Path, tmp_path: Path, changes: dict[str, Any], message: str
    ) -> None:
        with pytest.raises(UserError, match=message):
            run(recipe(data, **changes), tmp_path / "run")
        assert not (tmp_path / "run").exists()

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"scale": (1.2, 0.8)}, "scale must be two positive numbers"),
            ({"momentum": 1.0}, "momentum must be from 0 to below 1"),
            ({"clip": -1.0}, "clip must be 0 or more"),
            ({"val_images": 0}, "val_images must be at least 1"),
            ({"frozen_stages": 6}, "frozen_stages must be from 0 to 5"),
            ({"frozen_random": True}, "frozen_random is for detect/published-as-ran alone; begin"),
        ],
    )
    def test_values_that_cannot_be(self, data: Path, changes: dict[str, Any], message: str) -> None:
        with pytest.raises(UserError, match=f"detect/test: {message}"):
            recipe(data, **changes)

    def test_the_recipes_are_there(self) -> None:
        names = [name for name in recipes.names() if name.startswith("detect/")]
        assert names == [
            f"detect/{n}" for n in ("fpn", "lite", "published", "published-as-ran", "tiny")
        ]
        for name in names:
            asked = recipes.get(name)
            STUDY.check(asked)
            assert f"triptych train {name}" in recipes.describe(name)
        ran, mended = recipes.get("detect/published-as-ran"), recipes.get("detect/published")
        assert recipes.differences(mended, ran).keys() == {"norm", "frozen_random", "warmup"}


class TestFrozenRandom:
    """The original's flaw, which its recipe shows and the audit finds."""

    def test_the_audit_finds_it(self, data: Path, tmp_path: Path) -> None:
        as_ran = {"name": AS_RAN, "norm": "frozen", "frozen_random": True}
        asked = recipe(data, **as_ran, frozen_stages=1)
        run(asked, tmp_path / "run")
        (line,) = [line for line in audit_run(tmp_path / "run") if line.about == "frozen"]
        assert line.finding == "flaw"
        assert "parameters never changed" in line.text
        assert "statistics never changed" in line.text
        (line,) = [line for line in audit_run(tmp_path / "run") if line.about == "parts"]
        assert ", stem 0 of 4,184" in line.text
        assert re.search(r": fpn [1-9][0-9,]*, head [1-9]", line.text)


def test_pictures_without_objects_train(boxed: Callable[..., Path], tmp_path: Path) -> None:
    root = boxed(train=4, val=4)
    for split in ("train", "val"):
        for file in (root / split).glob("*.xml"):
            text = file.read_text()
            if file.stem == "03" or split == "train":
                file.write_text(text[: text.find("</size>") + 7] + "</annotation>")
    (root / "classes.json").write_text(json.dumps(["blue", "red"]))
    asked = recipe(root, batch_size=2, epochs=1)
    result = run(asked, tmp_path / "run")
    assert not result["diverged"]
    event = events(tmp_path / "run")[0]
    assert math.isfinite(event["loss"])
    assert event["loss_box_reg"] == 0
    assert event["loss_rpn_box_reg"] == 0


def test_an_epoch_is_the_same_in_parts(data: Path, tmp_path: Path) -> None:
    """`train_epoch` goes on in the middle of an epoch with the batches that are left."""
    asked = recipe(data, batch_size=1)
    opened = training._open(asked)

    class Log:
        def log(self, *args: Any, **scores: Any) -> None: ...

    def state_after(stops: tuple[int, ...]) -> dict[str, torch.Tensor]:
        state, _ = start(asked, 0, opened, torch.device("cpu"))

        def after() -> None:
            if state.step in stops and state.step not in seen:
                seen.add(state.step)
                raise InterruptedError

        seen: set[int] = set()
        while state.epoch < 1:
            try:
                train_epoch(state, asked, 0, opened, Log(), after)  # type: ignore[arg-type]
            except InterruptedError:
                continue
        return {name: value.clone() for name, value in state.model.state_dict().items()}

    whole, parts = state_after(()), state_after((2, 3))
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
