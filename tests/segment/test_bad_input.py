"""Input that is wrong: one clear line that names what it is, exit code 2, whoever reads it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from triptych import cli
from triptych.data.open_data import open_data
from triptych.errors import UserError
from triptych.run import newest_checkpoint
from triptych.segment.inverse.recipe import inverse
from triptych.segment.inverse.train import train as train_inverse
from triptych.segment.models import create

Write = Callable[[Path, Mapping[str, Mapping[str, int]]], Path]

QUICK = (
    "--set val_data=none --set epochs=1 --set batch_size=2 --set warmup=0 --set scale=1,1 "
    "--device cpu"
)


@pytest.fixture
def data(tmp_path: Path, write_drives: Write) -> Path:
    torch.set_num_threads(1)
    return write_drives(tmp_path / "CamVid", {"train": {"A": 4, "B": 1}, "val": {"A": 2}})


def refused(capsys: pytest.CaptureFixture[str], line: str, *words: str) -> str:
    """Run a command that must end with 2 and one line that has these words; returns the line."""
    capsys.readouterr()
    assert cli.main(line.split()) == 2
    streams = capsys.readouterr()
    assert streams.out == ""
    (error,) = [each for each in streams.err.splitlines() if each.startswith("triptych: error:")]
    assert "Traceback" not in streams.err
    for word in words:
        assert re.search(word, error), error
    return error


def refused_before_a_folder(capsys: pytest.CaptureFixture[str], line: str, *words: str) -> None:
    """The same of a training; its --out is free for what is mended."""
    refused(capsys, line, *words)
    assert not Path(line.rpartition(" ")[2]).exists()


def training(data: Path, out: Path, *settings: str) -> str:
    more = " ".join(f"--set {setting}" for setting in settings)
    return f"train segment/tiny --set data=camvid:{data} {QUICK} {more} --out {out}"


def first(folder: Path) -> Path:
    return min(folder.iterdir())


class TestLabels:
    @pytest.mark.parametrize("more", [[], ["class_weights=log"]])
    def test_unknown_ids(
        self, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str]
    ) -> None:
        file = first(data / "trainannot")
        labels = np.array(Image.open(file))
        labels[0, 0] = 57
        Image.fromarray(labels).save(file)
        line = training(data, tmp_path / "out", *more)
        refused_before_a_folder(capsys, line, f"{file.name}: id 57 is not a class of this data set")

    def test_unknown_ids_in_what_is_scored(
        self, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        file = first(data / "valannot")
        Image.fromarray(np.full((48, 64), 13, np.uint8)).save(file)
        refused_before_a_folder(
            capsys, training(data, tmp_path / "out"), f"{file.name}: id 13 is not a class"
        )

    @pytest.mark.parametrize("split", ["train", "val"])
    def test_of_another_size_than_their_picture(
        self, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], split: str
    ) -> None:
        file = first(data / f"{split}annot")
        Image.fromarray(np.zeros((24, 32), np.uint8)).save(file)
        line = training(data, tmp_path / "out")
        refused_before_a_folder(capsys, line, f"{file.name}: 32x24, but .*{file.name} is 64x48")

    def test_in_colours(
        self, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        file = first(data / "trainannot")
        Image.fromarray(np.zeros((48, 64, 3), np.uint8)).save(file)
        line = training(data, tmp_path / "out")
        refused_before_a_folder(
            capsys, line, f"{file.name}: colour-coded", "single-channel class ids"
        )

    def test_void_all_over_with_class_weights(
        self, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for file in (data / "trainannot").iterdir():
            Image.fromarray(np.full((48, 64), 11, np.uint8)).save(file)
        line = training(data, tmp_path / "out", "class_weights=median")
        refused_before_a_folder(
            capsys, line, "every training label is void", "--set class_weights=none"
        )


class TestFrames:
    def test_cut_short(
        self, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        file = first(data / "train")
        file.write_bytes(file.read_bytes()[:200])
        refused_before_a_folder(
            capsys, training(data, tmp_path / "out"), f"{file.name}: cannot be read"
        )

    def test_without_a_label(
        self, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        first(data / "trainannot").unlink()
        refused_before_a_folder(capsys, training(data, tmp_path / "out"), "has no partner")

    def test_of_different_sizes_without_a_crop(
        self, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for place in ("train", "trainannot"):
            file = first(data / place)
            Image.open(file).resize((80, 48), Image.Resampling.NEAREST).save(file)
        line = training(data, tmp_path / "out")
        refused_before_a_folder(capsys, line, "different sizes; crop them: --set crop=H,W")
        # What the line says helps.
        mended = training(data, tmp_path / "out", "crop=32,48", "epochs=1")
        assert cli.main(mended.split()) == 0


class TestSplits:
    @pytest.mark.parametrize("split", ["train", "val"])
    def test_empty(
        self, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], split: str
    ) -> None:
        for place in (split, f"{split}annot"):
            for file in (data / place).iterdir():
                file.unlink()
        refused(capsys, training(data, tmp_path / "out"), f"split {split} has no frames")
        assert not (tmp_path / "out").exists()

    def test_that_are_not_there(
        self, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        line = training(data, tmp_path / "out", "train_split=drive:C")
        refused(capsys, line, "no split 'drive:C'", "there are: train, val")

    def test_of_an_inverse_network_that_are_empty(
        self, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Empty:
            name, split, keys, groups = "made", "val", (), ()

            def __len__(self) -> int:
                return 0

        def opened(spec: str, split: str) -> object:
            return Empty() if spec == "other" else open_data(spec, split)

        monkeypatch.setattr("triptych.segment.inverse.train.open_data", opened)
        asked = replace(inverse(), data="streets:scenes=1,frames=1")
        with pytest.raises(UserError, match="other: the split val has no frames"):
            train_inverse(replace(asked, val_data="other"), 0, tmp_path / "out")
        with pytest.raises(UserError, match="other: the split train has no frames"):
            train_inverse(replace(asked, data="other"), 0, tmp_path / "out")
        assert not (tmp_path / "out").exists()

    def test_of_other_classes(
        self, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        line = training(data, tmp_path / "out", "val_data=streets:scenes=1,frames=1,size=64x48")
        refused(capsys, line, "has other classes than camvid:", "--set val_data=none")


class TestRecipes:
    @pytest.mark.parametrize(
        ("setting", "message"),
        [
            ("crop=16,16", "crop must be two sizes of at least 32"),
            ("crop=64", "2 values with commas"),
            ("scale=2,1", "scale must be two positive numbers, the smaller first"),
            ("scale=0,1", "scale must be two positive numbers"),
            ("scale=1,inf", "scale must be two positive numbers"),
            ("trunk_lr=0", "trunk_lr must be above 0"),
            ("trunk_lr=inf", "trunk_lr must be above 0"),
            ("noise=nan", "gamma, noise and blur must be 0 or more"),
            ("blur=-1", "gamma, noise and blur must be 0 or more"),
            ("gamma=inf", "gamma, noise and blur must be 0 or more"),
            ("rare_crops=1.5", "rare_crops must be from 0 to 1"),
            ("saturation=2", "saturation must be from 0 to 1"),
            ("white_balance=1", "white_balance must be from 0 to below 1"),
            ("class_weights=rare", "one of none, log, median"),
            ("boundary=inverse", "one of none, edges, inverseform"),
            ("folds=cities", "one of none, drives"),
            ("init=coco", "one of random, imagenet"),
            ("init=imagenet", "tiny has no trunk with imagenet weights.*--set init=random"),
            ("trunk_lr=0.1", "trunk_lr=0.1 has no effect on a model without a trunk"),
            ("model=street-huge", "did you mean street-large"),
        ],
    )
    def test_that_cannot_be(
        self,
        data: Path,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
        setting: str,
        message: str,
    ) -> None:
        refused(capsys, training(data, tmp_path / "out", setting), message)
        assert not (tmp_path / "out").exists()

    def test_pyramid_pooling_on_single_pictures(
        self, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        line = training(data, tmp_path / "out", "model=psp-lite0", "batch_size=1")
        refused_before_a_folder(capsys, line, "psp-lite0 cannot", "--set batch_size=2 or more")

    def test_batch_norm_on_single_values(
        self, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        line = training(data, tmp_path / "out", "model=street", "batch_size=1", "crop=32,32")
        refused_before_a_folder(
            capsys, line, "street cannot train on .* one picture of 32x32", "--set batch_size=2"
        )

    def test_pyramid_pooling_on_a_split_of_one_frame(
        self, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        line = training(data, tmp_path / "out", "model=psp-lite0", "train_split=drive:B")
        error = refused(capsys, line, "drive:B has one frame, and psp-lite0", "needs more frames")
        assert "batch_size" not in error


class TestInverseNetworks:
    SMALL = (
        "--set val_data=none --set epochs=1 --set batch_size=4 --set pairs=8 --set val_pairs=4 "
        "--set warmup=0 --device cpu"
    )

    @pytest.fixture
    def streets(self, tmp_path: Path) -> Path:
        """Streets as a label folder: a training needs enough boundary between its classes."""
        for split in ("train", "val"):
            frames = open_data("streets:scenes=2,frames=1,size=160x128", split)
            for index in range(len(frames)):
                for place, pixels in zip(("images", "labels"), frames.load(index), strict=True):
                    (tmp_path / "data" / place / split).mkdir(parents=True, exist_ok=True)
                    Image.fromarray(pixels).save(tmp_path / "data" / place / split / f"{index}.png")
        return tmp_path / "data"

    def training(self, streets: Path, out: Path) -> str:
        return f"train segment/inverse --set data=folder:{streets} {self.SMALL} --out {out}"

    @pytest.mark.parametrize("split", ["train", "val"])
    def test_labels_that_are_wrong(
        self, streets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], split: str
    ) -> None:
        file = streets / "labels" / split / "1.png"
        sound = file.read_bytes()
        line = self.training(streets, tmp_path / "out")
        Image.fromarray(np.full((128, 160), 57, np.uint8)).save(file)
        refused_before_a_folder(capsys, line, "1.png: id 57 is not a class")
        Image.fromarray(np.zeros((24, 32), np.uint8)).save(file)
        refused_before_a_folder(capsys, line, "1.png: 32x24, but")
        file.write_bytes(sound)
        assert cli.main(line.split()) == 0

    def test_labels_without_boundaries(
        self, streets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for file in (streets / "labels" / "val").iterdir():
            Image.fromarray(np.zeros((128, 160), np.uint8)).save(file)
        line = self.training(streets, tmp_path / "out")
        refused_before_a_folder(capsys, line, "folder val: no tile .* holds enough boundary")

    def test_one_is_no_segmentation_model(
        self, streets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        out = tmp_path / "out"
        assert cli.main(self.training(streets, out).split()) == 0
        line = f"evaluate --model {out} --data folder:{streets} --device cpu"
        refused(capsys, line, "out is a run of segment/inverse: an inverse network, .*not a segm")
        # A run that ended needs no boundaries.
        monkeypatch.setattr("triptych.segment.inverse.train.Boundaries", None)
        assert cli.main(self.training(streets, out).split()) == 0


class TestWeights:
    @pytest.fixture
    def run(self, data: Path, tmp_path: Path) -> Path:
        out = tmp_path / "run"
        assert cli.main(training(data, out, "boundary=edges", "ema=0").split()) == 0
        return out

    def rewritten(self, run: Path, drop: str) -> None:
        """The run's newest checkpoint without an entry, with digests as if it had been written."""
        checkpoint = newest_checkpoint(run)
        file = checkpoint / "model.safetensors"
        entries = load_file(file)
        del entries[drop]
        save_file(entries, file)
        record = json.loads((checkpoint / "state.json").read_text())
        record["files"][file.name] = hashlib.sha256(file.read_bytes()).hexdigest()
        (checkpoint / "state.json").write_text(json.dumps(record))

    def evaluation(self, model: str, data: Path, more: str = "") -> str:
        return f"evaluate --model {model} --data camvid:{data} --runtime torch --device cpu {more}"

    def test_of_another_class_list(
        self, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        file = tmp_path / "eleven.safetensors"
        save_file(create("tiny", 11).state_dict(), file)
        line = self.evaluation("tiny", data, f"--weights {file}")
        shapes = r"2 of another shape \(classify\.weight is \(11, 32, 1, 1\) there and \(19"
        refused(capsys, line, r"eleven\.safetensors: these are not weights of this Tiny", shapes)

    def test_with_missing_entries(
        self, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        state = create("tiny").state_dict()
        del state["refine.0.weight"]
        file = tmp_path / "less.safetensors"
        save_file(state, file)
        line = self.evaluation("tiny", data, f"--weights {file}")
        refused(capsys, line, r"less\.safetensors: .*1 of its entries missing \(refine\.0\.weight")

    def test_a_run_whose_classes_were_edited(
        self, run: Path, data: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        record = json.loads((run / "classes.json").read_text())
        for key in ("names", "colours"):
            record[key] = record[key][:-1]
        (run / "classes.json").write_text(json.dumps(record))
        line = self.evaluation(str(run), data)
        refused(capsys, line, "does not fit tiny with the 10 classes of .*classes.json",
                r"classify\.weight is \(11,")  # fmt: skip
        record["names"].append("more names than colours")
        (run / "classes.json").write_text(json.dumps(record))
        refused(capsys, line, r"classes\.json is not a record of classes")

    def test_a_run_whose_checkpoint_lacks_entries(
        self, run: Path, data: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.rewritten(run, "net.refine.0.weight")
        line = self.evaluation(str(run), data)
        refused(capsys, line, "does not fit tiny", r"1 of its entries missing \(refine\.0\.weight")

    def test_a_run_whose_checkpoint_lacks_entries_is_not_gone_on_with(
        self, run: Path, data: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.rewritten(run, "edge_head.mix.weight")
        (run / "result.json").unlink()
        line = training(data, run, "boundary=edges", "ema=0")
        refused(
            capsys, line, "cannot be gone on from, choose another --out", "edge_head.mix.weight"
        )

    def test_a_checkpoint_that_is_damaged(
        self, run: Path, data: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for file in run.glob("checkpoints/*/model.safetensors"):
            file.write_bytes(file.read_bytes()[:-1])
        refused(
            capsys,
            self.evaluation(str(run), data),
            "is damaged, and no checkpoint before it is whole",
        )
