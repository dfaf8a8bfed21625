"""What a checkpoint holds: weights, optimiser, averaged weights, counters; never pickled."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from triptych.errors import UserError
from triptych.training.ema import Ema
from triptych.training.witness import Witness


@dataclass
class TrainState:
    """Everything that a training loop needs to go on exactly where it stood.

    Random generators are not part of it: every random number is drawn from a stream that is
    derived from (seed, purpose, epoch, step), see `seeding.py`.
    """

    model: nn.Module
    optimiser: torch.optim.Optimizer
    ema: Ema | None = None
    epoch: int = 0
    """Epochs that are complete."""
    step_in_epoch: int = 0
    """Updates made in the epoch that is not complete."""
    step: int = 0
    """Updates in all."""
    samples: int = 0
    diverged: bool = False
    """Whether the loss of a complete epoch was not finite: the run ends with the score it has."""
    seconds: float = 0.0
    """Time spent, over all starts of this run."""
    stepping: float = 0.0
    """Seconds of these inside steps, where the loop measures them, as it may the next three."""
    waited: float = 0.0
    """Seconds of `stepping` that the loop waited for its next batch."""
    processor: float = 0.0
    """Processor time of the whole process in steps, in seconds."""
    augmenting: float = 0.0
    """Processor time of the threads that load and augment, in seconds."""
    sums: dict[str, float] = field(default_factory=dict)
    """Running sums over the epoch that is not complete, such as the loss."""
    hypers: dict[str, float] = field(default_factory=dict)
    """Hyperparameters that may change during a run (Population Based Training)."""
    skipped: int = 0
    """Updates of `step` that were left out, since a gradient in float16 was not finite."""
    witness: Witness | None = None
    """Notes what the run really did, for its audit."""
    scaler: torch.amp.GradScaler | None = None
    """Scales the loss of a training in float16."""

    _counters = (
        "epoch",
        "step_in_epoch",
        "step",
        "samples",
        "diverged",
        "seconds",
        "stepping",
        "waited",
        "processor",
        "augmenting",
        "sums",
        "hypers",
        "skipped",
    )

    def gradients(self, loss: Tensor) -> None:
        """Those of a loss, in place of earlier ones."""
        self.optimiser.zero_grad(set_to_none=True)
        if self.scaler is None:
            loss.backward()  # type: ignore[no-untyped-call]
            return
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        self.scaler.unscale_(self.optimiser)

    def update(self) -> None:
        """Let the optimiser make its step, unless a gradient in float16 overflowed."""
        if self.scaler is None:
            self.optimiser.step()
            return
        before = self.scaler.get_scale()
        self.scaler.step(self.optimiser)
        self.scaler.update()
        if self.scaler.get_scale() < before:
            self.skipped += 1
            if self.witness is not None:
                self.witness.skip()

    def count_update(self, samples: int, **losses: float) -> None:
        """Note an update that was made, from so many samples, and its losses by name."""
        self.step += 1
        self.step_in_epoch += 1
        self.samples += samples
        for name, loss in losses.items():
            self.sums[name] = self.sums.get(name, 0.0) + loss

    def end_epoch(self) -> dict[str, float]:
        """Close the epoch; returns the means over its updates of what was noted with them."""
        means = {name: total / self.step_in_epoch for name, total in sorted(self.sums.items())}
        if self.witness is not None:
            self.witness.end_epoch()
        self.epoch += 1
        self.step_in_epoch = 0
        self.sums = {}
        return means

    def write(self, folder: Path) -> dict[str, Any]:
        """Write the tensors into `folder` and return the rest, ready for JSON."""
        save_file(_contiguous(self.model.state_dict()), folder / "model.safetensors")
        if self.ema is not None:
            save_file(_contiguous(self.ema.state_dict()), folder / "ema.safetensors")
        tensors: dict[str, Tensor] = {}
        scalars: dict[str, Any] = {}
        for index, entries in self.optimiser.state_dict()["state"].items():
            for key, value in entries.items():
                name = f"{index}.{key}"
                if isinstance(value, Tensor):
                    tensors[name] = value
                else:
                    scalars[name] = value
        save_file(_contiguous(tensors), folder / "optimiser.safetensors")
        rest: dict[str, Any] = {key: getattr(self, key) for key in self._counters}
        if self.scaler is not None:
            rest["scaler"] = self.scaler.state_dict()
        if self.witness is not None:
            save_file(self.witness.tensors(), folder / "witness.safetensors")
            rest["witness"] = self.witness.counters()
        return rest | {"optimiser": scalars}

    def read(self, folder: Path, counters: dict[str, Any]) -> None:
        """Take over what `write` wrote. The learning rate and the weight decay are not restored:
        the loop writes both into the optimiser at every step. Raises UserError where the weights
        are of another model."""
        try:
            self.model.load_state_dict(load_file(folder / "model.safetensors"))
            if self.ema is not None:
                self.ema.load_state_dict(load_file(folder / "ema.safetensors"))
        except RuntimeError as error:
            what = " ".join(str(error).split())
            raise UserError(
                f"{folder} cannot be gone on from, choose another --out: {what[:200]}"
            ) from None
        entries: dict[int, dict[str, Any]] = {}
        flat: dict[str, Any] = load_file(folder / "optimiser.safetensors")
        for name, value in (flat | counters["optimiser"]).items():
            index, _, key = name.partition(".")
            entries.setdefault(int(index), {})[key] = value
        state = self.optimiser.state_dict()
        state["state"] = entries
        self.optimiser.load_state_dict(state)
        for key in self._counters:
            # Some came later than the first checkpoints.
            setattr(self, key, counters.get(key, getattr(self, key)))
        if self.scaler is not None:
            self.scaler.load_state_dict(counters["scaler"])
        if "stepping" not in counters:
            # What was waited is of all seconds then.
            self.stepping = self.seconds
        if self.witness is not None:
            self.witness.restore(load_file(folder / "witness.safetensors"), counters["witness"])


def _contiguous(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    # safetensors refuses views and channels_last strides.
    return {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}


def parameter_count(model: nn.Module) -> int:
    """Number of parameters, trainable or not."""
    return sum(p.numel() for p in model.parameters())


def as_json(value: dict[str, Any]) -> str:
    """The one way in which records are written, so that equal records are equal bytes."""
    return json.dumps(value, indent=2, sort_keys=True) + "\n"
