"""What every segmentation model has in common: logits at the input's size, published weights."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from triptych.errors import UserError

_NAMED = 3  # entries named in an error: enough to recognise an architecture by


class SegmentationModel(nn.Module):
    """Maps normalised images (N, 3, H, W) to logits (N, classes, H, W), whatever H and W."""

    def forward_train(self, images: Tensor) -> dict[str, Tensor]:
        """What training needs besides the logits, each by its name.

        `logits` (N, classes, H, W); where the model has them `aux`, a second prediction of the
        same shape that is trained along (OCR's), `edges` (N, 1, H, W), logits of the boundary,
        `aux_edges`, a second prediction of those that is trained along, and `features`
        (N, C, h, w), the map before the classes, on which an edge head can be trained.
        """
        return {"logits": self(images)}

    def boundary_heads(self) -> tuple[nn.Module, ...]:
        """The parts that predict boundaries and nothing else: only a loss of these trains them."""
        return ()

    def load_published(self, state_dict: Mapping[str, object]) -> None:
        """Load a published checkpoint, every entry of it and of the model accounted for.

        `state_dict` has the published names, with or without the prefixes that wrappers add
        (`module.`, `model.`), or holds such a mapping under `state_dict`. Raises UserError where
        a name is missing, left over or of another shape: the weights of another architecture.
        """
        load_published(self, state_dict)


def load_published(module: nn.Module, state_dict: Mapping[str, object]) -> None:
    """Load a published checkpoint as `SegmentationModel.load_published` does, into any module."""
    weights = published_names(state_dict)
    own = module.state_dict()
    # Batch norm's step counter came late to PyTorch; torch fills it in where a file lacks it.
    missing = [n for n in own if n not in weights and not n.endswith("num_batches_tracked")]
    unknown = [name for name in weights if name not in own]
    reshaped = [
        f"{name} is {tuple(weights[name].shape)} there and {tuple(own[name].shape)} here"
        for name in own
        if name in weights and weights[name].shape != own[name].shape
    ]
    faults = [
        f"{len(names)} {what} ({', '.join(names[:_NAMED])}{', …' * (len(names) > _NAMED)})"
        for what, names in (
            ("of its entries missing", missing),
            ("entries it does not have", unknown),
            ("of another shape", reshaped),
        )
        if names
    ]
    if faults:
        raise UserError(
            f"these are not weights of this {type(module).__name__}: {'; '.join(faults)}"
        )
    module.load_state_dict(weights, strict=True)


def published_names(state_dict: Mapping[str, object]) -> dict[str, Tensor]:
    """The tensors of a checkpoint under the names their authors gave them, without wrappers.

    Raises UserError where it holds no named tensors.
    """
    inner = state_dict.get("state_dict", state_dict)
    if not isinstance(inner, Mapping) or not inner:
        raise UserError("this checkpoint holds no weights: expected a mapping of names to tensors")
    weights: dict[str, Tensor] = {}
    for name, value in inner.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise UserError(f"this checkpoint holds {name!r}, which is not a named tensor")
        weights[name] = value
    for prefix in ("module.", "model.", "module."):
        if all(name.startswith(prefix) for name in weights):
            weights = {name.removeprefix(prefix): value for name, value in weights.items()}
    return weights
