"""Shifts and masks by hand; attention against the plain formula."""

from __future__ import annotations

import torch

from triptych.classify.models.slvit import LocalityAttention, ShiftedPatches, with_shifts


def test_shifts_by_hand() -> None:
    picture = torch.arange(1.0, 10).reshape(1, 1, 3, 3)
    expected = [
        [[1, 2, 3], [4, 5, 6], [7, 8, 9]],
        [[5, 6, 0], [8, 9, 0], [0, 0, 0]],
        [[0, 4, 5], [0, 7, 8], [0, 0, 0]],
        [[0, 0, 0], [2, 3, 0], [5, 6, 0]],
        [[0, 0, 0], [0, 1, 2], [0, 4, 5]],
    ]
    assert torch.equal(with_shifts(picture, 1), torch.tensor([expected], dtype=torch.float32))


def test_a_token_sees_half_a_patch_beyond_its_borders() -> None:
    torch.manual_seed(0)
    tokens = ShiftedPatches(4, 8)
    picture = torch.randn(1, 3, 16, 16)
    picture.requires_grad_()
    # The token in row 1, column 1 covers pixels 4 to 7; it sees 2 to 9.
    tokens(picture)[0, 5].sum().backward()
    assert picture.grad is not None
    seen = picture.grad[0].abs().sum(0) > 0
    expected = torch.zeros(16, 16, dtype=torch.bool)
    expected[2:10, 2:10] = True
    # Each diagonal copy adds one corner square; the arms between them are covered by two.
    assert torch.equal(seen, expected)


def test_no_token_attends_to_itself() -> None:
    torch.manual_seed(1)
    attention = LocalityAttention(8, 2, 5)
    with torch.no_grad():
        attention.proj.weight.copy_(torch.eye(8))
        attention.proj.bias.zero_()
    x = torch.randn(1, 5, 8)
    values = attention.qkv.weight[16:]

    # What token 2 puts into the values must not reach its own output.
    def own(x: torch.Tensor) -> torch.Tensor:
        weights = attention_weights(attention, x)
        return weights.diagonal(dim1=-2, dim2=-1)

    assert torch.equal(own(x), torch.zeros(1, 2, 5))
    expected = (attention_weights(attention, x) @ heads(x @ values.T)).transpose(1, 2).flatten(2)
    torch.testing.assert_close(attention(x), expected)


def test_the_temperature_is_learnt() -> None:
    torch.manual_seed(2)
    attention = LocalityAttention(8, 2, 5)
    assert torch.equal(attention.temperature.flatten(), torch.full((2,), 2.0))
    x = torch.randn(1, 5, 8)
    with torch.no_grad():
        attention.temperature.fill_(1e6)
    # Infinitely hot: the mean of the other tokens' values.
    values = x @ attention.qkv.weight[16:].T
    others = (values.sum(1, keepdim=True) - values) / 4
    torch.testing.assert_close(attention(x), attention.proj(others), rtol=1e-3, atol=1e-4)
    attention(x).sum().backward()
    assert attention.temperature.grad is not None


def heads(x: torch.Tensor) -> torch.Tensor:
    return x.unflatten(-1, (2, -1)).transpose(1, 2)


def attention_weights(attention: LocalityAttention, x: torch.Tensor) -> torch.Tensor:
    """The paper's formula: softmax of the masked similarities over the temperature."""
    q, k = heads(x @ attention.qkv.weight[:8].T), heads(x @ attention.qkv.weight[8:16].T)
    similarity = q @ k.transpose(-1, -2) / attention.temperature
    itself = torch.eye(x.shape[1], dtype=torch.bool)
    return similarity.masked_fill(itself, -torch.inf).softmax(-1)
