"""Both ways to attend against the formula in double precision, and the last block's short cut."""

from __future__ import annotations

import pytest
import torch

from triptych.classify.models import create, set_drop_path
from triptych.classify.models.attention import attend, self_attention
from triptych.classify.models.vit import ViT


def formula(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scale: float, mask: torch.Tensor | None
) -> torch.Tensor:
    scores = torch.einsum("nhlc,nhsc->nhls", q, k) * scale
    weights = (scores if mask is None else scores + mask).exp()
    return torch.einsum("nhls,nhsc->nhlc", weights / weights.sum(-1, keepdim=True), v)


def drawn(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(shape[-2]))


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 0.01)], ids=str
)
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("scale", [None, 0.3])
@pytest.mark.parametrize("queries", [1, 33])
def test_attend_and_its_gradients(
    dtype: torch.dtype, tolerance: float, masked: bool, scale: float | None, queries: int
) -> None:
    mask = torch.zeros(queries, 33)
    mask[0, 5] = -torch.inf
    inputs = [drawn(2, 3, queries, 16), drawn(2, 3, 33, 16) + 0.1, drawn(2, 3, 33, 16) - 0.1]
    inputs = [each.to(dtype) for each in inputs]
    exact = [each.double().requires_grad_() for each in inputs]
    found = [each.clone().requires_grad_() for each in inputs]
    out = attend(*found, scale=scale, mask=mask.to(dtype) if masked else None)
    expected = formula(*exact, 0.25 if scale is None else scale, mask.double() if masked else None)
    assert out.shape == expected.shape
    assert out.dtype == dtype
    assert (out - expected).norm() < tolerance * expected.norm()
    towards = drawn(*expected.shape)
    out.backward(towards.to(dtype))  # type: ignore[no-untyped-call]
    expected.backward(towards.double())  # type: ignore[no-untyped-call]
    for one, other in zip(found, exact, strict=True):
        assert one.grad is not None
        assert other.grad is not None
        assert (one.grad - other.grad).norm() < 2 * tolerance * other.grad.norm()


def test_heads_are_cut_in_the_order_of_timm() -> None:
    qkv = drawn(2, 7, 3 * 8)
    q, k, v = (part.reshape(2, 7, 2, 4).transpose(1, 2) for part in qkv.split(8, -1))
    expected = formula(q, k, v, 0.5, None).transpose(1, 2).reshape(2, 7, 8)
    torch.testing.assert_close(self_attention(qkv, 2), expected)


@pytest.mark.parametrize("rate", [0.0, 0.5])
def test_the_last_block_needs_the_first_token_only(rate: float) -> None:
    torch.manual_seed(0)
    model = create("vit-tiny", classes=5)
    assert isinstance(model, ViT)
    set_drop_path(model, rate)
    images = drawn(6, 3, 32, 32)
    results = []
    for forward in (model, model.forward_every_token):
        model.zero_grad()
        torch.manual_seed(3)
        logits = forward(images)
        logits.square().sum().backward()
        results.append([logits, *(parameter.grad for parameter in model.parameters())])
    for short, whole in zip(*results, strict=True):
        assert (short - whole).norm() <= 1e-4 * whole.norm() + 1e-6


def test_costs_count_every_token() -> None:
    from triptych.training import cost

    model = create("vit-tiny")
    whole = cost.macs(model, 32)
    model.forward_every_token = model.forward  # type: ignore[assignment]
    assert cost.macs(model, 32) < whole
