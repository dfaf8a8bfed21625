"""From 8-bit pictures to label maps in one graph, so that a runtime can fuse all of it."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from triptych.normalisation import Normalisation

Size = tuple[int, int]
"""(height, width) in pixels."""
Result = Literal["logits", "labels", "labels and edges"]

_NEVER = -1e9  # added to the logits that are no class


class Maps(nn.Module):
    """What a model says of normalised images: its logits and, where asked for, those of edges.

    (N, 3, H, W) to (N, K, H, W), or with `edges` to (N, K + 1, H, W), for a model that has `edges`
    in its `forward_train`.
    """

    def __init__(self, model: nn.Module, edges: bool) -> None:
        super().__init__()
        self.model = model
        self.edges = edges

    def forward(self, inputs: Tensor) -> Tensor:
        if not self.edges:
            return self.model(inputs).float()  # type: ignore[no-any-return]
        found = self.model.forward_train(inputs)  # type: ignore[operator]
        return torch.cat([found["logits"].float(), found["edges"].float()], 1)


class Pipeline(nn.Module):
    """8-bit pictures (N, H, W, 3) to logits (N, classes, H, W), or label maps (N, H, W).

    With `labels and edges` to both label maps and boundary maps, (N, 2, H, W), the probability of
    a boundary from 0 to 255. Pictures are resized to `input_size` (bicubic, antialiased where they
    shrink), logits to `output_size` (bilinear); None keeps the picture's size. Logits beyond
    `classes` are dropped.
    """

    factor: Tensor
    shift: Tensor

    def __init__(
        self,
        model: nn.Module,
        normalisation: Normalisation,
        classes: int,
        input_size: Size | None,
        output_size: Size | None,
        result: Result,
    ) -> None:
        super().__init__()
        self.maps = Maps(model, edges=result == "labels and edges")
        self.classes = classes
        self.input_size = input_size
        self.output_size = output_size
        self.result = result
        # (RGB * scale - mean) / std as one multiplication and one addition
        std = torch.tensor(normalisation.std).view(1, 3, 1, 1)
        mean = torch.tensor(normalisation.mean).view(1, 3, 1, 1)
        self.register_buffer("factor", normalisation.scale / std)
        self.register_buffer("shift", -mean / std)

    def forward(self, images: Tensor) -> Tensor:
        size = (int(images.shape[1]), int(images.shape[2]))
        return self.answer(self.maps(self.inputs(images)), size)

    def inputs(self, images: Tensor) -> Tensor:
        """Pictures as the model wants them, (N, 3, h, w)."""
        x = images.permute(0, 3, 1, 2).float()
        height, width = int(x.shape[-2]), int(x.shape[-1])
        if self.input_size is not None and self.input_size != (height, width):
            shrinks = self.input_size[0] < height or self.input_size[1] < width
            x = F.interpolate(x, self.input_size, mode="bicubic", antialias=shrinks)
        return x * self.factor + self.shift

    def answer(self, maps: Tensor, picture: Size) -> Tensor:
        """The result for pictures of that size from what the model says of them."""
        target = self.output_size or picture
        if self.result == "logits":
            return _resized(maps[:, : self.classes], target)
        if self.result == "labels":
            return self._labels(maps, target)
        edges = _resized(maps[:, -1:], target).sigmoid() * 255
        return torch.stack(
            [self._labels(maps[:, :-1], target), edges[:, 0].round().to(torch.uint8)], 1
        )

    def _labels(self, logits: Tensor, size: Size) -> Tensor:
        if int(logits.shape[1]) > self.classes:
            # Adding fuses with its neighbours, where cutting the channels off would copy them.
            never = torch.zeros(1, int(logits.shape[1]), 1, 1, device=logits.device)
            never[:, self.classes :] = _NEVER
            logits = logits + never
        # `max` rather than `argmax`: the same index, 3 times as fast in both runtimes.
        return _resized(logits, size).max(1).indices.to(torch.uint8)


def _resized(logits: Tensor, size: Size) -> Tensor:
    if (int(logits.shape[-2]), int(logits.shape[-1])) == size:
        return logits
    return F.interpolate(logits, size, mode="bilinear", align_corners=False)
