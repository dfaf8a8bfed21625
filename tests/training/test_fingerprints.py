"""Hashes of rows: equal bytes and nothing else are equal."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from triptych.training.fingerprints import entry_hashes, row_hashes

DTYPES = [
    torch.uint8, torch.int16, torch.int32, torch.int64, torch.float16, torch.bfloat16,
    torch.float32, torch.float64, torch.bool,
]  # fmt: skip


def rows(dtype: torch.dtype, count: int = 50) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    numbers = torch.randint(0, 2 if dtype == torch.bool else 200, (count, 3, 5, 4),
                            generator=generator)  # fmt: skip
    return numbers.to(dtype)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_equal_bytes_are_equal_and_others_are_not(dtype: torch.dtype) -> None:
    first = rows(dtype)
    hashes = row_hashes(first)
    assert hashes.shape == (50,)
    assert hashes.dtype == torch.int64
    assert torch.equal(hashes, row_hashes(first.clone()))
    assert len(hashes.unique()) == 50
    again = torch.cat([first[7:8], first[:7]])
    assert torch.equal(row_hashes(again), torch.cat([hashes[7:8], hashes[:7]]))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_the_memory_format_is_irrelevant(dtype: torch.dtype) -> None:
    first = rows(dtype)
    hashes = row_hashes(first)
    last = first.contiguous(memory_format=torch.channels_last)
    assert last.stride() != first.stride()
    assert torch.equal(row_hashes(last), hashes)
    wide = torch.stack([first, first], dim=-1)[..., 0]
    assert not wide.is_contiguous()
    assert torch.equal(row_hashes(wide), hashes)
    assert torch.equal(row_hashes(first[:1].expand(4, -1, -1, -1)), hashes[:1].expand(4))


@pytest.mark.parametrize("dtype", [t for t in DTYPES if t != torch.bool], ids=str)
def test_any_single_flipped_bit_changes_the_hash(dtype: torch.dtype) -> None:
    row = rows(dtype, 1)
    content = row.reshape(-1).view(torch.uint8)
    bits = 8 * len(content)
    flipped = content.repeat(bits, 1)
    for bit in range(bits):
        flipped[bit, bit // 8] ^= 1 << (bit % 8)
    hashes = row_hashes(flipped.view(dtype))
    assert int(row_hashes(row.reshape(1, -1))[0]) not in hashes.tolist()
    assert len(hashes.unique()) == bits


def test_the_place_of_a_value_counts() -> None:
    first = torch.zeros(6, 6)
    first.fill_diagonal_(1.0)
    assert len(row_hashes(first).unique()) == 6


def test_many_random_rows_do_not_collide() -> None:
    generator = torch.Generator().manual_seed(0)
    many = torch.randint(0, 256, (60_000, 48), generator=generator).to(torch.uint8)
    assert len(row_hashes(many).unique()) == 60_000


def test_hashes_do_not_change_with_versions() -> None:
    # They stand in checkpoints, so a run that goes on must find them as they were.
    assert row_hashes(torch.arange(8, dtype=torch.uint8)[None]).tolist() == [4394799119320041526]


def test_signs_in_different_places_are_different() -> None:
    # In float64 a sign is the highest of 64 bits, where a careless sum forgets the place.
    first = torch.ones(6, 6, dtype=torch.float64)
    first.fill_diagonal_(-1.0)
    assert len(row_hashes(first).unique()) == 6


def test_rows_without_content() -> None:
    assert row_hashes(torch.zeros(0, 3)).shape == (0,)
    assert row_hashes(torch.zeros(4, 0)).tolist() == [0] * 4


def test_every_entry_of_a_state_dict_has_a_hash() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    before = entry_hashes(model)
    assert list(before) == list(model.state_dict())
    assert entry_hashes(model.to(memory_format=torch.channels_last)) == before  # type: ignore[call-overload]
    with torch.no_grad():
        model[0].bias[2] += 1e-6
        model[1].num_batches_tracked += 1
    changed = {name for name, value in entry_hashes(model).items() if before[name] != value}
    assert changed == {"0.bias", "1.num_batches_tracked"}
