from __future__ import annotations

import torch

from triptych.training.seeding import derive, seed_libraries, stream


def test_a_stream_depends_on_every_part_of_its_path() -> None:
    paths = [(0, "order", 1), (1, "order", 1), (0, "augment", 1), (0, "order", 2), (0, "order")]
    paths += [(0, "order", "1"), (0, "ord", "er", 1)]
    assert len({derive(*path) for path in paths}) == len(paths)
    draws = [torch.rand(4, generator=stream(*path)) for path in paths]
    assert len({tuple(d.tolist()) for d in draws}) == len(paths)


def test_a_stream_is_the_same_on_every_machine() -> None:
    # Worked by hand: sha256(b"7/str:order/int:3"), first 8 bytes, little endian, shifted by one.
    assert derive(7, "order", 3) == 7823998289619984278
    assert torch.equal(
        torch.rand(3, generator=stream(7, "order", 3)),
        torch.rand(3, generator=stream(7, "order", 3)),
    )


def test_libraries_draw_the_same_at_the_same_step() -> None:
    seed_libraries(0, 2, 5)
    first = torch.nn.functional.dropout(torch.ones(50))
    torch.rand(7)
    seed_libraries(0, 2, 5)
    assert torch.equal(first, torch.nn.functional.dropout(torch.ones(50)))
