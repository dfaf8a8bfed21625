"""A witness of a training: notes what entered the model and what changed, never what was asked.

The audit of a run rests on these notes alone, so they are taken from the tensors and from the
optimiser at each update, not from the recipe. They are part of the checkpoint.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from triptych.training.fingerprints import entry_hashes, row_hashes
from triptych.training.idle import idle_parameters


class Witness:
    """Counts over all starts of a run."""

    def __init__(self, model: nn.Module) -> None:
        self._seen = torch.zeros(0, dtype=torch.int64)
        self._fresh: list[Tensor] = []
        self._notes: dict[str, Any] = {
            "samples": 0,
            "updates": 0,
            "seen_by_epoch": [],
            "copies": 0,
            "versions": 0,
            "probes": [],
            "augmented": False,
            "ranges": {},
            "input": None,
            "first": entry_hashes(model),
            "undriven": [name for name, _ in model.named_parameters()],
        }

    def batch(self, sources: Tensor, versions: Tensor) -> None:
        """One batch: `sources` (N,), hashes of the images as they lie in the training set, and
        `versions` (N, …) as they were augmented, each alone, before any mixing of images."""
        source, version = sources.to(versions.device), row_hashes(versions)
        self._fresh.append(source.cpu())
        notes = self._notes
        notes["samples"] += len(source)
        _, group, sizes = torch.unique(source, return_inverse=True, return_counts=True)
        repeated = sizes[group] > 1
        if bool(repeated.any()):
            pairs = torch.stack([source[repeated], version[repeated]], dim=1)
            notes["copies"] += int(repeated.sum())
            notes["versions"] += len(torch.unique(pairs, dim=0))
        self.note(batch_size=len(source))

    def probe(self, versions: Tensor, plain: Tensor) -> None:
        """`versions` (N, …) of one image, N times the same, augmented as the batch was; `plain`
        (N, …) the same without augmentation."""
        hashes = row_hashes(versions)
        self._notes["probes"].append([len(versions), len(torch.unique(hashes))])
        self._notes["augmented"] |= bool((hashes != row_hashes(plain)).any())

    def update(self, inputs: Tensor, model: nn.Module, optimiser: torch.optim.Optimizer) -> None:
        """One update, once gradients are there: what entered the model, and the settings that the
        optimiser then used."""
        notes = self._notes
        if waiting := notes.get("undriven"):
            notes["undriven"] = _undriven(waiting, model, optimiser)
        notes["updates"] += 1
        notes["input"] = [*map(int, inputs.shape[1:]), str(inputs.dtype).removeprefix("torch.")]
        groups = optimiser.param_groups
        for group in groups:
            # A trunk may learn at a multiple of the rate, which is noted apart.
            multiple = group.get("multiple", 1.0)
            name = "lr" if multiple == 1.0 else f"lr x{multiple:g}"
            self.note(**{name: float(group["lr"])})
        self.note(weight_decay=max(float(g.get("weight_decay", 0.0)) for g in groups))
        drops = [float(getattr(m, "drop_prob", 0.0) or 0.0) for m in model.modules()]
        self.note(drop_path=max(drops))

    def skip(self) -> None:
        """The update that was noted last was left out."""
        self._notes["updates"] -= 1

    def note(self, **values: float) -> None:
        """First, smallest, largest and last value of a setting over the run."""
        part = self._notes.get("part")
        for name, value in values.items():
            seen = self._notes["ranges"].setdefault(name, [value, value, value, value])
            seen[1:] = [min(seen[1], value), max(seen[2], value), value]
            if part is not None:
                low, high, total, count = part["ranges"].get(name, [value, value, 0.0, 0])
                part["ranges"][name] = [min(low, value), max(high, value), total + value, count + 1]

    def begin_part(self) -> None:
        """From now on note settings also for a part of the run, such as one interval of PBT."""
        notes = self._notes
        notes["part"] = {
            "samples": notes["samples"],
            "updates": notes["updates"],
            "ranges": {},
        }

    def part(self) -> tuple[int, int, dict[str, dict[str, float]]]:
        """Samples and updates since `begin_part`, and `min`, `max` and `mean` of each setting."""
        notes = self._notes
        part = notes["part"]
        settings = {
            name: {"min": low, "max": high, "mean": total / count}
            for name, (low, high, total, count) in sorted(part["ranges"].items())
        }
        return (
            notes["samples"] - part["samples"],
            notes["updates"] - part["updates"],
            settings,
        )

    def end_epoch(self) -> None:
        self._merge()
        self._notes["seen_by_epoch"].append(len(self._seen))

    def _merge(self) -> None:
        if self._fresh:
            self._seen = torch.unique(torch.cat([self._seen, *self._fresh]))
            self._fresh = []

    def tensors(self) -> dict[str, Tensor]:
        """What a checkpoint holds as tensors."""
        self._merge()
        return {"seen": self._seen}

    def counters(self) -> dict[str, Any]:
        """What a checkpoint holds besides, ready for JSON."""
        return self._notes

    def restore(self, tensors: dict[str, Tensor], counters: dict[str, Any]) -> None:
        self._seen, self._fresh = tensors["seen"], []
        self._notes = dict(counters)

    def testimony(self, model: nn.Module, training_set: Tensor) -> dict[str, Any]:
        """What the run did, ready for `audit.json`.

        `training_set` (N,) are the hashes of the training split's images as they lie there; images
        seen that are none of them are counted as strangers.
        """
        self._merge()
        notes = self._notes
        known = torch.unique(training_set.cpu())
        inside = int(torch.isin(self._seen, known).sum())
        before, after = notes["first"], entry_hashes(model)
        still = [name for name, value in after.items() if before.get(name) == value]
        parameters = dict(model.named_parameters())
        idle = idle_parameters(model, notes["input"][:-1]) if notes["input"] else set()
        same = {name for name in still if name in parameters and name not in idle}
        # Of a run that began before this was noted, whatever stayed the same counts as frozen.
        unmoved = same - set(notes["undriven"]) if "undriven" in notes else set()
        frozen = sorted(same - unmoved)
        return {
            "training_images": len(known),
            "images_seen": inside,
            "strangers_seen": len(self._seen) - inside,
            "images_seen_by_epoch": notes["seen_by_epoch"],
            "samples": notes["samples"],
            "updates": notes["updates"],
            "copies_in_batches": notes["copies"],
            "versions_of_copies": notes["versions"],
            "probed_copies": sum(copies for copies, _ in notes["probes"]),
            "probed_versions": sum(versions for _, versions in notes["probes"]),
            "probes": len(notes["probes"]),
            "augmented": notes["augmented"],
            "input": notes["input"],
            "settings": {
                name: dict(zip(("first", "min", "max", "last"), seen, strict=True))
                for name, seen in sorted(notes["ranges"].items())
            },
            "parameters": sum(p.numel() for p in parameters.values()),
            "parameters_never_changed": sum(parameters[name].numel() for name in frozen),
            "entries_never_changed": frozen,
            "parameters_unmoved": sum(parameters[name].numel() for name in unmoved),
            "entries_unmoved": sorted(unmoved),
            "parameters_idle": sum(parameters[name].numel() for name in idle),
            "entries_idle": sorted(idle),
            "buffers_never_changed": sorted(name for name in still if name not in parameters),
        }


def _undriven(names: list[str], model: nn.Module, optimiser: torch.optim.Optimizer) -> list[str]:
    """Those of the parameters that this update leaves alone: without a gradient, or at no rate.

    The bias of a BatchNorm layer whose output only another one sees has a gradient of rounding
    errors: it is at work and hardly moves, which is another thing than being frozen.
    """
    parameters = dict(model.named_parameters())
    learning = {
        id(parameter)
        for group in optimiser.param_groups
        if group["lr"] > 0
        for parameter in group["params"]
    }

    def moves(parameter: nn.Parameter) -> bool:
        slope = parameter.grad
        return id(parameter) in learning and slope is not None and bool(slope.any())

    return [name for name in names if not moves(parameters[name])]
